"""``specpost specs`` and ``show``: the whole story of a specification, with what CI did for it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from click.testing import CliRunner
from psycopg.types.json import Jsonb

from daemon.cli import main
from tests.fix_ci import DOD, GREEN

if TYPE_CHECKING:
    from tests.fix_ci import Ci


def shown(ci: Ci, *args: object) -> str:
    """What a command prints to an operator, who has the daemon's login."""
    env = ci.variables | {"SPECPOST_DATABASE__URL": ci.database.url}
    done = CliRunner().invoke(main, [str(arg) for arg in args], env=env, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def a_run(ci: Ci, summary: Any, dod: Any) -> None:
    """A run as CI's own scripts write it: a row, an artifact and an event that names the run alone."""
    with ci.database.connect() as conn:
        conn.execute("update sprints set dod_json = %s where id = %s", [Jsonb(dod), ci.sprints[0]])
        run = conn.execute(
            "insert into runs (sprint_id, ci_run_id, finished_at, result, summary_json)"
            " values (%s, '12', now(), 'PASSED', %s) returning id",
            [ci.sprints[0], Jsonb(summary)],
        ).fetchall()[0][0]
        conn.execute(
            "insert into artifacts (run_id, kind, storage_path, size) values (%s, 'logs', 'a/b.log', 12345)",
            [run],
        )
        conn.execute(
            "insert into status_events (run_id, phase, message) values (%s, 'ARTIFACTS_UPLOADED', 'one')",
            [run],
        )


def test_a_specification_is_told_with_its_runs_and_the_gate(ci: Ci) -> None:
    """As the database decided, for people and for programs."""
    run = ci.told("start", ci.sprints[0])["id"]
    said = json.loads(ci("finish", run, "--junit", ci.file("j.xml", GREEN), "--lint-pass", "--json").stdout)

    page = shown(ci, "show", ci.spec)
    data = json.loads(shown(ci, "show", ci.spec, "--json"))

    lines = [" ".join(line.split()) for line in page.splitlines()]
    assert f"S1 FAILED coverage_min=0.8 lint_pass=true {ci.sprints[0]} 1 FAILED" in lines
    assert f"S2 PLANNED coverage_min=0.8 lint_pass=true {ci.sprints[1]} 0 -" in lines
    assert f"run {run} of S1: FAILED" in lines
    assert "coverage_min 0.8 - not reported" in lines
    assert "unit_pass true true met" in lines
    (told,) = data["runs"]
    assert told["gate"] == {"result": said["result"], "criteria": said["criteria"]}
    assert (told["id"], told["summary_json"]["lint_pass"]) == (run, True)
    assert [event["phase"] for event in data["events"]] == ["BUILD", "FAILED"]


def test_what_cis_own_scripts_wrote_is_told_as_well(ci: Ci) -> None:
    """Their runs never saw our gate, so it is told what it would have said."""
    a_run(ci, {"status": "PASSED", "tests": {"python": {"passed": 3, "failed": 0, "coverage": 0.7}}}, DOD)

    page = shown(ci, "show", ci.spec)

    lines = [" ".join(line.split()) for line in page.splitlines()]
    assert "left logs: a/b.log, 12,345 bytes" in lines
    assert "coverage_min 0.8 0.7 missed" in lines
    assert any("ARTIFACTS_UPLOADED" in line for line in lines)
    data = json.loads(shown(ci, "show", ci.spec, "--json"))
    assert [each["storage_path"] for each in data["artifacts"]] == ["a/b.log"]
    assert data["runs"][0]["gate"]["result"] == "FAILED"


def test_what_no_gate_could_decide_is_said(ci: Ci) -> None:
    """Scripts write what they like, and the rest of the page is told all the same."""
    for summary, dod, words in (
        ({"coverage": 85}, DOD, "can't decide: coverage: it must be a fraction from 0 to 1"),
        ("PASSED", DOD, "can't decide: summary: it must be an object"),
        ({}, {"coverage_min": "much"}, "can't decide: coverage_min: Input should be a valid number"),
        ({}, [1], "can't decide: dod_json: Input should be a valid dictionary"),
    ):
        a_run(ci, summary, dod)

        assert words in shown(ci, "show", ci.spec)
        assert words in json.loads(shown(ci, "show", ci.spec, "--json"))["runs"][-1]["gate"]["trouble"]


def test_the_list_says_how_far_each_is(ci: Ci) -> None:
    """With what was last heard of it, behind what was always there."""
    run = ci.told("start", ci.sprints[0])["id"]
    ci("finish", run, "--coverage", ci.file("c", "LF:1\nLH:1\n"), "--lint-pass")

    head, row = shown(ci, "specs").splitlines()
    data = json.loads(shown(ci, "specs", "--json"))

    assert head.split() == ["RECEIVED", "SPEC", "REPOSITORY", "DONE", "FROM", "LAST", "SINCE"]
    assert row.split()[2:7] == [str(ci.spec), "example/tides@main", "1/2", "-", "TESTS_PASSED"]
    assert (data["done"], data["sprints"], data["last_phase"]) == (1, 2, "TESTS_PASSED")

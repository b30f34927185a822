"""The control plane over HTTP: who may what of it, and a run of CI with curl alone."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from psycopg.types.json import Jsonb

from daemon.outcome import Verdict
from tests.fix_house import new_house
from tests.fix_postgrest import SECRET, token
from tests.gate_cases import FULL, NESTED
from tests.parts import need

if TYPE_CHECKING:
    from daemon.readers import Readers
    from tests.fix_postgrest import Api

CURL = Path(__file__).parent / "examples" / "ci-curl.sh"

GOOD = NESTED | {"lint_pass": True, "type_check": True}

BAD = GOOD | {"lint_pass": False}

#: A row that each table takes.
ROWS: dict[str, dict[str, Any]] = {
    "specs": {"repo": "a/b", "branch": "main", "storage_path": "k"},
    "sprints": {"label": "S1", "dod_json": {}},
    "runs": {"ci_run_id": "1"},
    "artifacts": {"storage_path": "k"},
    "status_events": {"phase": "BUILD"},
}

#: What each role is told when it reads, adds, alters, removes, reads a view, and calls a function.
ANSWERS = {
    None: (401, 401, 401, 401, 401, 401),
    "anon": (401, 401, 401, 401, 401, 401),
    "authenticated": (200, 403, 403, 403, 200, 403),
    "service_role": (200, 201, 200, 200, 200, 200),
    "ci_runner": (200, 403, 403, 403, 200, 200),
    "specpost_gate": (403, 403, 403, 403, 403, 403),  # the API's login may not become it
}

#: All there is, but for what is of the daemon alone.
EVERYTHING = """
select jsonb_build_array(
  (select jsonb_agg(to_jsonb(t) order by id) from specs as t),
  (select jsonb_agg(to_jsonb(t) order by id) from sprints as t),
  (select jsonb_agg(to_jsonb(t) order by id) from runs as t),
  (select jsonb_agg(to_jsonb(t) order by id) from artifacts as t),
  (select jsonb_agg(to_jsonb(t) order by id) from status_events as t)
)
"""


def everything(api: Api) -> Any:
    """Every row of the five tables."""
    with api.database.connect() as conn:
        row = conn.execute(EVERYTHING).fetchone()
    assert row
    return row[0]


def planned(api: Api, sprints: int = 1) -> tuple[UUID, list[UUID]]:
    """A specification with sprints, as the daemon writes them."""
    spec, made = uuid4(), [uuid4() for _ in range(sprints)]
    with api.database.connect("daemon") as conn:
        conn.execute(
            "insert into specs (id, repo, branch, storage_path) values (%s, 'a/b', 'main', 'k')", (spec,)
        )
        for place, sprint in enumerate(made):
            conn.execute(
                "insert into sprints (id, spec_id, label, dod_json, created_at)"
                " values (%s, %s, %s, %s, now() + make_interval(secs => %s * 1e-6))",
                (sprint, spec, f"S{place + 1}", Jsonb(FULL), place),
            )
    return spec, made


def started(api: Api) -> tuple[UUID, str]:
    """A sprint and its run."""
    _, (sprint,) = planned(api)
    status, run = api.call("start_run", sprint_id=str(sprint), ci_run_id="77")
    assert status == 200
    return sprint, run["id"]


@pytest.mark.parametrize("role", ANSWERS)
@pytest.mark.parametrize("table", ROWS)
def test_who_may_what_of_a_table(api: Api, role: str | None, table: str) -> None:
    """Users and CI read, the service role does all, nobody without a token does anything."""
    read, add, alter, remove, *_ = ANSWERS[role]
    row = {"id": -1 if table == "status_events" else str(uuid4())} | ROWS[table]

    assert api.ask("GET", f"/{table}", role=role)[0] == read
    assert api.ask("POST", f"/{table}", row, role=role)[0] == add
    assert api.ask("PATCH", f"/{table}?id=eq.{row['id']}", ROWS[table], role=role)[0] == alter
    assert api.ask("DELETE", f"/{table}?id=eq.{row['id']}", role=role)[0] == remove


@pytest.mark.parametrize("role", ANSWERS)
def test_who_may_look_at_a_view(api: Api, role: str | None) -> None:
    """Whoever may read the tables may read what is made of them, and nobody writes by it."""
    *_, look, _ = ANSWERS[role]

    for view in ("spec_progress", "sprint_board"):
        assert api.ask("GET", f"/{view}", role=role)[0] == look
        assert api.ask("POST", f"/{view}", {"repo": "x"}, role=role)[0] >= 400
    assert api.ask("PATCH", "/sprint_board?label=eq.S1", {"state": "DONE"}, role=role)[0] >= 400


@pytest.mark.parametrize("role", ANSWERS)
def test_who_may_call(api: Api, role: str | None) -> None:
    """The service role and CI call all five; others are told so, and nothing is changed."""
    *_, expected = ANSWERS[role]
    spec, (sprint,) = planned(api)
    _, run = started(api)
    before = everything(api)
    calls: dict[str, dict[str, Any]] = {
        "next_sprint": {"spec_id": str(spec)},
        "start_run": {"sprint_id": str(sprint), "ci_run_id": "1", "attempt": 2},
        "record_artifact": {"run_id": run, "kind": "junit", "storage_path": "a", "size": 1},
        "log_event": {"run_id": run, "phase": "BUILD", "message": "x", "metadata": {"a": 1}},
        "finish_run": {"run_id": run, "summary": GOOD},
    }
    answers = {name: api.ask("POST", f"/rpc/{name}", body, role=role)[0] for name, body in calls.items()}

    assert answers == dict.fromkeys(calls, expected)
    assert (everything(api) == before) == (expected != 200)


@pytest.mark.parametrize(
    "forged", ["x.y.z", token("service_role", "another-secret-of-thirty-two-bytes"), "x"]
)
def test_a_token_that_is_not_ours_is_refused(api: Api, forged: str) -> None:
    """Nobody becomes a role by saying so."""
    assert api.ask("GET", "/specs", bearer=forged)[0] == 401


def test_ci_cannot_end_a_sprint_by_hand(api: Api) -> None:
    """A job that tries to write DONE itself is forbidden to, and the sprint stays what it was."""
    sprint, run = started(api)
    before = everything(api)

    for path, change in (
        (f"/sprints?id=eq.{sprint}", {"state": "DONE"}),
        (f"/sprints?id=eq.{sprint}", {"dod_json": {}}),
        (f"/runs?id=eq.{run}", {"result": "PASSED"}),
    ):
        assert api.ask("PATCH", path, change, role="ci_runner")[0] == 403
    assert api.ask("POST", "/status_events", {"phase": "TESTS_PASSED"}, role="ci_runner")[0] == 403
    assert everything(api) == before


NOBODY = str(UUID(int=9))

IMPOSSIBLE: list[tuple[str, dict[str, Any], int, str]] = [
    ("start_run", {"sprint_id": NOBODY}, 404, f"no sprint has the id {NOBODY}"),
    ("start_run", {"sprint_id": "S1"}, 400, 'invalid input syntax for type uuid: "S1"'),
    ("start_run", {"ci_run_id": ""}, 400, "ci_run_id: 1 to 200 characters of printable ASCII"),
    ("start_run", {"attempt": 0}, 400, "attempt: a whole number, 1 or more"),
    ("record_artifact", {"run_id": NOBODY}, 404, f"no run has the id {NOBODY}"),
    ("record_artifact", {"kind": "a kind of report"}, 400, "kind: a word of at most 100 characters"),
    ("record_artifact", {"storage_path": "../x"}, 400, "storage_path: a key in storage"),
    ("record_artifact", {"size": -1}, 400, "size: a whole number of bytes, 0 or more"),
    ("record_artifact", {"size": "large"}, 400, 'invalid input syntax for type bigint: "large"'),
    ("log_event", {"run_id": NOBODY}, 404, f"no run has the id {NOBODY}"),
    ("log_event", {"phase": "it builds"}, 400, "phase: a word of at most 50 capitals"),
    ("log_event", {"phase": "TESTS_PASSED"}, 400, "phase: TESTS_PASSED is said by finish_run alone"),
    ("log_event", {"metadata": [1]}, 400, "metadata is [1]: a JSON object is wanted"),
    ("finish_run", {"run_id": NOBODY}, 404, f"no run has the id {NOBODY}"),
    ("finish_run", {"summary": None}, 400, "summary: a JSON object is wanted"),
    ("finish_run", {"summary": GOOD | {"coverage": 1.7}}, 400, "coverage is 1.7: a fraction from 0 to 1"),
    ("finish_run", {"summary": GOOD | {"log": "x" * 2**20}}, 400, "summary: at most 1 MiB of JSON"),
    ("next_sprint", {"spec_id": NOBODY}, 404, f"no specification has the id {NOBODY}"),
    ("gate", {}, 404, "Could not find the function public.gate"),
]


def test_what_cannot_be_is_told_in_one_line_and_changes_nothing(api: Api) -> None:
    """Unknown ids are not found, and what can't be right is a bad request that says what would be."""
    spec, (sprint,) = planned(api)
    _, run = started(api)
    fine: dict[str, dict[str, Any]] = {
        "start_run": {"sprint_id": str(sprint), "ci_run_id": "1", "attempt": 1},
        "record_artifact": {"run_id": run, "kind": "junit", "storage_path": "a", "size": 1},
        "log_event": {"run_id": run, "phase": "BUILD", "message": "x"},
        "finish_run": {"run_id": run, "summary": GOOD},
        "next_sprint": {"spec_id": str(spec)},
        "gate": {"dod": {}, "summary": {}},
    }
    before = everything(api)
    for function, wrong, expected, why in IMPOSSIBLE:
        status, said = api.call(function, **(fine[function] | wrong))
        assert (status, said["message"][: len(why)]) == (expected, why)
        assert said["message"].isprintable()
        assert len(said["message"]) < 200
    assert everything(api) == before


def test_illegal_moves_are_conflicts(api: Api) -> None:
    """A run can't end twice in two ways, and what is DONE is not run again."""
    sprint, run = started(api)
    assert api.call("finish_run", run_id=run, summary=GOOD)[0] == 200
    before = everything(api)

    again, said = api.call("finish_run", run_id=run, summary=BAD)
    assert (again, said["hint"]) == (409, "Start a run with another attempt.")
    assert api.call("start_run", sprint_id=str(sprint), ci_run_id="78")[0] == 409
    assert api.call("finish_run", run_id=run, summary=GOOD)[0] == 200
    assert everything(api) == before


def test_the_scripts_that_were_there_before_keep_working(api: Api) -> None:
    """The service role inserts runs, artifacts and events as it did: a run twice, phases of its own."""
    _, (sprint,) = planned(api)
    run = {"sprint_id": str(sprint), "ci_run_id": "4711"}
    runs = [api.ask("POST", "/runs", run, role="service_role") for _ in range(2)]
    assert [status for status, _ in runs] == [201, 201]
    first, second = (made["id"] for _, (made,) in runs)
    assert first != second
    for _ in range(2):
        artifact = {"run_id": first, "kind": "playwright-report", "storage_path": "reports/x", "size": 1}
        assert api.ask("POST", "/artifacts", artifact, role="service_role")[0] == 201
    for phase in ("ARTIFACTS_UPLOADED", "TESTS_FAILED"):
        event = {"run_id": first, "phase": phase, "message": "x"}
        assert api.ask("POST", "/status_events", event, role="service_role")[0] == 201
    done = {"result": "FAILED", "finished_at": "2026-01-01T00:00:00Z", "summary_json": {"result": "FAILED"}}
    assert api.ask("PATCH", f"/runs?id=eq.{first}", done, role="service_role")[0] == 200

    verdict = api.call("finish_run", role="service_role", run_id=second, summary=GOOD)
    assert (verdict[0], verdict[1]["result"]) == (200, "PASSED")
    (board,) = api.ask("GET", f"/sprint_board?sprint_id=eq.{sprint}", role="authenticated")[1]
    assert (board["state"], board["runs"]) == ("DONE", 2)


def test_views_tell_people_how_far_it_is(api: Api) -> None:
    """Sprints are in their order with their newest run, and a specification says what happened last."""
    spec, (first, second) = planned(api, 2)
    api.ask("PATCH", f"/sprints?id=eq.{first}", {"label": "S1"}, role="service_role")  # now it lies behind
    for attempt, summary in ((1, BAD), (2, GOOD)):
        run = api.call("start_run", sprint_id=str(first), ci_run_id="9", attempt=attempt)[1]["id"]
        api.call("finish_run", run_id=run, summary=summary)
    # A script's event that names no specification but a run, and one that names what is none.
    api.ask("POST", "/status_events", {"phase": "MERGED", "run_id": run}, role="service_role")
    api.ask("POST", "/status_events", {"phase": "BUILD", "metadata": {"spec_id": "?"}}, role="service_role")

    (progress,) = api.ask("GET", f"/spec_progress?spec_id=eq.{spec}", role="authenticated")[1]
    board = api.ask("GET", f"/sprint_board?spec_id=eq.{spec}", role="authenticated")[1]

    assert {key: progress[key] for key in ("repo", "branch", "sprints_done", "sprints", "last_phase")} == {
        "repo": "a/b",
        "branch": "main",
        "sprints_done": 1,
        "sprints": 2,
        "last_phase": "MERGED",
    }
    assert progress["last_event_at"] >= progress["created_at"]
    assert progress["age"].startswith("00:0")
    assert [
        (
            row["sprint_id"],
            row["place"],
            row["label"],
            row["state"],
            row["runs"],
            row["run_id"],
            row["result"],
        )
        for row in board
    ] == [(str(first), 1, "S1", "DONE", 2, run, "PASSED"), (str(second), 2, "S2", "PLANNED", 0, None, None)]


README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def shown(mark: str) -> str:
    """The shell commands that the README has between two marks."""
    block = README.partition(f"<!-- {mark} -->")[2].partition(f"<!-- /{mark} -->")[0]
    return block.strip().removeprefix("```sh\n").removesuffix("```")


def test_the_readmes_calls_are_the_scripts() -> None:
    """What is shown is what is tested."""
    assert len(shown("curl").splitlines()) > 20
    assert shown("curl") in CURL.read_text(encoding="utf-8")


def test_the_readmes_token_is_one(api: Api) -> None:
    """What the README prints is taken by the API, as CI's, and is good for ninety days."""
    env = os.environ | {"JWT_SECRET": SECRET}
    made = subprocess.run(["sh", "-ec", shown("token")], env=env, capture_output=True, text=True, check=True)

    assert api.ask("GET", "/specs", bearer=made.stdout.strip())[0] == 200
    assert api.ask("POST", "/runs", {"ci_run_id": "1"}, bearer=made.stdout.strip())[0] == 403
    claims = json.loads(base64.urlsafe_b64decode(made.stdout.split(".")[1] + "=="))
    assert claims["exp"] - time.time() == pytest.approx(90 * 86400, abs=60)


def curl(
    api: Api, spec: str, folder: Path, summary: dict[str, Any], attempt: int = 1
) -> subprocess.CompletedProcess[str]:
    """Run the example with a summary and two reports."""
    need(shutil.which("curl"), "apt-get install curl")
    (folder / "summary.json").write_text(json.dumps(summary))
    reports = [folder / "junit.xml", folder / "junit-e2e.xml"]
    for report in reports:
        report.write_text("<testsuites/>")
    env = {"API_URL": api.url, "API_TOKEN": token("ci_runner"), "CI_RUN_ID": "77", "ATTEMPT": str(attempt)}
    command = [str(CURL), spec, str(folder / "summary.json"), *map(str, reports)]
    return subprocess.run(command, env=os.environ | env, capture_output=True, text=True, check=False)


def test_a_mailed_specification_becomes_done_by_curl(api: Api, readers: Readers, tmp_path: Path) -> None:
    """From the mail to DONE: one sprint fails its gate, the next passes it, and events tell all of it."""
    with new_house(readers, api.database, tmp_path / "storage") as house:
        outcome = house.take()
        assert outcome.verdict is Verdict.ACCEPTED
        (spec,) = map(str, outcome.spec_ids)
        sprints = "select label, state from sprints where spec_id = %s order by created_at, id"

        failed = curl(api, spec, tmp_path, GOOD | {"coverage": 0.5})
        assert (failed.returncode, failed.stderr) == (1, "")
        assert json.loads(failed.stdout)["result"] == "FAILED"
        assert house.rows(sprints, spec) == [("S1", "FAILED"), ("S2", "PLANNED")]

        missing = curl(api, str(uuid4()), tmp_path, GOOD)
        assert missing.returncode == 2
        assert "no specification has the id" in missing.stderr

        passed = curl(
            api,
            spec,
            tmp_path,
            GOOD
            | {
                "tests": {
                    "unit": {"passed": 1, "failed": 0, "coverage": 1},
                    "e2e": {"passed": 1, "failed": 0},
                },
                "log": "x" * 900_000,
            },
        )
        assert (passed.returncode, passed.stderr) == (0, "")
        assert house.rows(sprints, spec) == [("S1", "FAILED"), ("S2", "DONE")]
        assert curl(api, spec, tmp_path, GOOD).stdout == "nothing is planned\n"

        events = "select phase from status_events where metadata ->> 'spec_id' = %s order by id"
        run = ["BUILD", "ARTIFACTS_UPLOADED"]
        assert [phase for (phase,) in house.rows(events, spec)] == [
            *("SPEC_RECEIVED", "PLANNING", *run, "FAILED", *run, "TESTS_PASSED")
        ]
        paths = "select storage_path from artifacts where run_id = %s order by storage_path"
        done = json.loads(passed.stdout)["run_id"]
        assert house.rows(paths, done) == [
            (f"reports/{done}/junit/{name}",) for name in ("junit-e2e.xml", "junit.xml")
        ]

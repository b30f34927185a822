"""The schema and the services are renewed while mails come in."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from db import migrate
from tests.faults.letters import letters
from tests.faults.sender import CONNECTING, Sender
from tests.fix_daemon import specpost
from tests.fix_database import LOGIN
from tests.fix_dovecot import free_port
from tests.fix_house import US

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from tests.faults.lab import Lab
    from tests.fix_database import Database
    from tests.fix_dovecot import Box

    NewLab = Callable[..., AbstractContextManager[Lab]]

pytestmark = pytest.mark.faults

#: What a newer release may bring: each takes a table for itself, and for as long as one does that is large.
NEWER = """
alter table {table} add column added text;
alter table {table} add column counted integer not null default 7;
create index on {table} (added);
select pg_sleep(0.3);
"""
TABLES = [
    "intake.mails",
    "intake.arrivals",
    "intake.parts",
    "specs",
    "sprints",
    "status_events",
    "intake.folders",
]


@pytest.fixture
def migrations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Those that are applied from now on, in a folder that can be changed."""
    folder = tmp_path / "migrations"
    shutil.copytree(Path(str(migrate.FOLDER)), folder)
    monkeypatch.setattr(migrate, "FOLDER", folder)
    return folder


def test_migrations_under_load(lab: NewLab, database: Database, box: Box, migrations: Path) -> None:
    """Migrations that are applied while mails come in delay the answers, and no watchdog strikes."""
    for number, table in enumerate(TABLES):
        path = migrations / f"2999010100000{number}_newer.sql"
        path.write_text(NEWER.format(table=table))
    with lab(database, box=box, watchdog=5.0) as running:
        running.sender.keep_busy()
        running.sender.await_taken(10)
        running.mail(running.take(50))
        with database.connect("owner") as owner:
            done = migrate.migrate(owner, lambda _: running.sender.await_taken(5))
        running.sender.await_taken(10)
        running.settle()

        assert len(done) == len(TABLES)
        assert running.unit.ends == [0]
        assert set(running.sender.told()) <= {250, 451}


def test_a_schema_that_is_behind(empty_database: Database, migrations: Path) -> None:
    """A service whose database lacks a migration doesn't start, and says what command applies it."""
    last = max(migrations.iterdir())
    last.unlink()
    with empty_database.connect("owner") as owner:
        migrate.migrate(owner)
        migrate.create_login(owner, LOGIN, None)
    started = specpost("run", env={"SPECPOST_DATABASE__URL": empty_database.url})

    assert started.returncode == 78
    assert f"lacks 1 of this release's migrations (first: {last.name.partition('_')[0]})" in started.stderr
    assert "specpost migrate" in started.stderr


def test_services_restarted_in_turn(lab: NewLab, database: Database) -> None:
    """Two services that share a port and are restarted in turn, again and again, turn no mail away."""
    port = free_port()
    shared = {
        "recipients": [US],
        "relays": ["127.0.0.1"],
        "authserv_id": "mx.example.net",
        "listen": f"127.0.0.1:{port}",
        "reuse_port": True,
    }
    with lab(database, replicas=2, smtp=shared) as running:
        running.sender.close()
        running.sender = sender = Sender([("127.0.0.1", port)], letters("rolling"), 8)
        try:
            sender.keep_busy()
            for ends in range(1, 3):
                for unit in running.units:
                    sender.await_taken(20)
                    unit.kill(signal.SIGTERM)
                    unit.await_end(ends)
                    sender.await_taken(5)
                    unit.start()
            running.settle()
        finally:
            sender.close()

        assert [unit.ends for unit in running.units] == [[0] * 3] * 2
        assert set(sender.told()) <= {250, 421, 0}
        assert set(sender.unheard()) <= {CONNECTING}

"""PostgreSQL takes its time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.faults.lab import NewLab
    from tests.faults.server import OwnServer
    from tests.fix_database import Database

pytestmark = pytest.mark.faults

#: Seconds for which the database is slow.
SLOW = 20


def test_a_locked_table(lab: NewLab, own_database: Database) -> None:
    """A table that somebody else has locked for 20 s delays the answers, and no watchdog strikes."""
    with lab(own_database, watchdog=5.0) as running:
        running.sender.keep_busy()
        running.sender.await_taken(10)
        with own_database.connect("owner") as conn:
            conn.execute("lock table intake.mails in access exclusive mode")
            time.sleep(SLOW)
        running.sender.await_taken(10)
        running.settle()

        assert running.unit.ends == [0]


def test_a_paused_server(lab: NewLab, own_server: OwnServer, own_database: Database) -> None:
    """A PostgreSQL that stands still for 20 s delays the answers, and no watchdog strikes."""
    with lab(own_database, watchdog=5.0) as running:
        running.sender.keep_busy()
        running.sender.await_taken(10)
        with own_server.paused():
            time.sleep(SLOW)
        running.sender.await_taken(10)
        running.settle()

        assert running.unit.ends == [0]

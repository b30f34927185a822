"""The service is asked to end, or comes to a standstill."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.faults.lab import NewLab
    from tests.fix_database import Database
    from tests.fix_dovecot import Box

#: Seconds that an orderly end may take.
ORDERLY = 30


@pytest.mark.faults
def test_stop_under_load(lab: NewLab, database: Database, box: Box) -> None:
    """A service that is asked to end does so within 30 s, and what it took by then has been answered."""
    with lab(database, box=box) as running:
        running.sender.keep_busy()
        for stops in range(1, 6):
            running.mail(running.take(100))
            running.sender.await_taken(10)
            asked = time.monotonic()
            running.unit.kill(signal.SIGTERM)
            running.unit.await_end(stops)

            assert time.monotonic() - asked < ORDERLY
            assert running.wrong(is_over=False) == []
            heard = set(running.sender.taken())
            assert {key for (key,) in running.rows(BY_SMTP)} == heard
            running.unit.start()
        running.settle()
        assert running.unit.ends == [0] * 6


BY_SMTP = "select message_id from intake.mails where source = 'smtp'"


@pytest.mark.faults
def test_a_standstill(lab: NewLab, database: Database) -> None:
    """A service that stands still is killed by its watchdog and started again, and nothing is lost."""
    with lab(database, watchdog=1.5) as running:
        running.sender.keep_busy()
        for ends in range(1, 4):
            running.unit.await_ready()
            running.sender.await_taken(10)
            running.unit.kill(signal.SIGSTOP)
            running.unit.await_end(ends)
        running.settle()
        assert running.unit.ends == [-signal.SIGABRT] * 3 + [0]

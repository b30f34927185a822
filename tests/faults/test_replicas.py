"""The same mail comes by all ways at once, and services share what they work on."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from tests.faults.lab import Lab
    from tests.faults.unit import Unit
    from tests.fix_database import Database
    from tests.fix_dovecot import Box

    NewLab = Callable[..., AbstractContextManager[Lab]]

pytestmark = pytest.mark.faults

FROM_A_MAILBOX = '"source":"imap"'


def test_the_same_mail_by_all_ways(lab: NewLab, database: Database, box: Box) -> None:
    """A mail that comes a hundred times at once, by SMTP to two services and in a mailbox, is one mail."""
    with lab(database, box=box, replicas=2, sessions=16) as running:
        for _ in range(5):
            (letter,) = running.take(1)
            running.mail([letter] * 20)
            running.sender.post([letter] * 80)
        running.settle()

        assert [unit.ends for unit in running.units] == [[0], [0]]
        assert running.rows("select verdict, count(*) from intake.arrivals group by 1 order by 1") == [
            ("accepted", 5),
            ("duplicate", 495),
        ]


def test_a_paused_owner(lab: NewLab, database: Database, box: Box) -> None:
    """A service that is paused past its hold on a mailbox and wakes up takes nothing twice."""
    with lab(database, box=box, replicas=2) as running:
        running.mail(running.take(300))
        running.sender.keep_busy()
        running.await_logged(FROM_A_MAILBOX, 50)
        owner, other = owner_first(running)
        owner.kill(signal.SIGSTOP)
        try:
            running.mail(running.take(100))
            running.await_logged(FROM_A_MAILBOX, 50, other)
        finally:
            owner.kill(signal.SIGCONT)
        running.mail(running.take(100))
        running.settle()

        assert [owner.ends, other.ends] == [[0], [0]]


def owner_first(running: Lab) -> list[Unit]:
    """The services, first the one that has the mailbox."""
    ((owner,),) = running.rows("select owner from intake.mailboxes")
    return sorted(running.units, key=lambda unit: f"/{unit.pid}/" not in owner)

"""The same mail comes by all ways at once, and services share what they work on."""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.faults.lab import FROM_A_MAILBOX
from tests.fix_daemon import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.lab import Lab, NewLab
    from tests.faults.unit import Unit
    from tests.fix_database import Database
    from tests.fix_dovecot import Box

pytestmark = pytest.mark.faults


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


def test_paused_with_mails_in_hand(lab: NewLab, database: Database, box: Box, tmp_path: Path) -> None:
    """A service that is paused past its hold on a mailbox and wakes up takes nothing twice."""
    command = pausing("read", 1, tmp_path / "mark")
    with lab(database, box=box, replicas=2, command=command) as running:
        owner, other = owner_first(running)
        running.mail(running.take(100))
        with paused(owner):
            running.await_logged(FROM_A_MAILBOX, 100, other)
            running.sender.keep_busy()
            running.sender.await_taken(50)
        running.mail(running.take(100))
        running.settle()

        assert [owner.ends, other.ends] == [[0], [0]]
        assert running.count("another daemon watches this mailbox by now", owner)  # what it had in hand


def test_paused_in_a_transaction(lab: NewLab, database: Database, box: Box, tmp_path: Path) -> None:
    """A service that is paused in the middle of a commit keeps its mailbox meanwhile, and doubles nothing."""
    command = pausing("stored and not committed", 3, tmp_path / "mark")
    with lab(database, box=box, replicas=2, command=command) as running:
        owner, other = owner_first(running)
        running.mail(running.take(300))
        with paused(owner):
            running.sender.keep_busy()
            running.await_logged('"state":"standing by, another daemon is in the middle of a mail"', 1, other)
            running.sender.await_taken(50)
        running.settle()

        assert [owner.ends, other.ends] == [[0], [0]]


def pausing(step: str, times: int, mark: Path) -> list[str]:
    """What starts a service that pauses at a step."""
    return ["-m", "tests.faults.stepping", step, str(times), "SIGSTOP", str(mark)]


@contextmanager
def paused(unit: Unit) -> Iterator[None]:
    """As long as the service that is to pause stands still; it wakes up at the end."""
    deadline = time.monotonic() + PATIENCE
    while "stopped" not in status(unit.pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    try:
        yield
    finally:
        unit.kill(signal.SIGCONT)


def status(pid: int) -> str:
    """What the system says about a process."""
    return Path(f"/proc/{pid}/status").read_text()


def owner_first(running: Lab) -> list[Unit]:
    """The services, first the one that has the mailbox."""
    ((owner,),) = running.rows("select owner from intake.mailboxes")
    return sorted(running.units, key=lambda unit: f"/{unit.pid}/" not in owner)

"""The service is killed with -9."""

from __future__ import annotations

import random
import signal
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.faults.lab import FROM_A_MAILBOX

if TYPE_CHECKING:
    from tests.faults.lab import Lab, NewLab
    from tests.fix_database import Database
    from tests.fix_dovecot import Box

#: Seconds after a mail was taken in which the service is killed.
SOON = 0.4


def kill_at_random(lab: Lab, rounds: int, chance: random.Random) -> None:
    """Kill it so often, at moments that nobody chose: most under load, one in five of its start."""
    for ends in range(rounds):
        if ends % 5 == 4:
            time.sleep(chance.uniform(0.0, 1.0))
        else:
            lab.unit.await_ready()
            if lab.box:
                # A mail that is read alone when the service dies is held after the third time: one gets done.
                lab.mail(lab.take(10))
                lab.await_logged(FROM_A_MAILBOX, lab.count(FROM_A_MAILBOX) + 1)
            lab.sender.await_taken(1)
            time.sleep(chance.uniform(0.0, SOON))
        lab.unit.kill()
        lab.unit.await_end(ends + 1)


#: The rounds take as long as they take, and whatever hangs in them has a deadline of its own.
pytestmark = pytest.mark.timeout(0)


@pytest.mark.parametrize("most", [3, pytest.param(sys.maxsize, id="all", marks=pytest.mark.faults)])
def test_kill_at_random(most: int, rounds: int, lab: NewLab, database: Database) -> None:
    """A service killed with -9 at any moment under load loses and doubles nothing."""
    kills = min(most, rounds)
    with lab(database) as running:
        running.sender.keep_busy()
        kill_at_random(running, kills, random.Random(kills))
        running.settle()
        assert running.unit.ends == [-signal.SIGKILL] * kills + [0]


@pytest.mark.faults
def test_kill_at_random_beside_a_mailbox(rounds: int, lab: NewLab, database: Database, box: Box) -> None:
    """A service killed with -9 at any moment loses and doubles nothing of a mailbox either."""
    with lab(database, box=box) as running:
        running.mail(running.take(100))
        running.sender.keep_busy()
        kill_at_random(running, rounds, random.Random(rounds))
        running.settle()
        assert running.unit.ends == [-signal.SIGKILL] * rounds + [0]

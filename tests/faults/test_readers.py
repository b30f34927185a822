"""The children that read are killed with -9."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.faults.lab import NewLab
    from tests.fix_database import Database


def children(pid: int) -> list[int]:
    """The processes that a process has started, by whichever of its threads; none when it is gone."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    with suppress(OSError):
        return [int(child) for task in tasks for child in task.read_text().split()]
    return []


def readers(service: int) -> list[int]:
    """A service's children are a server that starts readers, and a tracker that has no children."""
    return [reader for child in children(service) for reader in children(child)]


@pytest.mark.faults
def test_readers_killed(lab: NewLab, database: Database) -> None:
    """A reader killed with -9 at any moment costs no mail: another reads it, or its sender sends it again."""
    chance = random.Random(9)
    with lab(database) as running:
        running.sender.keep_busy()
        for _ in range(100):
            running.sender.await_taken(3)
            time.sleep(chance.uniform(0.0, 0.02))
            with suppress(ProcessLookupError, IndexError):  # it ended, or the last one did
                os.kill(chance.choice(readers(running.unit.pid)), signal.SIGKILL)
        running.settle()

        assert running.unit.ends == [0]
        assert running.sender.told().keys() <= {250, 451}
        assert running.events()["reader broke"] > 0

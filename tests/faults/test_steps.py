"""The service is killed with -9 at each step of a mail."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.faults.sender import DOT
from tests.faults.stepping import STEPS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.lab import NewLab
    from tests.fix_database import Database


@pytest.mark.faults
@pytest.mark.parametrize("step", STEPS)
def test_kill_at_a_step(step: str, lab: NewLab, database: Database, tmp_path: Path) -> None:
    """A service killed with -9 between any two steps of a mail loses and doubles nothing."""
    command = ["-m", "tests.faults.stepping", step, "5", "SIGKILL", str(tmp_path / "mark")]
    with lab(database, command=command) as running:
        running.sender.post(running.take(60))
        running.settle()

        assert running.unit.ends == [-signal.SIGKILL, 0]
        if step != "answered":
            assert running.sender.unheard()[DOT]
        if step == "committed and not answered":
            assert running.rows("select from intake.arrivals where verdict = 'duplicate'")

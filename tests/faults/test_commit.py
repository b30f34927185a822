"""The connection to PostgreSQL is lost at the worst moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.cutter import Cutter
from tests.fix_database import LOGIN
from tests.proxy import serving

if TYPE_CHECKING:
    from tests.faults.cutter import When
    from tests.faults.lab import NewLab
    from tests.fix_database import Database
    from tests.fix_dovecot import Box


@pytest.mark.faults
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_commit_without_an_answer(when: When, lab: NewLab, database: Database, box: Box) -> None:
    """A connection that is cut at a COMMIT, whether it was done or not, loses and doubles nothing."""
    cutter = Cutter(database.server.socket)
    with serving(cutter):
        url = f"postgresql://{LOGIN}@127.0.0.1:{cutter.port}/{database.name}"
        with lab(database, url=url, box=box) as running:
            running.sender.keep_busy()
            for _ in range(20):
                running.mail(running.take(5))
                running.sender.await_taken(5)
                cutter.cut(when)
            running.settle()

            assert running.unit.ends == [0]
            assert running.sender.told()[451]
            told_again = running.rows("select from intake.arrivals where verdict = 'duplicate'")
            assert bool(told_again) == (when == "after")

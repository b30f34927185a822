"""The clock on the wall is put forward and back."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.parts import need

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from tests.faults.lab import Lab
    from tests.fix_database import Database
    from tests.fix_dovecot import Box

    NewLab = Callable[..., AbstractContextManager[Lab]]

pytestmark = pytest.mark.faults

LIBRARY = "/usr/$LIB/faketime/libfaketimeMT.so.1"


def test_a_clock_that_jumps(lab: NewLab, database: Database, box: Box, tmp_path: Path) -> None:
    """A clock that jumps a day forward and back changes what is noted, and nothing that is done."""
    need(list(Path("/usr/lib").glob("*/faketime")), "apt-get install faketime")
    clock = tmp_path / "clock"
    clock.write_text("+0")
    faked = {
        "LD_PRELOAD": LIBRARY,
        "FAKETIME_TIMESTAMP_FILE": os.fspath(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    with lab(database, box=box, env=faked, watchdog=5.0) as running:
        running.sender.keep_busy()
        for jump in ["+1d", "-1d", "+0"] * 6:
            running.mail(running.take(2))
            running.sender.await_taken(5)
            clock.with_name("next").write_text(jump)
            clock.with_name("next").replace(clock)
        running.sender.await_taken(5)
        running.settle()

        assert running.unit.ends == [0]
        assert running.rows(FAR) == [(True, True)]
        assert {json.loads(line)["level"] for line in running._log()} == {"info"}
        assert not [line for line in running._log() if "standing by" in line]


#: Whether mails were noted as received a day before and after they were.
FAR = """
select min(received_at) < now() - interval '23 h', max(received_at) > now() + interval '23 h'
from intake.mails where source = 'smtp'
"""

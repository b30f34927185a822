"""Mails of the whole world, collected by other projects: each gets a verdict, and none stops the door."""

from __future__ import annotations

import smtplib
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from daemon.child import Limits
from daemon.commands.posting import crlf
from daemon.outcome import Verdict
from tests.fix_daemon import PATIENCE, SHARED
from tests.fix_house import US, a_mail, new_house, new_readers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from daemon.outcome import Outcome
    from tests.fix_daemon import Daemon
    from tests.fix_database import Database
    from tests.fix_house import House

MAILS = sorted(
    path for path in (SHARED / "mails").rglob("*") if path.is_file() and path.suffix in {".eml", ".txt"}
)

#: Mails under way at a time, fewer than may wait for the slow lane.
SENDERS = 12

pytestmark = pytest.mark.skipif(not MAILS, reason="needs the folder shared/mails beside the checkout")


def as_it_lies(raw: bytes) -> bytes:
    """A file's own line ends, whatever they are."""
    return raw


@pytest.mark.parametrize("line_ends", [as_it_lies, pytest.param(crlf, marks=pytest.mark.long)])
def test_every_mail_gets_a_verdict(
    database: Database, tmp_path: Path, line_ends: Callable[[bytes], bytes]
) -> None:
    """No crash, nothing deferred for its own sake, and the next honest mail is taken at once."""
    limits = Limits()
    with new_readers(limits) as readers, new_house(readers, database, tmp_path / "storage") as house:
        with ThreadPoolExecutor(SENDERS) as senders:
            outcomes = list(senders.map(lambda path: house.take(line_ends(path.read_bytes())), MAILS))

        verdicts = Counter(outcome.verdict for outcome in outcomes)
        print(", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common()))  # noqa: T201 - with -s
        assert Verdict.DEFERRED not in verdicts
        assert _broken(outcomes) <= {"crashers"}
        _assert_each_is_known(house)
        assert house.intake.alive()
        started = time.monotonic()
        assert house.take(a_mail()).verdict is Verdict.ACCEPTED
        assert time.monotonic() - started < 3 * limits.deadline


def _broken(outcomes: Sequence[Outcome]) -> set[str]:
    """The folders of the mails that nobody could read."""
    return {
        path.parent.name
        for path, outcome in zip(MAILS, outcomes, strict=True)
        if outcome.reason.startswith("broke its reader")
    }


def _assert_each_is_known(house: House) -> None:
    """The rows say of each mail what its sender was told."""
    ((recorded,),) = house.rows("select count(*) from intake.arrivals")
    assert recorded == len(MAILS)
    assert house.rows("select 1 from intake.arrivals where verdict = 'deferred'") == []


@pytest.mark.long
def test_a_tenth_of_them_by_smtp(daemon: Daemon) -> None:
    """The same over the wire: a final answer for each, and the session goes on."""
    answers: Counter[int] = Counter()
    with smtplib.SMTP(*daemon.smtp, timeout=PATIENCE) as client:
        client.ehlo()
        for path in MAILS[::10]:
            client.mail("ana@example.org", ["BODY=8BITMIME"])
            client.rcpt(US)
            answers[client.data(crlf(path.read_bytes()))[0]] += 1
    print(answers)  # noqa: T201 - with -s

    assert set(answers) <= {250, 550}
    assert daemon.process.poll() is None
    assert daemon.mail(a_mail())[0] == 250

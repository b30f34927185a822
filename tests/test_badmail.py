"""Bad mail of all classes: each is answered and recorded, and the service goes on as it was."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import TYPE_CHECKING

import pytest

from daemon.child import Limits
from daemon.outcome import Verdict
from daemon.readers import TRIES
from daemon.sources.answers import ANSWERS
from tests.badmail.catalogue import CLASSES
from tests.bombs import MIB
from tests.fix_daemon import REPO
from tests.fix_house import DEFAULTS, a_mail, new_house, new_readers
from tests.fix_posting import hand_in_all, sent_by
from tests.fix_target import DEADLINE, SLACK, SLOW_DEADLINE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from tests.fix_database import Database
    from tests.fix_target import Target

#: What README promises.
MAILS_MIN, CLASSES_MIN = 1200, 15
#: Of how many mails of a class one is handed in each time; all of them are when there is time.
SOME = 3
#: Octets by which the service may grow while it answers a class, twelve mails at a time, and over all.
GROWTH = 32 * MIB
#: Seconds within which the next honest mail is taken, and how many times that on a busy machine.
PROMPT, BUSY = 1.0, 3
#: Mails under way at a time in a house, fewer than may wait for the slow lane.
SENDERS = 12

#: Refused before anybody reads it, for a bare CR or LF or the length of a line; nothing is recorded.
UNREAD = "554 5.6.0"

each_class = pytest.mark.parametrize("kind", CLASSES)
numbers = count()


def test_the_catalogue_is_as_large_as_we_say() -> None:
    """Each mail is another one, and each time it is the same."""
    mails = {(kind, name): raw for kind, made in CLASSES.items() for name, raw in made()}

    assert len(CLASSES) == CLASSES_MIN
    assert len(set(mails.values())) >= MAILS_MIN
    assert len(mails) == sum(len(list(made())) for made in CLASSES.values())
    assert mails == {(kind, name): raw for kind, made in CLASSES.items() for name, raw in made()}
    assert f"{MAILS_MIN:,} bad mails of {CLASSES_MIN} classes" in (REPO / "README.md").read_text()


@each_class
def test_some_bad_mails_are_answered(target: Target, kind: str) -> None:
    """Of each class, where anybody may send and where senders have to prove themselves."""
    assert_withstood(target, dict(list(CLASSES[kind]())[::SOME]))


@pytest.mark.long
@each_class
def test_all_bad_mails_are_answered(target: Target, kind: str) -> None:
    """The whole of each class."""
    assert_withstood(target, dict(CLASSES[kind]()))


def assert_withstood(target: Target, mails: dict[str, bytes]) -> None:
    """An answer each, in time, and a row that says the same; then honest mail is taken at once."""
    first = next(numbers) * 10_000
    with target.growth() as growth:
        answers = hand_in_all(target.daemon.smtp, list(mails.values()), first)
        grown = growth()
    honest = target.honest()
    figures = f"{grown / MIB:.1f} of {target.grown() / MIB:.1f} MiB, honest {honest.seconds:.2f} s"
    print(f"{len(mails)} mails, {figures}")  # noqa: T201 - with -s

    recorded = recorded_of(target.database, map(sent_by, range(first, first + len(mails))))
    told = {name: f"{answer.code} {answer.text[:5]}" for name, answer in zip(mails, answers, strict=True)}
    owed = {name: owes(rows) for name, rows in zip(mails, recorded, strict=True)}
    assert told == owed
    assert max(answer.seconds for answer in answers) < DEADLINE + TRIES * SLOW_DEADLINE + SLACK
    assert honest.code == 250
    assert honest.seconds < BUSY * PROMPT
    assert broken(target.database) == []
    assert target.daemon.process.poll() is None
    assert max(grown, target.grown()) < GROWTH


def recorded_of(database: Database, senders: Iterator[str]) -> list[list[tuple[str, str]]]:
    """What is recorded of the mails of each of these senders: verdict of the arrival, and of the mail."""
    with database.connect() as conn:
        rows = conn.execute(
            "select a.mail_from, a.verdict, m.verdict from intake.arrivals a"
            " join intake.mails m on m.id = a.mail_id"
        ).fetchall()
    return [[(arrival, mail) for each, arrival, mail in rows if each == sender] for sender in senders]


def owes(rows: Sequence[tuple[str, str]]) -> str:
    """What the sender of a mail must have been told, by what is recorded of it."""
    if not rows:
        return UNREAD
    ((arrival, mail),) = rows
    assert mail == ("accepted" if arrival == "duplicate" else arrival)
    return ANSWERS[Verdict(arrival)][:9]


def broken(database: Database) -> list[tuple[str, str]]:
    """The mails that are held only because nobody could read them."""
    with database.connect() as conn:
        return conn.execute(
            "select a.mail_from, m.reason from intake.mails m join intake.arrivals a on a.mail_id = m.id"
            " where m.reason like 'broke %'"
        ).fetchall()


def as_it_is(raw: bytes) -> bytes:
    """With all the octets that SMTP doesn't let through."""
    return raw


def with_lf(raw: bytes) -> bytes:
    """As a file on Unix holds it."""
    return raw.replace(b"\r\n", b"\n")


@pytest.mark.long
@pytest.mark.parametrize("line_ends", [as_it_is, with_lf])
def test_bad_mails_of_a_mailbox_get_a_verdict(
    database: Database, tmp_path: Path, line_ends: Callable[[bytes], bytes]
) -> None:
    """Nobody has refused bare line ends there: all are read, and none is left for its own sake."""
    raws = [line_ends(raw) for made in CLASSES.values() for _, raw in made()]
    with new_readers(Limits(), DEFAULTS) as readers, new_house(readers, database, tmp_path) as house:
        with ThreadPoolExecutor(SENDERS) as senders:
            verdicts = [outcome.verdict for outcome in senders.map(house.take, raws)]

        assert Verdict.DEFERRED not in verdicts
        assert house.rows("select count(*) from intake.arrivals") == [(len(raws),)]
        assert broken(database) == []
        assert house.take(a_mail()).verdict is Verdict.ACCEPTED

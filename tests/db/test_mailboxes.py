"""The leases of mailboxes: each has one owner at a time, by the database's clock."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from db import mailboxes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from psycopg import Connection

    from tests.fix_database import Database

PATIENCE = 20

#: Seconds of a lease that runs, and of one that has run out.
RUNS, OVER = 3600, -1


@pytest.fixture
def conn(database: Database) -> Iterator[Connection[Any]]:
    """As the daemon, each statement for itself."""
    with database.connect("daemon", autocommit=True) as made:
        yield made


def renew(conn: Connection[Any], owner: str, epoch: int, **more: Any) -> bool:
    """Renew the lease of specs, with nothing to tell."""
    return mailboxes.renew(
        conn, "specs", owner, epoch, more.pop("seconds", RUNS), **{"state": "", "ago": None} | more
    )


def await_locked(database: Database) -> None:
    """Return when somebody waits for a lock."""
    deadline = time.monotonic() + PATIENCE
    with database.connect(autocommit=True) as owner:
        while not owner.execute("select from pg_locks where not granted").fetchall():
            assert time.monotonic() < deadline


def test_a_mailbox_has_one_owner(conn: Connection[Any]) -> None:
    """Whoever comes second gets nothing, not even the same one again; each mailbox is for itself."""
    assert mailboxes.take(conn, "specs", "first", RUNS) == 1

    assert mailboxes.take(conn, "specs", "second", RUNS) is None
    assert mailboxes.take(conn, "specs", "first", RUNS) is None
    assert mailboxes.take(conn, "plans", "second", RUNS) == 1


def test_whoever_takes_over_has_a_higher_epoch(conn: Connection[Any]) -> None:
    """So the one before is told apart, even when it was the same."""
    epochs = [mailboxes.take(conn, "specs", owner, OVER) for owner in ("first", "second", "second")]

    assert epochs == [1, 2, 3]


def test_a_lease_ends_by_the_databases_clock(database: Database) -> None:
    """Also within a long transaction, for which now() stands still."""
    with database.connect("daemon") as conn:
        mailboxes.take(conn, "specs", "first", 0.2)
        assert mailboxes.leased(conn, {"specs"}) == {("specs", 1)}

        deadline = time.monotonic() + PATIENCE
        while mailboxes.leased(conn, {"specs"}):
            assert time.monotonic() < deadline
        assert mailboxes.take(conn, "specs", "second", RUNS) == 2


def test_of_two_at_a_time_one_takes(database: Database) -> None:
    """Whoever waits for the other's transaction then finds the lease taken."""
    with (
        database.connect("daemon") as first,
        database.connect("daemon") as second,
        ThreadPoolExecutor(1) as other,
    ):
        assert mailboxes.take(first, "specs", "first", RUNS) == 1
        waiting = other.submit(mailboxes.take, second, "specs", "second", RUNS)
        await_locked(database)
        first.commit()

        assert waiting.result(PATIENCE) is None


def test_the_lease_of_the_dead_need_not_run_out(conn: Connection[Any]) -> None:
    """Of those who are known to be dead, and of nobody else."""
    mailboxes.take(conn, "specs", "dead", RUNS)

    assert mailboxes.take(conn, "specs", "next", RUNS, ["another"]) is None
    assert mailboxes.take(conn, "specs", "next", RUNS, ["another", "dead"]) == 2


def test_renewing_holds_it_and_tells_how_it_fares(conn: Connection[Any]) -> None:
    """When it was looked at stays until it is looked at again."""
    mailboxes.take(conn, "specs", "first", OVER)

    assert renew(conn, "first", 1, state="waiting", ago=5.0)
    first = mailboxes.watched(conn, "specs")
    assert renew(conn, "first", 1, state="looking")
    second = mailboxes.watched(conn, "specs")

    assert first
    assert second
    assert (first.owner, first.leased, first.state) == ("first", True, "waiting")
    assert (second.state, second.looked_at) == ("looking", first.looked_at)
    assert conn.execute("select now() - %s between '5 s' and '25 s'", [first.looked_at]).fetchone() == (True,)


def test_after_a_takeover_nothing_is_renewed(conn: Connection[Any]) -> None:
    """Whoever was paused past its lease changes nothing, under its old epoch or a guessed one."""
    mailboxes.take(conn, "specs", "first", OVER)
    mailboxes.take(conn, "specs", "second", RUNS)
    before = mailboxes.watched(conn, "specs")

    assert not renew(conn, "first", 1, state="late", seconds=OVER)
    assert not renew(conn, "first", 2, state="late", seconds=OVER)
    assert not renew(conn, "second", 1, state="late", seconds=OVER)

    assert mailboxes.watched(conn, "specs") == before


def test_what_is_released_is_had_at_once(conn: Connection[Any]) -> None:
    """By its owner alone."""
    mailboxes.take(conn, "specs", "first", RUNS)

    mailboxes.release(conn, "specs", "second", 1)
    mailboxes.release(conn, "specs", "first", 2)
    assert mailboxes.take(conn, "specs", "second", RUNS) is None

    mailboxes.release(conn, "specs", "first", 1)
    assert mailboxes.take(conn, "specs", "second", RUNS) == 2


def test_at_the_end_it_is_told_when_it_was_looked_at(conn: Connection[Any]) -> None:
    """Though nothing is renewed any more; where there is nothing to tell, what was told before stays."""
    mailboxes.take(conn, "specs", "first", RUNS)
    mailboxes.release(conn, "specs", "first", 1, ago=5.0)
    told = mailboxes.watched(conn, "specs")
    mailboxes.release(conn, "specs", "first", 1)

    assert told
    assert told.looked_at
    assert (told.leased, told.state) == (False, "released")
    assert mailboxes.watched(conn, "specs") == told


def test_leases_that_run_are_known_by_their_epochs(conn: Connection[Any]) -> None:
    """Those that were asked for."""
    mailboxes.take(conn, "over", "first", OVER)
    for _ in range(2):
        mailboxes.take(conn, "again", "first", OVER)
    mailboxes.take(conn, "again", "first", RUNS)
    mailboxes.take(conn, "other", "first", RUNS)

    assert mailboxes.leased(conn, {"over", "again", "never"}) == {("again", 3)}
    assert mailboxes.leased(conn, set()) == set()


def test_nobody_takes_over_while_mails_are_being_recorded(database: Database) -> None:
    """Who saw the lease in a transaction may rely on it until that ends."""
    with (
        database.connect("daemon") as recording,
        database.connect("daemon", autocommit=True) as another,
        ThreadPoolExecutor(1) as other,
    ):
        mailboxes.take(another, "specs", "first", RUNS)
        assert mailboxes.leased(recording, {"specs"}) == {("specs", 1)}
        waiting = other.submit(mailboxes.take, another, "specs", "second", RUNS, ["first"])
        await_locked(database)
        assert not waiting.done()
        recording.commit()

        assert waiting.result(PATIENCE) == 2


def test_of_a_mailbox_that_nobody_watched_nothing_is_known(conn: Connection[Any]) -> None:
    """And one whose lease has run out is not being watched."""
    mailboxes.take(conn, "over", "first", OVER)

    over = mailboxes.watched(conn, "over")

    assert mailboxes.watched(conn, "specs") is None
    assert over
    assert (over.leased, over.looked_at) == (False, None)

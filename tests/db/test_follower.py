"""Following status events, also those that commit late."""

from __future__ import annotations

import random
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from db import events, follower
from db.events import CHANNEL, EventRow
from db.follower import Follower

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg import Connection

    from tests.fix_database import Database

PATIENCE = 20


@pytest.fixture
def conn(database: Database) -> Iterator[Connection[Any]]:
    """The daemon's connection, each statement with a snapshot of its own."""
    with database.connect("daemon", autocommit=True) as made:
        yield made


def write(conn: Connection[Any], *messages: str) -> None:
    """Record an event for each message."""
    events.insert(conn, [EventRow(phase="BUILD", message=message, metadata={}) for message in messages])


def messages(found: list[events.Event]) -> list[str | None]:
    """What the events say."""
    return [event.message for event in found]


def test_events_are_seen_once_in_their_order(conn: Connection[Any]) -> None:
    """A second look shows only what is new."""
    following = Follower.from_now(conn)
    write(conn, "a", "b")

    assert messages(following.poll(conn)) == ["a", "b"]
    assert following.poll(conn) == []
    write(conn, "c")
    assert messages(following.poll(conn)) == ["c"]


def test_what_was_there_before_is_not_shown(conn: Connection[Any]) -> None:
    """A follower from now shows what comes from now on."""
    write(conn, "old")
    following = Follower.from_now(conn)

    assert following.poll(conn) == []


def test_an_event_that_commits_after_younger_ones_is_not_skipped(
    database: Database, conn: Connection[Any]
) -> None:
    """Ids are drawn before the commit: the late one is asked for again."""
    following = Follower.from_now(conn)
    with database.connect("daemon") as late:
        write(late, "late")
        write(conn, "early")
        assert messages(following.poll(conn)) == ["early"]
        late.commit()

    assert messages(following.poll(conn)) == ["late"]


def test_a_late_event_from_before_the_start_is_seen(database: Database, conn: Connection[Any]) -> None:
    """Who starts to follow while a transaction is under way doesn't miss it."""
    with database.connect("daemon") as late:
        write(late, "late")
        write(conn, "early")
        following = Follower.from_now(conn)
        late.commit()

    assert messages(following.poll(conn)) == ["late"]


def test_a_gap_that_was_rolled_back_is_forgotten(
    database: Database, conn: Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody asks for ever for ids that will never come."""
    monkeypatch.setattr(follower, "SETTLE", 0.0)
    following = Follower.from_now(conn)
    with database.connect("daemon") as undone:
        write(undone, "undone")
        write(conn, "kept")
        following.poll(conn)
        assert following._gaps
        undone.rollback()

    deadline = time.monotonic() + PATIENCE
    while following._gaps and time.monotonic() < deadline:
        conn.execute("select pg_current_xact_id()")  # the oldest running transaction moves on
        following.poll(conn)
    assert following._gaps == []


def test_a_gap_is_kept_as_long_as_its_transaction_runs(
    database: Database, conn: Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long a commit takes, its events are not given up."""
    monkeypatch.setattr(follower, "SETTLE", 0.0)
    following = Follower.from_now(conn)
    with database.connect("daemon") as late:
        write(late, "late")
        for n in range(20):
            write(conn, str(n))
            following.poll(conn)
        late.commit()

    assert messages(following.poll(conn)) == ["late"]


def test_no_event_of_many_side_by_side_writers_is_missed(database: Database, conn: Connection[Any]) -> None:
    """With commits of any duration and roll-backs between them, each event is seen exactly once."""
    following = Follower.from_now(conn)
    chance = random.Random(7)
    committed: list[str] = []
    lock = threading.Lock()

    def writer(name: int, pauses: list[float]) -> None:
        with database.connect("daemon") as mine:
            for n, pause in enumerate(pauses):
                write(mine, f"{name}-{n}")
                time.sleep(pause)
                if n % 5 == 4:
                    mine.rollback()
                else:
                    with lock:
                        committed.append(f"{name}-{n}")
                    mine.commit()

    threads = [
        threading.Thread(target=writer, args=[name, [chance.choice([0, 0.001, 0.05]) for _ in range(60)]])
        for name in range(6)
    ]
    seen: list[str | None] = []
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        seen += messages(following.poll(conn))
    seen += messages(following.poll(conn))

    assert sorted(map(str, seen)) == sorted(committed)


def test_a_listener_is_woken_by_each_statement_that_writes_events(
    database: Database, conn: Connection[Any]
) -> None:
    """The notification carries the largest id, and comes with the commit."""
    with database.connect("daemon", autocommit=True) as bell:
        bell.execute(f"listen {CHANNEL}")
        write(conn, "a", "b", "c")

        (rung,) = bell.notifies(timeout=PATIENCE, stop_after=1)

    assert rung.payload == str(conn.execute("select max(id) from status_events").fetchall()[0][0])


def test_the_newest_events_come_oldest_first(conn: Connection[Any]) -> None:
    """As in a log."""
    write(conn, "a", "b", "c")

    assert messages(events.last(conn, 2)) == ["b", "c"]


def test_a_lost_connection_loses_no_event(database: Database, conn: Connection[Any]) -> None:
    """The follower's state is its own: another connection goes on where the last one broke."""
    following = Follower.from_now(conn)
    with database.connect("daemon", autocommit=True) as first:
        write(conn, "before")
        assert messages(following.poll(first)) == ["before"]
        first.close()
        with suppress(psycopg.OperationalError):
            following.poll(first)
    write(conn, "after")

    assert messages(following.poll(conn)) == ["after"]

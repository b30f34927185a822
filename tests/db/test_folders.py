"""How far each numbering of a folder was taken in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from db import folders
from db.folders import FolderRow, Numbering

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from psycopg import Connection

    from tests.fix_database import Database

INBOX = Numbering("specs", "INBOX", 1)
ANEW = INBOX._replace(uidvalidity=2)
SINCE = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def conn(database: Database) -> Iterator[Connection[Any]]:
    """As the daemon, each statement for itself."""
    with database.connect("daemon", autocommit=True) as made:
        yield made


def test_what_is_entered_is_found_under_its_numbering(conn: Connection[Any]) -> None:
    """And nothing under any other."""
    folders.enter(conn, INBOX, 7, SINCE)

    assert folders.get(conn, INBOX) == FolderRow(7, SINCE, [])
    others = [ANEW, INBOX._replace(account="x"), INBOX._replace(folder="x")]
    assert [folders.get(conn, other) for other in others] == [None] * 3


def test_a_numbering_is_entered_once(conn: Connection[Any]) -> None:
    """What is ours is decided at the contact, whoever else makes it."""
    folders.enter(conn, INBOX, 7, None)
    folders.enter(conn, INBOX, 1, SINCE)

    assert folders.get(conn, INBOX) == FolderRow(7, None, [])


def test_the_first_contact_is_remembered_under_all_numberings(conn: Connection[Any]) -> None:
    """Each folder has its own; it is the database's time."""
    assert folders.first_contact(conn, "specs", "INBOX") is None
    folders.enter(conn, INBOX, 1, None)
    first = folders.first_contact(conn, "specs", "INBOX")
    folders.enter(conn, ANEW, 1, None)

    assert first
    assert conn.execute("select now() - %s between '0' and %s", [first, timedelta(minutes=1)]).fetchone() == (
        True,
    )
    assert folders.first_contact(conn, "specs", "INBOX") == first
    assert conn.execute("select distinct contact_at from intake.folders").fetchall() == [(first,)]
    assert folders.first_contact(conn, "specs", "Specs") is None
    assert folders.first_contact(conn, "plans", "INBOX") is None


def test_what_is_begun_replaces_what_was(conn: Connection[Any]) -> None:
    """Nothing is left when all is done; other numberings are for themselves."""
    for numbering in (INBOX, ANEW):
        folders.enter(conn, numbering, 1, None)
        folders.begin(conn, numbering, [1, 2])
    folders.begin(conn, INBOX, [3])

    assert [folders.get(conn, each) for each in (INBOX, ANEW)] == [
        FolderRow(1, None, [3]),
        FolderRow(1, None, [1, 2]),
    ]
    folders.begin(conn, INBOX, [])
    assert folders.get(conn, INBOX) == FolderRow(1, None, [])


def test_what_is_read_alone_is_counted_until_it_ends(conn: Connection[Any]) -> None:
    """One at a time: another begins at one, and so does the same one after an end."""
    for numbering in (INBOX, ANEW):
        folders.enter(conn, numbering, 1, None)

    assert [folders.alone(conn, INBOX, uid) for uid in (5, 5, 5, 6, 6, 5)] == [1, 2, 3, 1, 2, 1]
    assert folders.alone(conn, ANEW, 5) == 1
    folders.begin(conn, INBOX, [])
    assert folders.alone(conn, INBOX, 5) == 1
    assert folders.alone(conn, ANEW, 5) == 2


def test_reading_alone_forgets_nothing_else(conn: Connection[Any]) -> None:
    """Those behind it are still to be read after a kill."""
    folders.enter(conn, INBOX, 1, None)
    folders.begin(conn, INBOX, [5, 6])
    folders.alone(conn, INBOX, 5)

    assert folders.get(conn, INBOX) == FolderRow(1, None, [5, 6])

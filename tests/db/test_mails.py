"""The rows of mails, written by many at a time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from db import mails
from db.mails import MailRow

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from psycopg import Connection

    from tests.fix_database import Database

PATIENCE = 20


def a_row(number: int) -> MailRow:
    """A mail with an id of its own."""
    now = datetime.now(UTC)
    return MailRow(
        id=UUID(int=number),
        raw_id=UUID(int=number),
        content_id=None,
        source="smtp",
        sender=None,
        message_id=None,
        references=(),
        subject=None,
        sent_at=None,
        size=1,
        verdict="ignored",
        reason=None,
        problems=[],
        evidence={},
        letter=None,
        rule=None,
        reply_allowed=False,
        received_at=now,
        decided_at=now,
    )


@pytest.mark.parametrize("write", [mails.insert, mails.upsert])
def test_writers_of_the_same_mails_wait_and_do_not_deadlock(
    database: Database, write: Callable[[Connection, Sequence[MailRow]], Collection[UUID]]
) -> None:
    """Whatever order they are given in, rows are taken in one order: who waits holds nothing further on."""
    with (
        database.connect("daemon") as first,
        database.connect("daemon") as second,
        database.connect("owner", autocommit=True) as owner,
        ThreadPoolExecutor(1) as other,
    ):
        write(first, [a_row(1)])
        waiting = other.submit(write, second, [a_row(2), a_row(1)])
        while not owner.execute("select from pg_locks where not granted").fetchall():
            pass

        written = set(write(first, [a_row(2)]))
        first.commit()
        assert (written, set(waiting.result(PATIENCE))) == ({UUID(int=2)}, set())

"""``intake.folders``: how far each numbering of a mailbox's folder was taken in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from psycopg.rows import class_row

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from psycopg import Connection


class Numbering(NamedTuple):
    """A folder under one UIDVALIDITY."""

    account: str
    folder: str
    uidvalidity: int


@dataclass(frozen=True, slots=True)
class FolderRow:
    """How far a folder was taken in.

    What is below ``first_uid``, or was received before ``since``, is none of
    ours; ``unfinished`` were being read when last heard of.
    """

    first_uid: int
    since: datetime | None
    unfinished: Sequence[int]


GET = """
select first_uid, since, unfinished from intake.folders
where account = %s and folder = %s and uidvalidity = %s
"""

CONTACT = "select min(contact_at) from intake.folders where account = %s and folder = %s"

OPEN = """
insert into intake.folders (account, folder, uidvalidity, first_uid, since, contact_at)
select %(account)s, %(folder)s, %(uidvalidity)s, %(first_uid)s, %(since)s, coalesce(min(contact_at), now())
from intake.folders where account = %(account)s and folder = %(folder)s
on conflict do nothing
"""

BEGIN = """
update intake.folders set unfinished = %s, alone_uid = null, alone_times = 0
where account = %s and folder = %s and uidvalidity = %s
"""

ALONE = """
update intake.folders
set alone_times = case when alone_uid = %(uid)s then alone_times + 1 else 1 end, alone_uid = %(uid)s
where account = %(account)s and folder = %(folder)s and uidvalidity = %(uidvalidity)s
returning alone_times
"""


def get(conn: Connection, numbering: Numbering) -> FolderRow | None:
    """How far it was taken in; None at the first contact with this numbering."""
    with conn.cursor(row_factory=class_row(FolderRow)) as cursor:
        return cursor.execute(GET, numbering).fetchone()


def first_contact(conn: Connection, account: str, folder: str) -> datetime | None:
    """When the folder was first seen, whatever its numbering; None when it never was."""
    row = conn.execute(CONTACT, [account, folder]).fetchone()
    return row[0] if row else None


def enter(conn: Connection, numbering: Numbering, first_uid: int, since: datetime | None) -> None:
    """Begin with a numbering."""
    conn.execute(OPEN, numbering._asdict() | {"first_uid": first_uid, "since": since})


def begin(conn: Connection, numbering: Numbering, uids: Sequence[int]) -> None:
    """Note which UIDs are being read; none when all of them are done."""
    conn.execute(BEGIN, [list(uids), *numbering])


def alone(conn: Connection, numbering: Numbering, uid: int) -> int:
    """Note that one UID is being read alone; how often that was begun, and never before ended, by now."""
    row = conn.execute(ALONE, numbering._asdict() | {"uid": uid}).fetchone()
    return row[0] if row else 1

"""``intake.parts``: the index of what lies in storage, and which mail and spec it belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING

from psycopg.rows import class_row

from db.rows import insert_into, payload

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from psycopg import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class PartRow:
    """A stored object; ``place`` is the part number, or ``raw`` or ``plan-<n>``; ``size`` in bytes."""

    mail_id: UUID
    place: str
    name: str | None
    media_type: str
    size: int
    sha256: str
    key: str
    spec_id: UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """An object that should lie in storage, or should not any more.

    ``forgotten`` says that its mail was dropped or replaced, ``forgetting``
    that somebody is to remove it.
    """

    mail_id: UUID
    place: str
    size: int
    sha256: str
    key: str
    forgotten: bool
    forgetting: bool


OF_MAIL = """
select mail_id, place, name, media_type, size, sha256, key, spec_id from intake.parts
where mail_id = %s and removed_at is null
order by place <> 'raw', place like 'plan-%%', length(place), place
"""

# Ids, and so folders in storage, begin with two hexadecimal digits: everything at once would be too much.
EXPECTED = """
select p.mail_id, p.place, p.size, p.sha256, p.key,
  m.dropped_at is not null or exists (select from intake.mails n where n.supersedes = m.id) as forgotten,
  exists (
    select from intake.jobs j where j.mail_id = m.id and j.kind = 'forget' and j.state = 'waiting'
  ) as forgetting
from intake.parts p join intake.mails m on m.id = p.mail_id
where p.mail_id between (%(digits)s || '000000-0000-0000-0000-000000000000')::uuid
  and (%(digits)s || 'ffffff-ffff-ffff-ffff-ffffffffffff')::uuid and p.removed_at is null
"""

OF_SPEC = """
select mail_id, place, name, media_type, size, sha256, key, spec_id from intake.parts
where mail_id in (select mail_id from intake.parts where spec_id = %(spec)s)
  and place <> 'raw' and (spec_id is null or spec_id = %(spec)s) and removed_at is null
order by spec_id is null, place like 'plan-%%', length(place), place
"""

INSERT = insert_into("intake.parts", PartRow, "on conflict (mail_id, place) do nothing")


def insert(conn: Connection, rows: Sequence[PartRow]) -> None:
    """Index stored objects; those that are there already stay as they are."""
    conn.execute(INSERT, [payload(sorted(rows, key=attrgetter("mail_id", "place")))])


def of_mail(conn: Connection, mail_id: UUID) -> list[PartRow]:
    """What of a mail lies in storage: itself, its parts, its plans."""
    with conn.cursor(row_factory=class_row(PartRow)) as cursor:
        return cursor.execute(OF_MAIL, [mail_id]).fetchall()


def of_spec(conn: Connection, spec_id: UUID) -> list[PartRow]:
    """What lies in storage of a specification: its document, its plan, what was attached beside it."""
    with conn.cursor(row_factory=class_row(PartRow)) as cursor:
        return cursor.execute(OF_SPEC, {"spec": spec_id}).fetchall()


def expected(conn: Connection, digits: str) -> list[Expected]:
    """What should lie in storage of the mails whose ids begin with two hexadecimal ``digits``."""
    with conn.cursor(row_factory=class_row(Expected)) as cursor:
        return cursor.execute(EXPECTED, {"digits": digits}).fetchall()

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


OF_MAIL = """
select mail_id, place, name, media_type, size, sha256, key, spec_id from intake.parts where mail_id = %s
order by place <> 'raw', place like 'plan-%%', length(place), place
"""

OF_SPEC = """
select mail_id, place, name, media_type, size, sha256, key, spec_id from intake.parts
where mail_id in (select mail_id from intake.parts where spec_id = %(spec)s)
  and place <> 'raw' and (spec_id is null or spec_id = %(spec)s)
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

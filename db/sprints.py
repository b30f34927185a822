"""``sprints``: the slices in which a specification is built."""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from psycopg.rows import class_row

from db.rows import payload

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from psycopg import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class SprintRow:
    """A sprint as it is recorded; ``position`` counts from 0 within its specification."""

    id: UUID
    spec_id: UUID
    label: str
    dod_json: dict[str, Any]
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sprint:
    """A sprint as it stands in the control plane."""

    id: UUID
    spec_id: UUID
    label: str
    dod_json: dict[str, Any]
    state: str
    created_at: datetime


# The table has no column for the order of sprints and may get none: created_at is the order, for CI too.
# So we set it, to the transaction's time plus a microsecond for each sprint before;
# a default of now() would give all sprints of a specification the same time.
INSERT = """
insert into public.sprints (id, spec_id, label, dod_json, created_at)
select id, spec_id, label, dod_json, now() + position * interval '1 microsecond'
from json_to_recordset(%s) as r(id uuid, spec_id uuid, label text, dod_json jsonb, position int)
on conflict (id) do nothing
"""


def insert(conn: Connection, rows: Sequence[SprintRow]) -> None:
    """Record sprints; those that are there already stay as they are."""
    conn.execute(INSERT, [payload(sorted(rows, key=attrgetter("id")))])


def of_spec(conn: Connection, spec_id: UUID) -> list[Sprint]:
    """The sprints of a specification in its order."""
    with conn.cursor(row_factory=class_row(Sprint)) as cursor:
        query = """
            select id, spec_id, label, dod_json, state, created_at from public.sprints
            where spec_id = %s order by created_at, id
        """
        return cursor.execute(query, [spec_id]).fetchall()

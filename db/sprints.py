"""``sprints``: the slices in which a specification is built."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg.rows import class_row

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from uuid import UUID

    from psycopg import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Sprint:
    """A sprint as it stands in the control plane."""

    id: UUID
    spec_id: UUID
    label: str
    dod_json: dict[str, Any]
    state: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried(Sprint):
    """A sprint with how many runs it has had, and the result of the last one once that is finished."""

    runs: int
    result: str | None


# The table has no column for the order of sprints and may get none: created_at is the order, for CI too.
# So we set it, to the transaction's time plus a microsecond for each sprint before;
# a default of now() would give all sprints of a specification the same time.
# In the order of ids: two writers with the same sprints then wait for each other, and never both.
INSERT = """
insert into public.sprints (id, spec_id, label, dod_json, created_at)
select id, spec_id, label, dod, now() + position * interval '1 microsecond'
from json_to_recordset(%s) as r(id uuid, spec_id uuid, label text, dod jsonb, position int)
order by id
on conflict (id) do nothing
"""


def insert(conn: Connection, arrays: Iterable[bytes]) -> None:
    """Record sprints; those that are there already stay as they are.

    Each of ``arrays`` is JSON: ``id``, ``spec_id``, ``label``, ``dod``, and
    ``position``, which counts from 0 within the specification.
    """
    rows = b",".join(array[1:-1] for array in arrays)
    conn.execute(INSERT, [f"[{rows.decode()}]"])


def next_of(conn: Connection, spec_id: UUID) -> Sprint | None:
    """The sprint of a specification that is to be run next; None when none is planned any more."""
    with conn.cursor(row_factory=class_row(Sprint)) as cursor:
        query = "select id, spec_id, label, dod_json, state, created_at from public.next_sprint(%s)"
        return cursor.execute(query, [spec_id]).fetchone()


def of_spec(conn: Connection, spec_id: UUID) -> list[Tried]:
    """The sprints of a specification in its order."""
    with conn.cursor(row_factory=class_row(Tried)) as cursor:
        query = """
            select s.id, s.spec_id, s.label, s.dod_json, s.state, s.created_at, b.runs, b.result
            from public.sprints s join public.sprint_board b on b.sprint_id = s.id
            where s.spec_id = %(spec)s and b.spec_id = %(spec)s order by b.place
        """
        return cursor.execute(query, {"spec": spec_id}).fetchall()

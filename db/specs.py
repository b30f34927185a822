"""``specs``: what is to be built, where, and who asked for it."""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING

from psycopg.rows import class_row

from db.rows import insert_into, payload

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime
    from uuid import UUID

    from psycopg import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecRow:
    """A specification as it is recorded; ``storage_path`` is its key in storage."""

    id: UUID
    repo: str
    branch: str
    storage_path: str
    created_by: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """A specification as it stands in the control plane, with how far it is and what was last heard of it."""

    id: UUID
    repo: str
    branch: str
    storage_path: str
    sha: str | None
    created_at: datetime
    created_by: str | None
    sprints: int
    done: int
    last_phase: str | None
    last_event_at: datetime | None


INSERT = insert_into("public.specs", SpecRow, "on conflict (id) do nothing")

SELECT = """
select s.id, s.repo, s.branch, s.storage_path, s.sha, s.created_at, s.created_by,
  p.sprints, p.sprints_done as done, p.last_phase, p.last_event_at
from public.specs s join public.spec_progress p on p.spec_id = s.id
"""


def insert(conn: Connection, rows: Sequence[SpecRow]) -> None:
    """Record specifications; those that are there already stay as they are."""
    conn.execute(INSERT, [payload(sorted(rows, key=attrgetter("id")))])


def newest(conn: Connection, count: int) -> list[Spec]:
    """The ``count`` newest specifications, newest first."""
    with conn.cursor(row_factory=class_row(Spec)) as cursor:
        return cursor.execute(SELECT + "order by s.created_at desc, s.id limit %s", [count]).fetchall()


def some(conn: Connection, spec_ids: Iterable[UUID]) -> list[Spec]:
    """Those of these specifications that are there, the oldest first."""
    with conn.cursor(row_factory=class_row(Spec)) as cursor:
        query = SELECT + "where s.id = any(%s) order by s.created_at, s.id"
        return cursor.execute(query, [list(spec_ids)]).fetchall()


def get(conn: Connection, spec_id: UUID) -> Spec | None:
    """One specification, if it is there."""
    return next(iter(some(conn, [spec_id])), None)

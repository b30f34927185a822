"""``artifacts``: what runs left in storage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg.rows import class_row

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from psycopg import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A stored object of a run: ``kind`` is such as junit, ``size`` in bytes."""

    id: UUID
    run_id: UUID | None
    kind: str | None
    storage_path: str
    size: int | None
    created_at: datetime | None


COLUMNS = "a.id, a.run_id, a.kind, a.storage_path, a.size, a.created_at"

RECORD = f"select {COLUMNS} from public.record_artifact(%s, %s, %s, %s) a"  # noqa: S608 - our own columns

OF_SPEC = f"""
select {COLUMNS} from public.artifacts a
join public.runs r on r.id = a.run_id join public.sprints s on s.id = r.sprint_id
where s.spec_id = %s order by a.created_at, a.kind, a.storage_path, a.id
"""  # noqa: S608 - as above


def record(conn: Connection, run_id: UUID, kind: str, storage_path: str, size: int) -> Artifact:
    """Note what a run left; what is noted already is found again."""
    with conn.cursor(row_factory=class_row(Artifact)) as cursor:
        return cursor.execute(RECORD, [run_id, kind, storage_path, size]).fetchall()[0]


def of_spec(conn: Connection, spec_id: UUID) -> list[Artifact]:
    """What the runs of a specification's sprints left, in the order in which it came."""
    with conn.cursor(row_factory=class_row(Artifact)) as cursor:
        return cursor.execute(OF_SPEC, [spec_id]).fetchall()

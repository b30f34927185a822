"""``runs``: what CI did for a sprint, and what the gate said of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from psycopg import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run as it stands in the control plane; ``result`` is PASSED or FAILED once it is finished.

    Scripts of CI's write runs as well, with whatever they like in it.
    """

    id: UUID
    sprint_id: UUID | None
    ci_run_id: str | None
    started_at: datetime | None
    finished_at: datetime | None
    result: str | None
    summary_json: Any


COLUMNS = "r.id, r.sprint_id, r.ci_run_id, r.started_at, r.finished_at, r.result, r.summary_json"

START = f"select {COLUMNS} from public.start_run(%s, %s, %s) r"  # noqa: S608 - our own list of columns

OF_SPEC = f"""
select {COLUMNS} from public.runs r join public.sprints s on s.id = r.sprint_id
where s.spec_id = %s order by r.started_at, r.id
"""  # noqa: S608 - as above


def start(conn: Connection, sprint_id: UUID, ci_run_id: str, attempt: int) -> Run:
    """Begin a run, or find the one that this attempt began before."""
    with conn.cursor(row_factory=class_row(Run)) as cursor:
        return cursor.execute(START, [sprint_id, ci_run_id, attempt]).fetchall()[0]


def finish(conn: Connection, run_id: UUID, summary: dict[str, Any]) -> dict[str, Any]:
    """Have the gate decide, and end the run and its sprint by that.

    ``result``, ``criteria`` (each with ``criterion``, ``wanted``,
    ``reported`` and ``verdict``), ``run_id``, ``sprint_id`` and ``spec_id``.
    """
    said: dict[str, Any]
    ((said,),) = conn.execute("select public.finish_run(%s, %s)", [run_id, Jsonb(summary)]).fetchall()
    return said


def of_spec(conn: Connection, spec_id: UUID) -> list[Run]:
    """The runs of a specification's sprints, in the order in which they began."""
    with conn.cursor(row_factory=class_row(Run)) as cursor:
        return cursor.execute(OF_SPEC, [spec_id]).fetchall()

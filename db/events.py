"""``status_events``: what happened, written once, in the order of ids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg.rows import class_row

from db.rows import insert_into, payload

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from psycopg import Connection

#: On which PostgreSQL says that events were written; the payload is the largest id.
CHANNEL = "specpost_events"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """An event as it is recorded."""

    phase: str
    message: str
    metadata: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event as it stands in the control plane."""

    id: int
    run_id: UUID | None
    phase: str | None
    message: str | None
    metadata: dict[str, Any] | None
    created_at: datetime


INSERT = insert_into("public.status_events", EventRow)

COLUMNS = "id, run_id, phase, message, metadata, created_at"


def insert(conn: Connection, rows: Sequence[EventRow]) -> None:
    """Record events; their ids ascend in the order of ``rows``."""
    conn.execute(INSERT, [payload(rows)])


def last(conn: Connection, count: int, spec_id: UUID | None = None) -> list[Event]:
    """The ``count`` newest events, of one specification if given, oldest first."""
    query = f"""
        select {COLUMNS} from public.status_events
        where %(spec)s::text is null or metadata ->> 'spec_id' = %(spec)s
        order by id desc limit %(count)s
    """  # noqa: S608 - only our own column list is put in
    with conn.cursor(row_factory=class_row(Event)) as cursor:
        found = cursor.execute(query, {"spec": spec_id and str(spec_id), "count": count}).fetchall()
    return found[::-1]


def log(conn: Connection, run_id: UUID, phase: str, message: str) -> Event:
    """Tell what happens in a run."""
    query = f"select {COLUMNS} from public.log_event(%s, %s, %s)"  # noqa: S608 - as above
    with conn.cursor(row_factory=class_row(Event)) as cursor:
        return cursor.execute(query, [run_id, phase, message]).fetchall()[0]


def of_spec(conn: Connection, spec_id: UUID, count: int) -> list[Event]:
    """The ``count`` newest events of a specification or of a run for it, oldest first.

    CI's own scripts name the run alone.
    """
    query = f"""
        select {COLUMNS} from public.status_events
        where metadata ->> 'spec_id' = %(spec)s::text
          or run_id in (
            select r.id from public.runs r join public.sprints s on s.id = r.sprint_id
            where s.spec_id = %(spec)s
          )
        order by id desc limit %(count)s
    """  # noqa: S608 - as above
    with conn.cursor(row_factory=class_row(Event)) as cursor:
        return cursor.execute(query, {"spec": spec_id, "count": count}).fetchall()[::-1]


def of_mail(conn: Connection, mail_id: UUID) -> list[Event]:
    """The events that name a mail, or a specification that came in it, oldest first."""
    query = f"""
        select {COLUMNS} from public.status_events
        where metadata ->> 'mail_id' = %(mail)s::text
          or metadata ->> 'spec_id' in (select spec_id::text from intake.parts where mail_id = %(mail)s::uuid)
        order by id
    """  # noqa: S608 - only our own column list is put in
    with conn.cursor(row_factory=class_row(Event)) as cursor:
        return cursor.execute(query, {"mail": str(mail_id)}).fetchall()

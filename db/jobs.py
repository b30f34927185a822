"""``intake.jobs``: what is to be done after a mail was recorded, by whichever daemon comes first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID, uuid5

import orjson
from psycopg.rows import class_row

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from psycopg import Connection


@dataclass(frozen=True, slots=True)
class Taken:
    """A job that was taken; ``epoch`` is under which its end may be written, ``attempts`` count this one."""

    id: UUID
    kind: str
    mail_id: UUID
    epoch: int
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as it stands; ``due_at`` is when it may be taken, by somebody else if it has an ``owner``."""

    id: UUID
    kind: str
    mail_id: UUID
    state: str
    attempts: int
    due_at: datetime
    owner: str | None
    trouble: str | None
    created_at: datetime
    ended_at: datetime | None


# One that has ended is begun anew: who asks again has a reason to. One that waits is asked for already; if
# somebody is at it, then perhaps by what was true before, so it is taken from them.
ENQUEUE = """
insert into intake.jobs as j (id, kind, mail_id)
select * from unnest(%(ids)s::uuid[], %(kinds)s::text[], %(mails)s::uuid[])
on conflict (id) do update
  set state = 'waiting', attempts = 0, due_at = now(), epoch = j.epoch + 1, owner = null, ended_at = null
  where j.state <> 'waiting' or j.owner is not null
"""

TAKE = """
with due as (
  select j.id, l.seconds
  from intake.jobs j
  join json_to_recordset(%(leases)s) as l (kind text, seconds float8) on l.kind = j.kind
  where j.state = 'waiting' and j.due_at <= clock_timestamp()
  order by j.due_at, j.id
  limit 1
  for update of j skip locked
)
update intake.jobs j
set epoch = j.epoch + 1, attempts = j.attempts + 1, owner = %(owner)s,
  due_at = clock_timestamp() + make_interval(secs => due.seconds)
from due where j.id = due.id
returning j.id, j.kind, j.mail_id, j.epoch, j.attempts
"""

FINISH = """
update intake.jobs set state = 'done', owner = null, trouble = null, ended_at = clock_timestamp()
where id = %s and epoch = %s and state = 'waiting'
"""

RETRY = """
update intake.jobs
set owner = null, trouble = %(trouble)s, due_at = clock_timestamp() + make_interval(secs => %(seconds)s)
where id = %(id)s and epoch = %(epoch)s and state = 'waiting'
"""

BURY = """
update intake.jobs
set state = 'dead', owner = null, trouble = coalesce(%(trouble)s, trouble), ended_at = clock_timestamp()
where id = %(id)s and epoch = %(epoch)s and state = 'waiting'
"""

REVIVE = """
update intake.jobs
set state = 'waiting', attempts = 0, due_at = clock_timestamp(), epoch = epoch + 1, ended_at = null
where id = %s and state = 'dead'
"""

JOBS = """
select id, kind, mail_id, state, attempts, due_at, owner, trouble, created_at, ended_at from intake.jobs
"""


def enqueue(conn: Connection, kind: str, mails: Iterable[UUID]) -> None:
    """Have ``kind`` done for each of ``mails`` once the transaction is committed."""
    ids = sorted((uuid5(mail, kind), mail) for mail in mails)
    given = {
        "ids": [ident for ident, _ in ids],
        "kinds": [kind] * len(ids),
        "mails": [mail for _, mail in ids],
    }
    conn.execute(ENQUEUE, given)


def take(conn: Connection, owner: str, leases: Mapping[str, float]) -> Taken | None:
    """Take the job that is due longest; None when none is.

    Of the kinds in ``leases`` alone, each for so many seconds: after them it
    is due again, whatever became of ``owner``.
    """
    known = [{"kind": kind, "seconds": seconds} for kind, seconds in leases.items()]
    with conn.cursor(row_factory=class_row(Taken)) as cursor:
        given = {"owner": owner, "leases": orjson.dumps(known).decode()}
        return cursor.execute(TAKE, given).fetchone()


def finish(conn: Connection, job: Taken) -> bool:
    """Write that ``job`` is done; False when it is somebody else's by now."""
    return conn.execute(FINISH, [job.id, job.epoch]).rowcount == 1


def retry(conn: Connection, job: Taken, trouble: str, seconds: float) -> bool:
    """Put ``job`` off for so many seconds; False when it is somebody else's by now."""
    given = {"id": job.id, "epoch": job.epoch, "trouble": trouble, "seconds": seconds}
    return conn.execute(RETRY, given).rowcount == 1


def bury(conn: Connection, job: Taken, trouble: str | None) -> bool:
    """Give ``job`` up, with the last trouble if there is a new one; False as above."""
    given = {"id": job.id, "epoch": job.epoch, "trouble": trouble}
    return conn.execute(BURY, given).rowcount == 1


def revive(conn: Connection, job_id: UUID) -> bool:
    """Have a dead job tried again from the start; False when it is none."""
    return conn.execute(REVIVE, [job_id]).rowcount == 1


def of_mail(conn: Connection, mail_id: UUID) -> list[Job]:
    """What was or is to be done after a mail, in the order in which it was asked for."""
    with conn.cursor(row_factory=class_row(Job)) as cursor:
        return cursor.execute(JOBS + "where mail_id = %s order by created_at, id", [mail_id]).fetchall()


def unfinished(conn: Connection, count: int) -> list[Job]:
    """The ``count`` jobs that are dead or wait, the dead first, the oldest first of each."""
    with conn.cursor(row_factory=class_row(Job)) as cursor:
        query = JOBS + "where state <> 'done' order by state, created_at, id limit %s"  # dead < waiting
        return cursor.execute(query, [count]).fetchall()

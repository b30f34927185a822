"""``intake.mails``: every mail that was ever judged, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg.rows import class_row

from db.rows import insert_into, payload

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime
    from uuid import UUID

    from psycopg import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class MailRow:
    """A mail as it is recorded; ``id`` is its content id once accepted, and its raw id before."""

    id: UUID
    raw_id: UUID
    content_id: UUID | None
    source: str
    sender: str | None
    message_id: str | None
    references: Sequence[str]
    subject: str | None
    sent_at: datetime | None
    size: int
    verdict: str
    reason: str | None
    problems: Sequence[dict[str, Any]]
    evidence: dict[str, Any]
    letter: str | None
    rule: str | None
    reply_allowed: bool
    received_at: datetime
    decided_at: datetime


@dataclass(frozen=True, slots=True)
class Accepted:
    """A mail that was accepted, and the ids of its specs."""

    id: UUID
    letter: str | None
    spec_ids: Sequence[UUID]


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """How many mails are held, their bytes, and how many of them one peer brought within a day.

    ``known`` says that the mail that was asked about is one of them.
    """

    known: bool
    mails: int
    size: int
    of_peer: int


# What was held or rejected before, and is accepted now, is replaced by it: its id was that of the same bytes.
INSERT = insert_into(
    "intake.mails",
    MailRow,
    "on conflict (id) do nothing returning id, supersedes",
    supersedes="""
    (select m.id from intake.mails m where m.id = r.raw_id and m.verdict in ('held', 'rejected'))
    """,
)

# What a sender was told of their mail stays, whoever brings a copy of it that gets nowhere.
UPSERT = insert_into(
    "intake.mails",
    MailRow,
    """
    on conflict (id) do update set
      verdict = excluded.verdict, reason = excluded.reason, problems = excluded.problems,
      evidence = excluded.evidence, letter = excluded.letter, rule = excluded.rule,
      reply_allowed = excluded.reply_allowed, sender = excluded.sender, content_id = excluded.content_id,
      decided_at = excluded.decided_at, dropped_at = null, dropped_why = null
    where ( (mails.verdict, mails.problems, mails.reason)
      is distinct from (excluded.verdict, excluded.problems, excluded.reason)
        or mails.dropped_at is not null)
      and not (mails.verdict in ('held', 'rejected') and excluded.verdict in ('refused', 'ignored'))
    returning id
    """,
)

# Plans are numbered in the order of a mail's specifications, one for each.
ACCEPTED = """
select m.id, m.letter, array_remove(array_agg(p.spec_id order by length(p.place), p.place), null) as spec_ids
from intake.mails m left join intake.parts p on p.mail_id = m.id and p.place like 'plan-%%'
where (m.id = any(%s) or m.letter = any(%s)) and m.verdict = 'accepted'
group by m.id
"""


HELD = """
select coalesce(bool_or(m.id = %(id)s), false) as known, count(*) as mails,
  coalesce(sum(m.size), 0)::bigint as size,
  count(*) filter (where exists (
    select from intake.arrivals a
    where a.mail_id = m.id and a.peer = %(peer)s and a.received_at > now() - interval '1 day'
  )) as of_peer
from intake.mails m
where m.verdict = 'held' and m.dropped_at is null
  and not exists (select from intake.mails n where n.supersedes = m.id)
"""


def accepted(conn: Connection, ids: Collection[UUID], letters: Collection[str]) -> list[Accepted]:
    """The accepted mails that are one of ``ids`` or one of ``letters``."""
    if not ids:
        return []
    with conn.cursor(row_factory=class_row(Accepted)) as cursor:
        return cursor.execute(ACCEPTED, [list(ids), list(letters)]).fetchall()


REJECTED = """
select letter from intake.mails where verdict = 'rejected' and letter = any(%s) and dropped_at is null
"""

DROP = """
update intake.mails set dropped_at = now(), dropped_why = %(why)s
where id = %(id)s and verdict in ('held', 'rejected') and dropped_at is null
"""

# Whoever records this mail now waits until the transaction ends, though nothing of it is there yet.
RESERVE = """
insert into intake.mails (id, raw_id, source, size, verdict, received_at)
values (%(id)s, %(id)s, '', 0, 'ignored', now())
on conflict (id) do nothing
"""

# The lock is what whoever records the same mail again waits for.
FORGOTTEN = """
select m.dropped_at is not null or exists (select from intake.mails n where n.supersedes = m.id)
from intake.mails m where m.id = %s
for update of m
"""


def rejected(conn: Connection, letters: Collection[str]) -> set[str]:
    """Which of ``letters`` were rejected before."""
    return {row[0] for row in conn.execute(REJECTED, [list(letters)])} if letters else set()


def held(conn: Connection, peer: str, mail_id: UUID) -> Held:
    """What is held now, by whom, and whether a mail is among it."""
    with conn.cursor(row_factory=class_row(Held)) as cursor:
        return cursor.execute(HELD, {"peer": peer, "id": mail_id}).fetchall()[0]


def insert(conn: Connection, rows: Sequence[MailRow]) -> dict[UUID, UUID | None]:
    """Record mails for good; those that were not there yet, each with the id of the mail it replaces."""
    return dict(_written(conn, INSERT, rows))


def upsert(conn: Connection, rows: Sequence[MailRow]) -> set[UUID]:
    """Record mails whose verdict may change; the ids of those that are new or were judged otherwise."""
    return {ident for (ident,) in _written(conn, UPSERT, rows)}


def drop(conn: Connection, mail_id: UUID, why: str) -> bool:
    """Note that nobody wants a mail that is held or rejected; False when it is neither, or was dropped."""
    return conn.execute(DROP, {"id": mail_id, "why": why}).rowcount == 1


def reserve(conn: Connection, mail_id: UUID) -> None:
    """Have whoever records this mail wait until the transaction ends, which must be rolled back."""
    conn.execute(RESERVE, {"id": mail_id})
    conn.execute(FORGOTTEN, [mail_id])


def is_forgotten(conn: Connection, mail_id: UUID) -> bool:
    """Whether a mail was dropped or replaced; until the transaction ends it stays as it is."""
    row = conn.execute(FORGOTTEN, [mail_id]).fetchone()
    return row is not None and bool(row[0])


def _written(conn: Connection, statement: bytes, rows: Sequence[MailRow]) -> list[Any]:
    """Sorted by id: two writers with the same mails then wait for each other, and never both."""
    if not rows:
        return []
    ordered = sorted(rows, key=lambda row: row.id)
    return conn.execute(statement, [payload(ordered)]).fetchall()

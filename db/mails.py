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
    """How many mails are held, their bytes, and how many of them one peer brought within a day."""

    mails: int
    size: int
    of_peer: int


INSERT = insert_into("intake.mails", MailRow, "on conflict (id) do nothing returning id")

# What a sender was told of their mail stays, whoever brings a copy of it that gets nowhere.
UPSERT = insert_into(
    "intake.mails",
    MailRow,
    """
    on conflict (id) do update set
      verdict = excluded.verdict, reason = excluded.reason, problems = excluded.problems,
      evidence = excluded.evidence, letter = excluded.letter, rule = excluded.rule,
      reply_allowed = excluded.reply_allowed, sender = excluded.sender, content_id = excluded.content_id,
      decided_at = excluded.decided_at
    where (mails.verdict, mails.problems, mails.reason)
      is distinct from (excluded.verdict, excluded.problems, excluded.reason)
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
select count(*) as mails, coalesce(sum(m.size), 0)::bigint as size,
  count(*) filter (where exists (
    select from intake.arrivals a
    where a.mail_id = m.id and a.peer = %s and a.received_at > now() - interval '1 day'
  )) as of_peer
from intake.mails m
where m.verdict = 'held'
"""


def accepted(conn: Connection, ids: Collection[UUID], letters: Collection[str]) -> list[Accepted]:
    """The accepted mails that are one of ``ids`` or one of ``letters``."""
    if not ids:
        return []
    with conn.cursor(row_factory=class_row(Accepted)) as cursor:
        return cursor.execute(ACCEPTED, [list(ids), list(letters)]).fetchall()


REJECTED = "select letter from intake.mails where verdict = 'rejected' and letter = any(%s)"


def rejected(conn: Connection, letters: Collection[str]) -> set[str]:
    """Which of ``letters`` were rejected before."""
    return {row[0] for row in conn.execute(REJECTED, [list(letters)])} if letters else set()


def held(conn: Connection, peer: str) -> Held:
    """What is held now."""
    with conn.cursor(row_factory=class_row(Held)) as cursor:
        return cursor.execute(HELD, [peer]).fetchall()[0]


def insert(conn: Connection, rows: Sequence[MailRow]) -> set[UUID]:
    """Record mails for good; the ids of those that were not there yet."""
    return _ids(conn, INSERT, rows)


def upsert(conn: Connection, rows: Sequence[MailRow]) -> set[UUID]:
    """Record mails whose verdict may change; the ids of those that are new or were judged otherwise."""
    return _ids(conn, UPSERT, rows)


def _ids(conn: Connection, statement: Any, rows: Sequence[MailRow]) -> set[UUID]:  # noqa: ANN401 - sql.Composed
    """Sorted by id: two writers with the same mails then wait for each other, and never both."""
    if not rows:
        return set()
    ordered = sorted(rows, key=lambda row: row.id)
    return {row[0] for row in conn.execute(statement, [payload(ordered)])}

"""What became of mails, read out of all of ``intake`` for an operator who asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from psycopg.rows import class_row

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from psycopg import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """A mail as ``intake.mails`` has it; ``came`` is how often it was brought.

    ``superseded_by`` is the mail as which it was accepted later on.
    """

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
    problems: list[dict[str, Any]]
    evidence: dict[str, Any]
    rule: str | None
    reply_allowed: bool
    supersedes: UUID | None
    received_at: datetime
    decided_at: datetime
    dropped_at: datetime | None
    dropped_why: str | None
    superseded_by: UUID | None
    came: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One time that a mail was brought, and what that delivery was told; ``login`` is who had logged in."""

    received_at: datetime
    source: str
    peer: str | None
    mail_from: str | None
    rcpt_to: Sequence[str]
    verdict: str
    account: str | None
    folder: str | None
    uidvalidity: int | None
    uid: int | None
    login: str | None


_MAILS = """
select m.id, m.raw_id, m.content_id, m.source, m.sender, m.message_id, m."references", m.subject, m.sent_at,
  m.size, m.verdict, m.reason, m.problems, m.evidence, m.rule, m.reply_allowed, m.supersedes, m.received_at,
  m.decided_at, m.dropped_at, m.dropped_why,
  (select n.id from intake.mails n where n.supersedes = m.id limit 1) as superseded_by,
  (select count(*) from intake.arrivals a where a.mail_id = m.id) as came
from intake.mails m
"""

NEWEST = f"""{_MAILS}
where (%(verdict)s::text is null or m.verdict = %(verdict)s)
  and (%(since)s::timestamptz is null or m.received_at >= %(since)s)
order by m.received_at desc, m.id limit %(count)s
"""

HELD = f"""{_MAILS}
where m.verdict = 'held' and m.dropped_at is null
  and not exists (select from intake.mails n where n.supersedes = m.id)
order by m.received_at, m.id
"""

BY_ID = f"""{_MAILS}
where m.id = %(id)s or m.raw_id = %(id)s or m.content_id = %(id)s
  or m.id in (select p.mail_id from intake.parts p where p.spec_id = %(id)s)
order by m.received_at desc, m.id
"""  # noqa: S608 - only our own text is put in

BY_MESSAGE_ID = f"{_MAILS} where m.message_id = any(%(ids)s) order by m.received_at desc, m.id"

BY_SENDER = f"""{_MAILS}
where lower(m.sender) = lower(%(address)s)
  or m.id in (select a.mail_id from intake.arrivals a where lower(a.mail_from) = lower(%(address)s))
order by m.received_at desc, m.id limit %(count)s
"""  # noqa: S608 - as above

ARRIVALS = """
select received_at, source, peer, mail_from, rcpt_to, verdict, account, folder, uidvalidity, uid, login
from intake.arrivals where mail_id = %s order by received_at, id
"""


def newest(
    conn: Connection, count: int, verdict: str | None = None, since: datetime | None = None
) -> list[Mail]:
    """The ``count`` mails that came last, newest first; of one verdict, or since then, if given."""
    return _mails(conn, NEWEST, {"count": count, "verdict": verdict, "since": since})


def of(conn: Connection, what: str, count: int) -> list[Mail]:
    """The mails that ``what`` names, newest first.

    An id is the mail's, that of its bytes or content, or a specification's.
    All else is a Message-ID, with its angle brackets or without, or, if none
    has it, the address of a sender, of whom the ``count`` last are given.
    """
    try:
        ident = UUID(what)
    except ValueError:
        bare = what.strip().removeprefix("<").removesuffix(">")
        found = _mails(conn, BY_MESSAGE_ID, {"ids": [what, bare, f"<{bare}>"]})
        return found or _mails(conn, BY_SENDER, {"address": bare, "count": count})
    found = _mails(conn, BY_ID, {"id": ident})
    return [mail for mail in found if mail.id == ident] or found


def held(conn: Connection) -> list[Mail]:
    """All mails that are held still, the oldest first."""
    return _mails(conn, HELD, {})


def arrivals(conn: Connection, mail_id: UUID) -> list[Arrival]:
    """How a mail came, first to last."""
    with conn.cursor(row_factory=class_row(Arrival)) as cursor:
        return cursor.execute(ARRIVALS, [mail_id]).fetchall()


def _mails(conn: Connection, query: str, given: dict[str, Any]) -> list[Mail]:
    with conn.cursor(row_factory=class_row(Mail)) as cursor:
        return cursor.execute(query.encode(), given).fetchall()

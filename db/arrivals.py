"""``intake.arrivals``: when and where each mail came, as often as it came."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from db.rows import insert_into, payload

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from psycopg import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrivalRow:
    """One delivery of a mail; ``verdict`` is what this delivery was told.

    The slot's four columns are there for a mailbox's. ``mail_id`` is None,
    and ``reason`` says why, where nobody has the mail.
    """

    mail_id: UUID | None
    source: str
    peer: str
    mail_from: str | None
    rcpt_to: Sequence[str]
    verdict: str
    received_at: datetime
    account: str | None = None
    folder: str | None = None
    uidvalidity: int | None = None
    uid: int | None = None
    reason: str | None = None
    login: str | None = None


# A slot holds one mail for ever, so what was found in it first stays.
INSERT = insert_into("intake.arrivals", ArrivalRow, "on conflict on constraint arrivals_slot_key do nothing")

SEEN = """
select uid, case when mail_id is null and verdict = 'ignored' then null else verdict end
from intake.arrivals
where account = %s and folder = %s and uidvalidity = %s and uid = any(%s)
"""


def insert(conn: Connection, rows: Sequence[ArrivalRow]) -> None:
    """Record deliveries, each slot's once."""
    conn.execute(INSERT, [payload(rows)])


def seen(
    conn: Connection, account: str, folder: str, uidvalidity: int, uids: Sequence[int]
) -> dict[int, str | None]:
    """Those of ``uids`` that are done, with their verdicts; None for one that never was ours."""
    return dict(conn.execute(SEEN, [account, folder, uidvalidity, list(uids)]).fetchall())

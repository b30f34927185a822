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
    """One delivery of a mail; ``verdict`` is what this delivery was told."""

    mail_id: UUID
    source: str
    peer: str
    mail_from: str | None
    rcpt_to: Sequence[str]
    verdict: str
    received_at: datetime


INSERT = insert_into("intake.arrivals", ArrivalRow)


def insert(conn: Connection, rows: Sequence[ArrivalRow]) -> None:
    """Record deliveries."""
    conn.execute(INSERT, [payload(rows)])

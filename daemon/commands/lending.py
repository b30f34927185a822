"""URLs by which others can read what was stored of a specification, for a while."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from db import parts

if TYPE_CHECKING:
    from uuid import UUID

    from psycopg import Connection

    from daemon.storage import Storage

#: How long a URL may be good: S3 signs none for longer.
LONGEST = timedelta(days=7)

_UNITS = {"s": "seconds", "min": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True, slots=True)
class Lent:
    """A stored part, and where it can be read."""

    name: str | None
    media_type: str
    size: int
    sha256: str
    url: str


def lasting(text: str) -> timedelta:
    """How long ``text`` says, as ``24h``, ``90 min`` or ``7d``; ValueError when that is no such time."""
    number = text.rstrip("abcdefghijklmnopqrstuvwxyz")
    unit = _UNITS.get(text[len(number) :], "")
    try:
        lasts = timedelta(**{unit: float(number)})
    except (TypeError, ValueError, OverflowError):
        raise ValueError('a duration such as "24h", "90min" or "7d"') from None
    if not timedelta(seconds=1) <= lasts <= LONGEST:
        raise ValueError(f"a duration of 1 s to {LONGEST.days} d, which is the longest that S3 signs for")
    return lasts


def lend(conn: Connection, storage: Storage, spec_id: UUID, lasts: timedelta) -> list[Lent]:
    """A specification's document, its plan, and the attachments of its mail; not the mail itself."""
    seconds = int(lasts.total_seconds())
    return [
        Lent(part.name, part.media_type, part.size, part.sha256, storage.sign(part.key, seconds))
        for part in parts.of_spec(conn, spec_id)
    ]

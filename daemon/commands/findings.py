"""What should lie in storage against what does.

Rows and objects are written by different hands. A daemon that is killed
leaves objects without rows, a store that loses something leaves rows without
objects, and an old backup of either may do both.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from db import parts

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator, Mapping, Sequence

    from psycopg import Connection

    from daemon.storage import Listed, Storage
    from db.parts import Expected

#: How old an object without a row must be: a younger one may be of a mail that is just being recorded.
SWEEP_AFTER = timedelta(hours=1)
#: What can be found: the first two are mended out of the mail as it came, the others are removed.
MISSING, DAMAGED, ORPHAN, LEFT_OVER = KINDS = ("missing", "damaged", "orphan", "left over")
#: Two hexadecimal digits, by which mails are gone through in pieces.
_DIGITS = [f"{number:02x}" for number in range(256)]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that isn't as it should be; ``mail_id`` and ``sha256`` where they are known.

    An object is ``missing``, or ``damaged`` since it has another size than
    was recorded. An ``orphan`` is one without a row, and what is ``left
    over`` is of a mail that was dropped or accepted later on.
    """

    what: str
    key: str
    size: int
    mail_id: UUID | None
    sha256: str = ""
    repaired: bool = False


def find(conn: Connection[Any], storage: Storage, counted: Counter[str]) -> Iterator[Finding]:
    """All that isn't as it should be, what is of one mail next to each other.

    ``counted`` is told how many rows and objects there are.

    Raises:
        OSError: storage can't be asked.
    """
    with click.progressbar(
        _DIGITS, label="reconciling", file=sys.stderr, hidden=not sys.stderr.isatty()
    ) as progress:
        for digits in progress:
            rows = parts.expected(conn, digits)
            conn.rollback()  # no transaction is kept open while storage is listed
            there = {each.key: each for each in storage.list(f"mails/{digits}/")}
            counted["objects"] += len(there)
            counted["rows"] += sum(not row.forgotten for row in rows)
            yield from sorted(
                [*_gaps(rows, there), *_surplus(rows, there)], key=lambda each: (str(each.mail_id), each.key)
            )


def _gaps(rows: Sequence[Expected], there: Mapping[str, Listed]) -> Iterator[Finding]:
    for row in rows:
        if row.forgotten:
            continue
        if row.key not in there:
            yield Finding(MISSING, row.key, row.size, row.mail_id, row.sha256)
        elif there[row.key].size != row.size:
            yield Finding(DAMAGED, row.key, row.size, row.mail_id, row.sha256)


def _surplus(rows: Sequence[Expected], there: Mapping[str, Listed]) -> Iterator[Finding]:
    wanted = {row.key: row for row in rows}
    before = datetime.now(UTC) - SWEEP_AFTER
    for key, each in there.items():
        row = wanted.get(key)
        if row is None and each.modified < before:
            yield Finding(ORPHAN, key, each.size, _mail_of(key))
        elif row and row.forgotten and not row.forgetting:
            yield Finding(LEFT_OVER, key, each.size, row.mail_id)


def _mail_of(key: str) -> UUID | None:
    """Whose object it would be; None for one that never got its name."""
    try:
        return UUID(key.split("/")[2])
    except ValueError:
        return None

"""Honest mails, each unlike every other, and all that must come of one."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from tests.fix_house import a_mail, spec_for
from tests.fix_imap import PROVEN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: What the planner makes of each of their specifications.
SPRINTS = ["S1", "S2"]


@dataclass(frozen=True)
class Letter:
    """A mail by its Message-ID, as it is sent to the byte; ``files`` are its attachments by their names."""

    key: str
    raw: bytes
    files: Mapping[str, bytes]
    specs: int


def letters(series: str, *, most: int = 40_000) -> Iterator[Letter]:
    """Mails without end: one in four has two specifications, and most have up to ``most`` bytes beside."""
    return (_letter(series, number, most) for number in count())


def _letter(series: str, number: int, most: int) -> Letter:
    chance = random.Random(f"{series} {number}")
    specs = 2 if number % 4 == 3 else 1
    files = {
        f"{at}.spec.yaml": spec_for(f"example/{series}-{number}-{at}").encode() for at in range(1, specs + 1)
    }
    files |= {f"{at}.bin": chance.randbytes(chance.randrange(1, most)) for at in range(number % 3)}
    key = f"<{number}.{series}@example.org>"
    raw = PROVEN + a_mail(*files.items(), Message_ID=key, Subject=f"{series} {number}")
    return Letter(key, raw, files, specs)

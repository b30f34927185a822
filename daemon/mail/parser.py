"""mail-parser, and of all that it can do what somebody asks for. The only importer of mailparser."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, replace
from email.errors import MessageError
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from mailparser import MailParser
from mailparser.dates import parse_mail_date
from mailparser.utils import get_addresses

from daemon.mail import header

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from email.message import Message

#: What mail-parser may find a defect in: octets beyond ASCII, encoded words (RFC 2047), and parameters in
#: pieces or with a charset (RFC 2231).
_ODD = re.compile(r"[^\x00-\x7f]|=\?|\*")
#: What it raises, the standard library below it included, on what no mailer writes.
_STUMBLES = (AttributeError, LookupError, MessageError, TypeError, ValueError)
#: From headers whose reading is remembered: most mails are from somebody who has sent some before.
_REMEMBERED = 1024

# mail-parser logs pieces of the mail as it goes; what matters of it is in its defects.
logging.getLogger("mailparser").setLevel(logging.CRITICAL + 1)


@dataclass(frozen=True, slots=True)
class Parsed:
    """What mail-parser says of a message: whom From names, its date in UTC, and what it complains about."""

    from_: Sequence[tuple[str, str]]
    date: datetime | None = None
    defects: Sequence[dict[str, Any]] = ()


def parsed(message: Message) -> Parsed:
    """A message as mail-parser reads it.

    Left alone, mail-parser does all it can do at once: it looks for bodies
    and attachments, which were taken out before, and puts everything into
    two dictionaries, which nobody reads. That took longer than parsing. So
    a message without anything odd about it is asked about header by header.

    Where it stumbles over a part, it is asked about the headers alone; where
    it stumbles over those, From names nobody: all else in a mail is read by
    ourselves, so its sender can be told what became of it.
    """
    plain = all(map(_is_plain, message.walk()))
    stumbles: list[dict[str, Any]] = []
    for reading in (_simply if plain else _wholly, _headers_only):
        try:
            if found := reading(message):
                return replace(found, defects=[*stumbles, *found.defects])
        except _STUMBLES as error:
            stumbles.append({"mail-parser": [f"{type(error).__name__}: {error}"]})
    return Parsed((), defects=stumbles)


class _Whole(MailParser):  # type: ignore[misc]  # the library has no types
    """All of it, but the dictionaries; ``_make_mail`` and ``_reset`` are those of 4.8."""

    def _make_mail(self, *_: object, **__: object) -> dict[str, Any]:
        return {}


class _Headers(_Whole):
    """The message's own headers."""

    def parse(self) -> None:
        """Read the headers, and no parts."""
        self._reset()


def _is_plain(part: Message) -> bool:
    """Whether there is no defect in a part nor in what its headers say about it."""
    about = (value for name, value in part.raw_items() if name.lower().startswith("content-"))
    return not part.defects and not any(map(_ODD.search, about))


def _wholly(message: Message) -> Parsed:
    return _seen(_Whole(message))


def _headers_only(message: Message) -> Parsed:
    return _seen(_Headers(message))


def _seen(parser: _Whole) -> Parsed:
    return Parsed(parser.from_, parser.date, parser.defects)


def _simply(message: Message) -> Parsed | None:
    """What its one From and its one Date say; None when there is anything to complain about."""
    found: dict[str, str] = {}
    for name, value in message.raw_items():
        field = name.lower()
        if field in ("from", "date", "resent-date") and found.setdefault(field, value) is not value:
            return None
    if found.keys() != {"from", "date"}:
        return None
    if len(found["from"]) > header.LINE_MAX or not found["from"].isascii():
        return None
    addresses, date = _addresses(found["from"]), parse_mail_date(found["date"])
    return None if addresses is None or date.reasons else Parsed(addresses, date.value)


@lru_cache(_REMEMBERED)
def _addresses(value: str) -> tuple[tuple[str, str], ...] | None:
    """Whom a From names; None when mail-parser complains about it."""
    defects: list[dict[str, Any]] = []
    found = tuple(get_addresses(value, defects=defects, decode_names=True))
    return None if defects else found

"""A mail: how it came, what is in it, and which mail it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message as it came over a wire.

    ``raw`` is always a whole RFC 5322 message with CRLF line ends;
    ``mail_from`` is None for the null sender; ``peer`` is an address or
    ``unix``; ``received_at`` is aware.
    """

    raw: bytes
    source: str
    peer: str
    mail_from: str | None
    rcpt_to: tuple[str, ...]
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Part:
    """A leaf of the message, its transfer encoding undone and nothing else touched.

    ``place`` is the part number as IMAP counts (``1``, ``2.1``);
    ``name`` is as the sender wrote it, and None when they gave none.
    """

    place: str
    name: str | None
    media_type: str
    disposition: str | None
    charset: str | None
    content: bytes
    sha256: str


@dataclass(frozen=True, slots=True)
class Mail:
    """What reading found in a message.

    ``headers`` are all of them in their order, names in lower case, values
    unfolded and not decoded. ``sender`` is the one plain ``local@domain`` of
    the one From header, and None when there is any doubt. ``route`` is the
    tag of our own address the mail was sent to. ``body`` is the text of the
    mail itself, not of what is forwarded in it.
    """

    raw_id: UUID
    content_id: UUID
    headers: tuple[tuple[str, str], ...]
    sender: str | None
    subject: str
    message_id: str | None
    references: tuple[str, ...]
    sent_at: datetime | None
    routes: tuple[str, ...]
    body: str
    parts: tuple[Part, ...]
    defects: tuple[str, ...]

    def values(self, name: str) -> tuple[str, ...]:
        """The values of every header called ``name`` (lower case), first to last."""
        return tuple(value for key, value in self.headers if key == name)

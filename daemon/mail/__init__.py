"""A mail: how it came, what is in it, and which mail it is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.feedparser import BytesFeedParser
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from daemon.mail import charset, header, limits, mime
from daemon.mail.addresses import Addresses, routes, sender
from daemon.mail.identity import content_id, crlf, raw_id, wire_id
from daemon.mail.limits import Unreadable
from daemon.mail.parser import parsed
from daemon.mail.skeleton import Skeleton, cut, trim

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime
    from email.message import Message
    from uuid import UUID

    from daemon.mail.mime import Leaf

__all__ = [
    "Addresses",
    "Envelope",
    "Login",
    "Mail",
    "Part",
    "Slot",
    "Unreadable",
    "content_id",
    "crlf",
    "parse",
    "raw_id",
]

#: Bytes that the standard library's parser is fed at once.
_PIECE = 256 * 1024
#: Years in which a Date is believed; before there was no mail, and the far future breaks time zones.
_YEARS = range(1970, 2200)
#: References and defects of one mail that are kept, and characters of a defect.
_REFERENCES_MAX, _DEFECTS_MAX, _DEFECT_MAX = 100, 20, 200

#: Headers that mail-parser takes apart letter by letter, some with a thousand addresses, and nobody asks for.
_UNASKED = frozenset({"received", "to", "cc", "bcc", "reply-to", "delivered-to"})

_MESSAGE_ID = re.compile(r"<[^<>\s]+>")


@dataclass(frozen=True, slots=True)
class Login:
    """Somebody who proved to the source who they are; ``owns`` are the From addresses that are theirs."""

    name: str
    owns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Slot:
    """Where in a mailbox a message lies, and the lease (its epoch) under which it was fetched.

    ``account`` is the configuration's name for the mailbox; the other three
    are the server's (RFC 3501, 2.3.1.1).
    """

    account: str
    folder: str
    uidvalidity: int
    uid: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message as it came over a wire.

    ``raw`` is always a whole RFC 5322 message with CRLF line ends;
    ``mail_from`` is None for the null sender, and empty where the source
    can't know it; ``peer`` is an address, ``unix``, or a mailbox's server;
    ``received_at`` is aware; ``login`` is who brought it, where the source
    asked; ``slot`` is there for a message of a mailbox.
    """

    raw: bytes
    source: str
    peer: str
    mail_from: str | None
    rcpt_to: tuple[str, ...]
    received_at: datetime
    login: Login | None = None
    slot: Slot | None = None


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

    @property
    def attached(self) -> bool:
        """Whether it is an attachment and no text of the mail itself."""
        return mime.is_attachment(self.name, self.disposition)

    @property
    def kept_apart(self) -> bool:
        """Whether it is more than the text of the mail, which the message itself keeps."""
        return self.attached or self.media_type not in ("text/plain", "text/html")


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


def parse(envelope: Envelope, ours: Addresses) -> Mail:
    """Read a message: headers, date and defects by mail-parser, the parts and their bytes by our own walk.

    mail-parser gets the message last, without its bodies and without most
    addresses: it would take all of them apart, and stumble over what nobody
    asks it. ``ours`` says which addresses carry a route.

    Any exception but Unreadable is mail-parser's or the standard library's,
    on input that no honest mailer writes.

    Raises:
        Unreadable: the message is beyond a limit within which it can be judged.
    """
    ident, skeleton = _cut(envelope.raw)
    limits.before(skeleton.frame)
    skeleton = trim(skeleton)  # after the limits, which count what a text declares as well
    message = _message(skeleton.frame)
    limits.after(message)
    headers = header.fields(message)
    mime.adopt_late_parts(message)
    leaves = tuple(mime.leaves(message, skeleton.restore))
    tags = routes(headers, envelope.rcpt_to, ours)
    for name in _UNASKED.intersection(name for name, _ in headers):
        del message[name]
    message.epilogue = message.epilogue or ""  # mail-parser looks into it without asking whether it is there
    seen = parsed(message)
    return Mail(
        raw_id=ident,
        content_id=content_id(headers, tags, leaves),
        headers=headers,
        sender=sender(_values(headers, "from"), limits.head(skeleton.frame), seen.from_),
        subject=header.words(_first(headers, "subject"))[: header.LINE_MAX].strip(),
        message_id=_message_id(_first(headers, "message-id")),
        references=_references(headers),
        sent_at=_sent_at(seen.date),
        routes=tags,
        body=_body(leaves),
        parts=_parts(leaves),
        defects=_defects(seen.defects),
    )


def _cut(raw: bytes) -> tuple[UUID, Skeleton]:
    """The id of a message, and its skeleton with CRLF line ends; what is cut out of one has no others."""
    ident = wire_id(raw)
    skeleton = cut(raw, ident.hex)
    if crlf(skeleton.frame) is skeleton.frame:
        return ident, skeleton
    wire = crlf(raw)
    ident = wire_id(wire)
    return ident, cut(wire, ident.hex)


def _message(frame: bytes) -> Message:
    """The tree of a message. Fed in pieces, a large one takes half the memory it takes in one go."""
    parser = BytesFeedParser(mime.Node)
    for start in range(0, len(frame), _PIECE):
        parser.feed(frame[start : start + _PIECE])
    return parser.close()


def _values(headers: Sequence[tuple[str, str]], wanted: str) -> tuple[str, ...]:
    return tuple(value for name, value in headers if name == wanted)


def _first(headers: Sequence[tuple[str, str]], wanted: str) -> str:
    return next((value for name, value in headers if name == wanted), "")


def _message_id(value: str) -> str | None:
    """With its angle brackets, so that it compares with references; as it stands if it has none."""
    match = _MESSAGE_ID.search(value)
    return (match[0] if match else value)[: header.LINE_MAX] or None


def _references(headers: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """What the mail answers, the nearest last (RFC 5322, 3.6.4); of too many the nearest are kept."""
    values = " ".join(_values(headers, "references") + _values(headers, "in-reply-to"))
    found = dict.fromkeys(id_[: header.LINE_MAX] for id_ in _MESSAGE_ID.findall(values))
    return tuple(found)[-_REFERENCES_MAX:]


def _sent_at(date: datetime | None) -> datetime | None:
    return date if date and date.tzinfo and date.year in _YEARS else None


def _body(leaves: Iterable[Leaf]) -> str:
    """The plain text of the mail itself, line ends LF; not of its attachments or what it forwards."""
    texts = (
        charset.decode(leaf.content, leaf.charset)
        for leaf in leaves
        if leaf.media_type == "text/plain" and not leaf.attached and not leaf.forwarded
    )
    return charset.clean("\n".join(texts).replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff"))


def _parts(leaves: Iterable[Leaf]) -> tuple[Part, ...]:
    parts = []
    for leaf in _with_uu(leaves):
        parts.append(_part(leaf))
        limits.check("parts", len(parts), limits.PARTS_MAX)
    return tuple(parts)


def _with_uu(leaves: Iterable[Leaf]) -> Iterator[Leaf]:
    for leaf in leaves:
        yield leaf
        yield from mime.uu_leaves(leaf)


def _part(leaf: Leaf) -> Part:
    return Part(
        place=leaf.place,
        name=leaf.name,
        media_type=leaf.media_type,
        disposition=leaf.disposition,
        charset=leaf.charset,
        content=leaf.content,
        sha256=sha256(leaf.content).hexdigest(),
    )


def _defects(found: Iterable[dict[str, Any]]) -> tuple[str, ...]:
    """What mail-parser and the standard library complain about, each once, in short."""
    texts = (
        charset.one_line(f"{kind}: {text}")[:_DEFECT_MAX]
        for defect in found
        for kind, each in defect.items()
        for text in each
    )
    return tuple(dict.fromkeys(texts))[:_DEFECTS_MAX]

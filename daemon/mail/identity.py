"""Which mail it is, whatever way it came."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING
from uuid import UUID, uuid5

from daemon.mail import header

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from daemon.mail.mime import Leaf

#: Of our own making. Every id in every database grew from it: with another one, mails that were
#: accepted before would be accepted again, and their specifications and sprints with them. The same
#: holds for each byte of the digest below, so a new digest needs a new name beside the old one.
NAMESPACE = UUID("99e0588e-a9bf-4de4-aaa4-df4021f59853")

_DIGEST_V1 = "specpost-1"

#: The headers that are the mail's own. Received, Return-Path, Delivered-To and their like are the way's.
_HEADERS = ("from", "date", "subject", "message-id")

_LINE_END = re.compile(rb"\r\n|\r|\n")


def crlf(raw: bytes) -> bytes:
    """``raw`` with CRLF line ends, as SMTP carries it (RFC 5321, 2.3.8); the same object if it has them."""
    if raw.count(b"\n") == raw.count(b"\r") == raw.count(b"\r\n"):
        return raw
    return _LINE_END.sub(b"\r\n", raw)


def raw_id(raw: bytes) -> UUID:
    """The id of these very bytes, line ends aside; every mail has one, read or not."""
    return wire_id(crlf(raw))


def wire_id(raw: bytes) -> UUID:
    """The same of bytes whose line ends are CRLF."""
    return uuid5(NAMESPACE, f"raw:{sha256(raw).hexdigest()}")


def content_id(headers: Sequence[tuple[str, str]], routes: Iterable[str], leaves: Iterable[Leaf]) -> UUID:
    """The id of what the sender wrote, the same by SMTP and by IMAP and each time it is sent.

    UUIDv5 in NAMESPACE of ``content:`` and the hexadecimal SHA-256 over
    these fields, each as 8 bytes of length (big-endian) and its bytes, text
    as UTF-8:

    1. ``specpost-1``.
    2. From, Date, Subject, Message-ID: the values of all headers of that
       name, each unfolded, encoded words decoded, white space collapsed to
       one space and none at the ends; joined by LF. Empty if there is none.
    3. The routes, in lower case, sorted, joined by LF.
    4. For each leaf in its order: media type; name, white space collapsed,
       empty if there is none; decoded content. In text that is no attachment
       line ends are LF, and those at its end are dropped.
    """
    digest = sha256()
    for field in _fields(headers, routes, leaves):
        digest.update(len(field).to_bytes(8, "big"))
        digest.update(field)
    return uuid5(NAMESPACE, f"content:{digest.hexdigest()}")


def _fields(
    headers: Sequence[tuple[str, str]], routes: Iterable[str], leaves: Iterable[Leaf]
) -> Iterator[bytes]:
    yield _DIGEST_V1.encode()
    for wanted in _HEADERS:
        yield "\n".join(_collapse(header.words(value)) for name, value in headers if name == wanted).encode()
    yield "\n".join(sorted(route.lower() for route in routes)).encode()
    for leaf in leaves:
        yield leaf.media_type.encode()
        yield _collapse(leaf.name or "").encode()
        yield _settled(leaf)


def _collapse(text: str) -> str:
    return " ".join(text.split())


def _settled(leaf: Leaf) -> bytes:
    """What of a leaf no relay and no mailbox changes."""
    if leaf.attached or not leaf.media_type.startswith("text/"):
        return leaf.content
    return leaf.content.replace(b"\r\n", b"\n").replace(b"\r", b"\n").rstrip(b"\n")

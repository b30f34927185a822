"""Mails that the tests write themselves, and the short way to read one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from daemon.mail import Addresses, Envelope, parse

if TYPE_CHECKING:
    from daemon.mail import Mail

OURS = Addresses.of(["specs@example.com"])

HEADERS = (
    b"From: Alice <alice@example.org>\r\n"
    b"To: specs@example.com\r\n"
    b"Subject: Hello\r\n"
    b"Date: Mon, 5 Feb 2024 10:00:00 +0100\r\n"
    b"Message-ID: <1@example.org>\r\n"
)


def envelope(raw: bytes, *rcpt_to: str) -> Envelope:
    """An envelope around ``raw`` as SMTP on loopback makes it."""
    return Envelope(
        raw=raw,
        source="smtp",
        peer="127.0.0.1",
        mail_from="alice@example.org",
        rcpt_to=rcpt_to or ("specs@example.com",),
        received_at=datetime(2024, 2, 5, 9, 0, 1, tzinfo=UTC),
    )


def read(raw: bytes, *rcpt_to: str, ours: Addresses = OURS) -> Mail:
    """What parse makes of ``raw``."""
    return parse(envelope(raw, *rcpt_to), ours)


def single(body: bytes = b"Hi\r\n", *fields: bytes, headers: bytes = HEADERS) -> bytes:
    """A mail of one part; ``fields`` are headers of its body."""
    return b"".join([headers, *(field + b"\r\n" for field in fields), b"\r\n", body])


def part(content: bytes, *fields: bytes) -> bytes:
    """A part for ``multipart``."""
    return b"".join([*(field + b"\r\n" for field in fields), b"\r\n", content])


def multipart(
    *parts: bytes, kind: bytes = b"mixed", boundary: bytes = b"=_b", headers: bytes = HEADERS
) -> bytes:
    """A mail, or with empty ``headers`` a part, that holds ``parts``."""
    about = b"Content-Type: multipart/" + kind + b'; boundary="' + boundary + b'"\r\n\r\n'
    opened = (b"--" + boundary + b"\r\n" + each + b"\r\n" for each in parts)
    return b"".join([headers, about, *opened, b"--" + boundary + b"--\r\n"])

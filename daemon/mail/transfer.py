"""Transfer encodings undone, byte for byte, as lenient as mailers are (RFC 2045, section 6)."""

from __future__ import annotations

import binascii
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_ENCODING = re.compile(r"\s*\"?([A-Za-z0-9-]+)")
_BEGIN = re.compile(rb"^begin [0-7]{3,4} ([^\r\n]+)\r?$", re.MULTILINE)
_NO_BASE64 = bytes(
    set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")
)
_UU = frozenset({"x-uuencode", "uuencode", "x-uue", "uue"})


def encoding(value: str | None) -> str:
    """The encoding a Content-Transfer-Encoding names, in lower case, without what trails behind it."""
    match = _ENCODING.match(value or "")
    return match[1].lower() if match else ""


def undo(octets: bytes | memoryview, name: str) -> bytes:
    """``octets`` without the transfer encoding ``name``; as they are when it is none that we know."""
    if name == "base64":
        return base64(octets)
    octets = bytes(octets)
    if name == "quoted-printable":
        return quoted_printable(octets)
    if name in _UU:
        return next((content for _, content in uu_blocks(octets)), octets)
    return octets


def base64(octets: bytes | memoryview) -> bytes:
    """Base64 without what is no Base64; missing pad is filled in, a lone last character dropped.

    A pad ends the data (RFC 2045, 6.8), whatever a sender wrote after it.
    """
    try:
        return binascii.a2b_base64(octets)
    except binascii.Error:
        data = bytes(octets).translate(None, _NO_BASE64).partition(b"=")[0]
        data = data[: len(data) - (len(data) % 4 == 1)]
        return binascii.a2b_base64(data + b"=" * (-len(data) % 4))


def quoted_printable(octets: bytes) -> bytes:
    """Quoted-printable; white space at line ends is the transport's (RFC 2045, 6.7, rule 3)."""
    if b" \r\n" in octets or (b"\t" in octets and b"\t\r\n" in octets):
        octets = b"\r\n".join(line.rstrip(b" \t") for line in octets.split(b"\r\n"))
    return binascii.a2b_qp(octets)


def uu_blocks(octets: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of each whole ``begin``…``end`` block in a text, as uuencode writes it (POSIX).

    A block that breaks off is none; the search goes on where it broke, so
    that any text is gone through once.
    """
    position = 0
    while match := _BEGIN.search(octets, position):
        content, position = _uu_block(octets, match.end() + 1)
        if content is not None:
            yield match[1], content


def _uu_block(octets: bytes, position: int) -> tuple[bytes | None, int]:
    """The content of the block whose lines start at ``position``, or None, and where its lines end."""
    content = bytearray()
    while (end := octets.find(b"\n", position)) >= 0 or position < len(octets):
        end = end if end >= 0 else len(octets)
        line = octets[position:end].rstrip(b"\r")
        if line.rstrip() == b"end":
            return bytes(content), end
        try:
            content += _uu_line(line)
        except binascii.Error:
            return None, position
        position = end + 1
    return None, len(octets)


def _uu_line(line: bytes) -> bytes:
    """Some encoders add a checksum: no more of the line is read than its length asks for.

    An empty line once was the space that says "no more bytes".
    """
    if not line:
        return b""
    length = (line[0] - 32) & 63
    return binascii.a2b_uu(line[: (length * 4 + 5) // 3])

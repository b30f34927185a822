"""The body of a message, as DKIM hashes it.

Our own canonical form and not dkimpy's: that takes quadratic time for a long
run of spaces (64 KiB of them in one line: seconds) and a gigabyte for a large
body of short words, before it can say that a signature is worthless. Here each
step is one pass of the interpreter's own, over pieces of the body.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


#: Octets that are made canonical at once, and what is left of their last line.
PIECE = 256 * 1024


def digest(body: bytes, method: str) -> bytes:
    """SHA-256 of ``body``, whose lines end in CRLF, in the canonical form ``relaxed`` or ``simple``."""
    told = sha256()
    for piece in relaxed(body) if method == "relaxed" else simple(body):
        told.update(piece)
    return told.digest()


def simple(body: bytes) -> Iterator[bytes]:
    """``body`` with one CRLF at its end, whatever empty lines there were (RFC 6376, 3.4.3)."""
    yield body.rstrip(b"\r\n")
    yield b"\r\n"


def relaxed(body: bytes) -> Iterator[bytes]:
    """``body`` with a space for each run of white space and none at line ends; empty if it says nothing.

    RFC 6376, 3.4.4. A line's indentation is white space like any other: a
    relaxed signature doesn't say how deep it is.
    """
    empty_lines = b""  # what will have been the end, unless something follows
    says_something = False
    for piece in _pieces(body):
        lines = _single_spaced(piece)
        content = lines.rstrip(b"\r\n")
        if content:
            yield empty_lines
            yield content
            empty_lines, says_something = lines[len(content) :], True
        else:
            empty_lines += lines
    if says_something:
        yield b"\r\n"


def _single_spaced(lines: bytes) -> bytes:
    if b" " not in lines and b"\t" not in lines:  # as in all of a large attachment
        return lines
    lines = lines.replace(b"\t", b" ")
    while b"  " in lines:
        lines = lines.replace(b"  ", b" ")
    return lines.replace(b" \r\n", b"\r\n").removesuffix(b" ")


def _pieces(body: bytes) -> Iterator[bytes]:
    """``body`` in whole lines, but that its last one may lack its end."""
    start = 0
    while start < len(body):
        end = body.find(b"\r\n", start + PIECE)
        stop = len(body) if end < 0 else end + 2
        yield body[start:stop]
        start = stop

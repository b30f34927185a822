"""The body of a message, as DKIM hashes it.

Our own canonical form and not dkimpy's: that takes quadratic time for a long
run of spaces (64 KiB of them in one line: seconds) and a gigabyte for a large
body of short words, before it can say that a signature is worthless. Here each
step is one pass of the interpreter's own, with at most two copies held.
"""

from __future__ import annotations

from hashlib import sha256


def digest(body: bytes, method: str) -> bytes:
    """SHA-256 of ``body``, whose lines end in CRLF, in the canonical form ``relaxed`` or ``simple``."""
    return sha256(relaxed(body) if method == "relaxed" else simple(body)).digest()


def simple(body: bytes) -> bytes:
    """``body`` with one CRLF at its end, whatever empty lines there were (RFC 6376, 3.4.3)."""
    return body.rstrip(b"\r\n") + b"\r\n"


def relaxed(body: bytes) -> bytes:
    """``body`` with a space for each run of white space and none at line ends; empty if it says nothing.

    RFC 6376, 3.4.4. A line's indentation is white space like any other: a
    relaxed signature doesn't say how deep it is.
    """
    body = body.replace(b"\t", b" ")
    while b"  " in body:
        body = body.replace(b"  ", b" ")
    ended = body.replace(b" \r\n", b"\r\n").rstrip(b"\r\n").removesuffix(b" ").rstrip(b"\r\n")
    return ended + b"\r\n" if ended else b""

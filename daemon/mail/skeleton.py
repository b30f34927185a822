"""A message without its bodies, so that parsing costs by structure and not by size."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: Bytes of Base64 in a row from which cutting them out is cheaper than parsing them.
CUT_MIN = 64 * 1024
#: The same for the lines of a text, of which a message is looked through for so many.
TEXT_MIN, TEXTS_MAX = 512, 200

#: Digits of a cut's number in the frame.
_DIGITS = 8

#: Whole lines of Base64 letters. No boundary, header or blank line can be among them, so a message
#: parses alike with and without them. The last line end stays: it may belong to the boundary that follows.
_RUN = re.compile(rb"^[A-Za-z0-9+/=]++(?:(?=\r\n[A-Za-z0-9+/=])\r\n[A-Za-z0-9+/=]++)*+(?=\r?$)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Skeleton:
    """``frame`` is the message, each ``cut`` in it replaced by a line of ``token`` and its number."""

    frame: bytes
    token: bytes
    cuts: tuple[memoryview, ...] = ()

    def restore(self, body: bytes) -> bytes | memoryview:
        """``body`` with what was cut out of it, which is not copied when nothing else is in it."""
        if not self.cuts or self.token not in body:
            return body
        first, *rest = body.split(self.token)
        if not first and len(rest) == 1 and len(rest[0]) == _DIGITS:
            return self.cuts[int(rest[0])]
        pieces: list[bytes | memoryview] = [first]
        for piece in rest:
            pieces += [self.cuts[int(piece[:_DIGITS])], piece[_DIGITS:]]
        return b"".join(pieces)


def cut(message: bytes, token: str) -> Skeleton:
    """Take the large bodies out of ``message``, whose lines end in CRLF.

    ``token`` are Base64 letters that nobody could write into this message,
    such as a hash of it; else a sender could have bodies swapped.
    """
    runs = _RUN.finditer(message) if len(message) >= CUT_MIN else ()
    large = [run.span() for run in runs if run.end() - run.start() >= CUT_MIN]
    return _without(large, message, token.encode())


def trim(skeleton: Skeleton) -> Skeleton:
    """Take the texts out too, unless something large was: then they don't matter.

    Nor where a message lies within the message, in which headers may follow
    an empty line. The frame tells, though it would lack the bodies of one:
    whatever stands before the first that is declared was cut as it should be.
    """
    if skeleton.cuts:
        return skeleton
    trimmed = _without(list(_texts(skeleton.frame)), skeleton.frame, skeleton.token)
    frame = trimmed.frame.lower()
    return skeleton if b"message/" in frame or b"multipart/digest" in frame else trimmed


def _texts(message: bytes) -> Iterator[tuple[int, int]]:
    """Where texts lie in a message that holds no other.

    What follows an empty line is body, up to a line that may be a boundary.
    Last lines stay, since their ends may belong to that.
    """
    end = 0
    for _ in range(TEXTS_MAX):
        blank = message.find(b"\r\n\r\n", end)
        if blank < 0:
            return
        start = blank + 4
        boundary = message.find(b"\r\n--", start - 2)
        end = len(message) if boundary < 0 else boundary
        last = message.rfind(b"\r\n", start, end)
        if last - start >= TEXT_MIN:
            yield start, last


def _without(spans: Sequence[tuple[int, int]], message: bytes, token: bytes) -> Skeleton:
    if not spans:
        return Skeleton(message, token)
    view = memoryview(message)
    frame, position = bytearray(), 0
    for number, (start, end) in enumerate(spans):
        frame += view[position:start]
        frame += b"%s%0*d" % (token, _DIGITS, number)
        position = end
    frame += view[position:]
    return Skeleton(bytes(frame), token, tuple(view[start:end] for start, end in spans))

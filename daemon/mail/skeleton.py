"""A message without its large Base64 bodies, so that parsing costs by structure and not by size."""

from __future__ import annotations

import re
from dataclasses import dataclass

#: Bytes of Base64 in a row from which cutting them out is cheaper than parsing them.
CUT_MIN = 64 * 1024

#: Whole lines of Base64 letters. No boundary, header or blank line can be among them, so a message
#: parses alike with and without them. The last line end stays: it may belong to the boundary that follows.
_RUN = re.compile(rb"^[A-Za-z0-9+/=]++(?:(?=\r\n[A-Za-z0-9+/=])\r\n[A-Za-z0-9+/=]++)*+(?=\r?$)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Skeleton:
    """``frame`` is the message, each ``cut`` in it replaced by a line of ``token`` and its number."""

    frame: bytes
    token: bytes
    cuts: tuple[memoryview, ...]

    def restore(self, body: bytes) -> bytes:
        """``body`` with what was cut out of it."""
        if not self.cuts or self.token not in body:
            return body
        first, *rest = body.split(self.token)
        pieces: list[bytes | memoryview] = [first]
        for piece in rest:
            pieces += [self.cuts[int(piece[:8])], piece[8:]]
        return b"".join(pieces)


def cut(message: bytes, token: str) -> Skeleton:
    """Take the large bodies out of ``message``, whose lines end in CRLF.

    ``token`` are Base64 letters that nobody could write into this message,
    such as a hash of it; else a sender could have bodies swapped.
    """
    mark = token.encode()
    if len(message) < CUT_MIN:
        return Skeleton(message, mark, ())
    view = memoryview(message)
    spans = [run.span() for run in _RUN.finditer(message) if run.end() - run.start() >= CUT_MIN]
    if not spans:
        return Skeleton(message, mark, ())
    frame, position = bytearray(), 0
    for number, (start, end) in enumerate(spans):
        frame += view[position:start]
        frame += b"%s%08d" % (mark, number)
        position = end
    frame += view[position:]
    return Skeleton(bytes(frame), mark, tuple(view[start:end] for start, end in spans))

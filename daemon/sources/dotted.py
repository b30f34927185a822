"""A message as DATA sends it: dots stuffed, ended by a dot on a line of its own (RFC 5321 4.5.2)."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

from daemon.sources.refusal import Refusal

if TYPE_CHECKING:
    from daemon.sources.door import Share
    from daemon.sources.limits import Limits

_END = b"\r\n.\r\n"
_AHEAD = len(_END) - 1  # octets at the end of what we have that may be the start of _END


class Dotted:
    """Takes a message in pieces as large as they come, a hundred times faster than by lines.

    ``share`` counts what is kept; once the message is over its size, or all
    messages over theirs, nothing of it is kept, and the answer waits for the
    dot, since a sender reads none before (RFC 5321 4.1.1.4).

    The only end is CR LF dot CR LF, and a message with a CR or LF outside of
    a pair is refused: servers that disagree about a line end are how one mail
    smuggles in another. The session may go on, because the end we found is
    the end RFC 5321 2.3.8 defines: what follows is the peer's own command.
    """

    def __init__(self, limits: Limits, share: Share) -> None:
        self._limits = limits
        self._share = share
        self._kept = BytesIO()  # getvalue() of it costs no copy
        self._size = 0
        self._ahead = b"\r\n"  # the line of DATA itself: a dot may come first
        self._stuffed = False  # whether a line begins with a dot
        self._lone = 0  # CRs and LFs less those that stand in pairs
        self._refusal: str | None = None

    def feed(self, data: bytes) -> bytes | None:
        """Take the next octets; None until the end has come, then what followed it."""
        window = self._ahead + data
        end = self._end(window)
        if end < 0:
            self._keep(window, len(window))
            self._ahead = window[-_AHEAD:]
            return None
        self._keep(window, end + len(_END))
        return window[end + len(_END) :]

    def _end(self, window: bytes) -> int:
        """Where the end begins, -1 while it hasn't come; one search for dots that open a line tells both."""
        dot = window.find(_END[:3])
        if dot < 0 or window.startswith(_END, dot):
            return dot
        self._stuffed = True
        return window.find(_END, dot)

    @property
    def is_flood(self) -> bool:
        """Whether this is so far over the size that its end is not worth waiting for."""
        return self._size > 2 * self._limits.max_size

    def message(self) -> bytes:
        """The whole message as its sender meant it, or the Refusal for it."""
        if self._refusal:
            raise Refusal(self._refusal)
        if self._lone:
            raise Refusal("554 5.6.0 a CR or LF outside of a line end")
        self._kept.truncate(self._size - len(b".\r\n"))
        stuffed = self._kept.getvalue()
        if _longest_over(self._limits.line_length, stuffed):
            raise Refusal(f"554 5.6.0 a line is longer than {self._limits.line_length} octets")
        return _unstuffed(stuffed) if self._stuffed else stuffed

    def _keep(self, window: bytes, end: int) -> None:
        """Count and keep ``window`` up to ``end``, but what was ahead, which is counted and kept."""
        start = len(self._ahead)
        self._size += end - start
        pairs = window.count(b"\r\n", start - 1, end)
        self._lone += window.count(b"\r", start, end) + window.count(b"\n", start, end) - 2 * pairs
        if self._refusal is None and (refusal := self._no_room(end - start)):
            self._refusal = refusal
            self._kept = BytesIO()
            self._share.release()
        if self._refusal is None:
            self._kept.write(memoryview(window)[start:end])

    def _no_room(self, more: int) -> str | None:
        if self._size > self._limits.max_size + len(b".\r\n"):
            return f"552 5.3.4 a message may have {self._limits.max_size} octets"
        if not self._share.grow(more):
            return "452 4.3.1 too much mail at once: please try again later"
        return None


def _unstuffed(stuffed: bytes) -> bytes:
    return stuffed[stuffed.startswith(b".") :].replace(b"\r\n.", b"\r\n")


def _longest_over(limit: int, text: bytes) -> bool:
    """Whether a line of ``text``, its CRLF not counted, is over ``limit``: by leaps, not by lines."""
    start = 0
    while len(text) - start > limit:
        end = text.rfind(b"\r\n", start, start + limit + 2)
        if end < 0:
            return True
        start = end + 2
    return False

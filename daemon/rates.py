"""How often one sender may come, so that a program that runs wild doesn't plan a thousand sprints."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

#: Pieces of a window in which mails are counted: a sender costs no more numbers, whatever the limit.
PIECES = 60
#: Senders that are remembered. Who can prove more addresses than this has no use for forgetting one.
SENDERS_MAX = 10_000


@dataclass(slots=True)
class _Count:
    """The mails of one sender: how many of them in which piece of time, oldest first."""

    pieces: deque[tuple[int, int]] = field(default_factory=deque)
    mails: int = 0

    def forget_before(self, piece: int) -> None:
        while self.pieces and self.pieces[0][0] < piece:
            self.mails -= self.pieces.popleft()[1]

    def add(self, piece: int) -> None:
        if self.pieces and self.pieces[-1][0] == piece:
            self.pieces[-1] = (piece, self.pieces[-1][1] + 1)
        else:
            self.pieces.append((piece, 1))
        self.mails += 1


class Rates:
    """At most ``limit`` mails of one sender within any ``window`` seconds; None: as many as they like.

    A mail counts for the window and up to a sixtieth of it longer, so the
    limit is never exceeded. Addresses that differ by case alone are one
    sender. For one thread at a time; forgets when the process ends.
    """

    def __init__(
        self, limit: int | None, window: float = 3600.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.limit, self._clock = limit, clock
        self._piece = window / PIECES
        self._counts: OrderedDict[str, _Count] = OrderedDict()  # the sender who came last stands last

    def allows(self, sender: str, more: int = 1) -> bool:
        """Whether ``sender`` may bring so many mails more now; nothing is counted."""
        if self.limit is None:
            return True
        count = self._counts.get(sender.lower())
        if count:
            count.forget_before(self._now() - PIECES)
        return (count.mails if count else 0) + more <= self.limit

    def count(self, sender: str) -> None:
        """Count one mail of ``sender``, which was taken."""
        if self.limit is None:
            return
        sender, now = sender.lower(), self._now()
        self._forget_before(now - PIECES)
        self._count(sender).add(now)
        self._counts.move_to_end(sender)

    def _now(self) -> int:
        return int(self._clock() / self._piece)

    def _count(self, sender: str) -> _Count:
        """What is known of ``sender``; at the cap, who hasn't come for longest makes room for a new one."""
        if sender not in self._counts and len(self._counts) >= SENDERS_MAX:
            self._counts.popitem(last=False)
        return self._counts.setdefault(sender, _Count())

    def _forget_before(self, piece: int) -> None:
        """Drop who hasn't come since: they stand first."""
        while self._counts:
            pieces = next(iter(self._counts.values())).pieces
            if pieces and pieces[-1][0] >= piece:
                return
            self._counts.popitem(last=False)

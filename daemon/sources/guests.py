"""Who is inside, in the order in which they would have to give way."""

from __future__ import annotations

from collections import OrderedDict
from typing import Protocol


class Guest(Protocol):
    """A conversation, as the door sees it."""

    def leave(self, reply: str) -> None:
        """End with ``reply`` as soon as no message is under way."""

    def give_way(self, reply: str) -> None:
        """End at once, and say ``reply`` if that takes no waiting."""

    def abort(self) -> None:
        """End at once."""


class Room:
    """Places for some guests; ``full`` is the reply that none is left.

    It keeps a line of those who may be asked for their place, the one longest
    without progress first. Who waits for us, and not we for them, stands in
    no line. Every step costs the same however many there are.
    """

    def __init__(self, places: int, full: str) -> None:
        self.full = full
        self._places = places
        self._taken = 0
        self._line: OrderedDict[Guest, None] = OrderedDict()

    @property
    def is_full(self) -> bool:
        """Whether somebody has to go before somebody comes."""
        return self._taken >= self._places

    def first(self) -> Guest | None:
        """Who would have to give way now, if anybody."""
        return next(iter(self._line), None)

    def enter(self, guest: Guest) -> None:
        """Take a place, at the end of the line."""
        self._taken += 1
        self.to_the_end(guest)

    def left(self, guest: Guest) -> None:
        """Free a place."""
        self._taken -= 1
        self.out_of_line(guest)

    def to_the_end(self, guest: Guest) -> None:
        """Let ``guest`` be the last to give way."""
        self._line[guest] = None
        self._line.move_to_end(guest)

    def to_the_front(self, guest: Guest) -> None:
        """Let ``guest`` be the next to give way."""
        self._line[guest] = None
        self._line.move_to_end(guest, last=False)

    def out_of_line(self, guest: Guest) -> None:
        """Let ``guest`` keep its place whoever comes."""
        self._line.pop(guest, None)

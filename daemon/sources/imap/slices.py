"""Slices: as many mails as are fetched, read and filed together."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Mails of a slice, and their octets beyond which no further mail joins it.
SLICE_MAILS, SLICE_BYTES = 100, 4 << 20


def cut(sizes: Mapping[int, int]) -> Iterator[list[int]]:
    """The UIDs of ``sizes`` (in octets) in slices, ascending; each has one at least."""
    taken: list[int] = []
    room = SLICE_BYTES
    for uid in sorted(sizes):
        if taken and (len(taken) == SLICE_MAILS or sizes[uid] > room):
            yield taken
            taken, room = [], SLICE_BYTES
        taken.append(uid)
        room -= sizes[uid]
    if taken:
        yield taken

"""Memory that goes back to the system once a large mail is done with."""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress

#: Octets from which a block is mapped by itself, and given back as soon as it is free.
MAPPED = 1 << 20

#: Objects made and not freed after which the youngest are looked through for cycles, and then older ones.
GENERATIONS = (50_000, 20, 100)

_M_MMAP_THRESHOLD = -3  # malloc.h


def give_back() -> None:
    """Have glibc return every large block when it is freed (mallopt(3)).

    Left alone, it takes the first large block as a sign that more will come,
    and every thread's arena keeps the room of the largest mail it ever saw:
    measured, 300 MiB after five mails of 25 MiB. Another C library has no
    such call, and goes without.
    """
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, MAPPED)


def collect_seldom() -> None:
    """Have Python look for cycles seldom, and never in what is there already.

    Mails leave none, and as often as usual all that were under way were
    looked through again and again: a sixth of the daemon's own work.
    """
    gc.freeze()
    gc.set_threshold(*GENERATIONS)

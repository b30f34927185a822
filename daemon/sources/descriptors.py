"""File descriptors: as many as the connections need, or as many connections as there are descriptors."""

from __future__ import annotations

import resource
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from daemon.log import Event

if TYPE_CHECKING:
    from daemon.sources.limits import Limits

_log = structlog.get_logger()

#: Connections that are accepted in one turn of the loop, before any of them is counted.
AT_ONCE = 32
#: On the way to the door, or sent away and not closed yet: each takes a few turns.
_IN_PASSING = 4 * AT_ONCE
#: For the rest of the house: listeners, database, readers, files.
_OTHERS = 256


def needed(limits: Limits) -> int:
    """How many descriptors the process may come to hold at once."""
    return limits.connections + _IN_PASSING + _OTHERS


def fitted(limits: Limits) -> Limits:
    """Raise what the process may open to what ``limits`` need; if that can't be, the limits that fit.

    Without descriptors accept() fails, for honest clients too, and so does
    whatever else opens a file: a door that is full is better than that. What
    is too little for all is halved between the connections and the rest.
    """
    allowed = _raised(needed(limits))
    fit = limits.connections if allowed >= needed(limits) else allowed // 2
    if limits.connections <= fit:
        return limits
    _log.warning(
        Event.FEW_FILES,
        trouble=f"{limits.connections} connections need {needed(limits)} open files; allowed are {allowed}",
        connections=fit,
        remedy=f"set LimitNOFILE={needed(limits)} in the service, or lower [smtp] connections",
    )
    return replace(limits, connections=fit)


def _raised(wanted: int) -> int:
    """Raise the soft limit on open files to ``wanted``, as far as the hard one goes; what it is then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most

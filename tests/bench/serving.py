"""What the SMTP bench asks of a server: a stage to be set up on, and a service that takes mail there."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from db.embedded import Server


@dataclass(frozen=True)
class Workload:
    """Mails of one kind: ``mail(n)`` is the n-th message, ``specification(n)`` the bytes attached to it."""

    name: str
    mail: Callable[[int], bytes]
    specification: Callable[[int], bytes]


@dataclass(frozen=True)
class Stage:
    """Where a server runs for one run: a new ``folder`` of its own, and a PostgreSQL for who needs one."""

    folder: Path
    postgres: Server
    workload: Workload


@dataclass(frozen=True)
class Service:
    """A server that is up.

    ``pid`` is the process that all of it descends from. ``settle(mails)``
    returns once the mails 0 to ``mails - 1`` are done with, at once where an
    answer means that; the run's time ends there. ``check(mails)`` comes after
    that and raises DrainError unless each of them is found, and what was
    stored of it equals what was sent.
    """

    address: tuple[str, int]
    pid: int
    settle: Callable[[int], None]
    check: Callable[[int], None]


#: Starts a server on a stage and ends it, with all it started; raises DrainError when it does not come up.
Serving = Callable[[Stage], AbstractContextManager[Service]]


def at_once(mails: int) -> None:
    """What ``settle`` is where an answer means that a mail is done with."""

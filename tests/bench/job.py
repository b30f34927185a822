"""One run: a mailbox that somebody drains while a stopwatch runs."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.bench.measure import Stopwatch
from tests.bench.processes import DrainError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from db.embedded import Server
    from tests.bench.dovecot import Account, Dovecot, Owner
    from tests.bench.measure import Sample

    #: What drains a mailbox: it stops the job's watch when all is done, then sees that all is right.
    Drain = Callable[["Job"], None]

#: Seconds a run is given, and for each mail of it: who is slower has failed.
START, PER_MAIL = 30, 0.5


@dataclass
class Job:
    """What a drain is given; ``folder`` is its own, and ``postgres`` is the server for who needs one."""

    account: Account
    mails: int
    folder: Path
    owner: Owner
    postgres: Server
    watch: Stopwatch
    peak: int = 0
    #: The message whose place in the mailbox is given, for who looks what became of it.
    mail: Callable[[int], bytes] = field(default=lambda _: b"")

    @property
    def timeout(self) -> float:
        """Seconds after which it has failed."""
        return START + PER_MAIL * self.mails


@dataclass(frozen=True)
class Place:
    """Where jobs are done: the servers, and a folder for each job."""

    root: Path
    dovecot: Dovecot
    postgres: Server

    def do(self, drain: Drain, box: Box, through: int | None = None) -> Sample:
        """Drain a new mailbox with the mails of ``box``, by another port if one is given."""
        account = self.dovecot.account(box.template)
        folder = self.root / "jobs" / account.user
        folder.mkdir()
        self.dovecot.owner.take(folder)
        watch = Stopwatch(self.dovecot.pid)
        there = account.through(through) if through else account
        job = Job(there, box.mails, folder, self.dovecot.owner, self.postgres, watch, mail=box.mail)
        os.sync()  # nobody pays for what the one before has left to write
        with self.dovecot.watching(account.user, watch.start):
            drain(job)
        return watch.sample(box.mails, job.peak)


@dataclass(frozen=True)
class Box:
    """A prepared Maildir, and how its mails were made."""

    template: Path
    mails: int
    mail: Callable[[int], bytes]


def expect(what: str, found: object, wanted: object) -> None:
    """Raise DrainError unless it is as it has to be."""
    if found != wanted:
        raise DrainError(f"{what}: {found!r}, and {wanted!r} was due")


def expect_all(what: str, found: Iterable[bool]) -> None:
    """Raise DrainError unless all are true."""
    expect(what, sum(not each for each in found), 0)

"""Runs the jobs of ``intake.jobs``: takes one, does it, and tries again later, or gives it up in the open.

Any number of daemons may do so on one database. Who takes a job has it for its
kind's lease; what it comes to is written only while it is still theirs.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from threading import Event as Flag
from threading import Thread
from typing import TYPE_CHECKING, Any

import psycopg
import structlog

from daemon.log import Event
from daemon.text import printable
from db import jobs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from psycopg import Connection
    from psycopg_pool import ConnectionPool

    from db.jobs import Taken

    #: Writes what a job came to, in the transaction that ends it.
    Write = Callable[[Connection[Any]], None]
    #: What is to be done. It may take long, and fail, and be done twice: what it returns is done once.
    Do = Callable[[Taken], Write]

log = structlog.get_logger()

#: Jobs that one daemon does side by side.
HANDS = 2
#: Seconds after which an idle hand looks for a job again, more or less: other daemons look, too.
LOOK = 1.0
#: Seconds before the first repetition of what failed; they double with each, to at most the second number.
BACKOFF, BACKOFF_MAX = 5.0, 3600.0
#: Seconds to wait for a connection to the database.
DATABASE_TIMEOUT = 5.0


@dataclass(frozen=True, slots=True)
class Kind:
    """How jobs of one kind are done: how often one is tried, and seconds within which a try must be over."""

    do: Do
    attempts: int = 10
    lease: float = 60.0


class Worker:
    """Does jobs of the given kinds, in threads of its own, from ``start`` to ``close``."""

    def __init__(self, pool: ConnectionPool[Connection[Any]], kinds: Mapping[str, Kind], owner: str) -> None:
        self._pool, self._kinds, self._owner = pool, kinds, owner
        self._leases = {name: kind.lease for name, kind in kinds.items()}
        self._closed = Flag()
        self._threads = [Thread(target=self._run, name=f"worker-{hand}") for hand in range(HANDS)]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def alive(self) -> bool:
        """Whether jobs are still done; waiting for the database counts as that."""
        return all(thread.is_alive() for thread in self._threads)

    def close(self) -> None:
        """End once what was begun is done; what wasn't waits for the next daemon."""
        self._closed.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                idle = not self.turn()
            except psycopg.Error:  # whoever commits mails says that it is down
                idle = True
            except Exception:
                log.exception(Event.INTERNAL_ERROR, where="worker")
                idle = True
            if idle:
                self._closed.wait(LOOK * random.uniform(0.5, 1.5))  # noqa: S311 - no secret

    def turn(self) -> bool:
        """Do one job, if one is due; whether one was.

        Raises:
            psycopg.Error: the database can't be asked; the job is due again after its lease.
        """
        with self._pool.connection(DATABASE_TIMEOUT) as conn:
            job = jobs.take(conn, self._owner, self._leases)
        if job is None:
            return False
        kind = self._kinds[job.kind]
        if job.attempts > kind.attempts:
            self._give_up(job, None)  # whoever took it last never came back to say what failed
            return True
        try:
            write = kind.do(job)
            with self._pool.connection(DATABASE_TIMEOUT) as conn:
                ours = jobs.finish(conn, job)
                if ours:
                    write(conn)
        except Exception as error:  # noqa: BLE001 - a kind's edge: whatever fails is tried again
            self._failed(job, kind, printable(f"{type(error).__name__}: {error}", 1000))
        else:
            self._log(Event.JOB if ours else Event.JOB_LOST, job)
        return True

    def _failed(self, job: Taken, kind: Kind, trouble: str) -> None:
        if job.attempts >= kind.attempts:
            self._give_up(job, trouble)
            return
        seconds = backoff(job.attempts)
        with self._pool.connection(DATABASE_TIMEOUT) as conn:
            if jobs.retry(conn, job, trouble, seconds):
                self._log(Event.JOB_FAILED, job, trouble=trouble, again_in=round(seconds))

    def _give_up(self, job: Taken, trouble: str | None) -> None:
        with self._pool.connection(DATABASE_TIMEOUT) as conn:
            if jobs.bury(conn, job, trouble):
                self._log(Event.JOB_DEAD, job, trouble=trouble)

    def _log(self, event: Event, job: Taken, **more: Any) -> None:  # noqa: ANN401 - values of a log line
        level = log.info if event is Event.JOB else log.error if event is Event.JOB_DEAD else log.warning
        level(event, job=job.id, kind=job.kind, mail=job.mail_id, attempt=job.attempts, **more)


def backoff(attempts: int) -> float:
    """Seconds to wait after so many attempts; by chance up to half of it less, so that a crowd disperses."""
    longest = min(BACKOFF * 2.0 ** (attempts - 1), BACKOFF_MAX)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - no secret

"""Group commit without timers: a batch is whatever became ready while the last one was being committed."""

from __future__ import annotations

from collections import deque
from threading import Condition, Thread
from typing import TYPE_CHECKING

import psycopg
import structlog

from daemon.log import Event
from daemon.outcome import Outcome, Verdict
from db.pool import AWAY

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

    from daemon.records import Judged

log = structlog.get_logger()

#: Mails in a batch, at most.
BATCH_MAILS = 100
#: Specifications in a batch, beyond which no further mail joins it: a small mail may hold two hundred.
BATCH_SPECS = 200
#: Bytes in a batch, beyond which no further mail joins it.
BATCH_BYTES = 64 << 20

# SQLSTATE classes of operational errors that are about a transaction or what is in it, and not about the
# server: rolled back for its neighbours' sake (40), and more than PostgreSQL can hold (54).
_ABOUT_THE_BATCH = ("40", "54")


class Batches:
    """Commits judged mails one batch after the other, in a thread of its own."""

    def __init__(self, commit: Callable[[Sequence[Judged]], list[Outcome]]) -> None:
        self._commit = commit
        self._ready: deque[tuple[Judged, Future[Outcome]]] = deque()
        self._changed = Condition()
        self._closed = False
        self.trouble: str | None = None
        """What the last batch failed of, when it was no fault of its mails."""
        self._thread = Thread(target=self._run, name="commit")
        self._thread.start()

    def add(self, judged: Judged, outcome: Future[Outcome]) -> None:
        """Let a mail join the batch that is forming; ``outcome`` is set once it is committed.

        When nobody is there any more who would commit it, it is deferred.
        """
        with self._changed:
            if taken := self.alive() and not self._closed:
                self._ready.append((judged, outcome))
                self._changed.notify()
        if not taken:
            outcome.set_result(Outcome(Verdict.DEFERRED, reason="nothing is committed any more"))

    def close(self) -> None:
        """Commit what is ready, then end."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def alive(self) -> bool:
        """Whether the thread still turns; waiting for the database counts as alive."""
        return self._thread.is_alive()

    def _run(self) -> None:
        while self._turn():
            pass

    def _turn(self) -> bool:
        """One batch; False when there will be none. Nothing of it is kept while waiting for the next."""
        batch = self._next()
        outcomes = self._settle([judged for judged, _ in batch]) if batch else []
        for (_, outcome), what in zip(batch, outcomes, strict=True):
            outcome.set_result(what)
        return bool(batch)

    def _next(self) -> list[tuple[Judged, Future[Outcome]]]:
        """The next batch; empty when there will be none."""
        with self._changed:
            self._changed.wait_for(lambda: self._ready or self._closed)
            batch: list[tuple[Judged, Future[Outcome]]] = []
            room, specs = BATCH_BYTES, BATCH_SPECS
            while self._ready and len(batch) < BATCH_MAILS and room > 0 and specs > 0:
                batch.append(self._ready.popleft())
                room -= len(batch[-1][0].envelope.raw)
                specs -= len(batch[-1][0].specs)
            return batch

    def _settle(self, batch: list[Judged]) -> list[Outcome]:
        """Commit a batch; when it fails for no fault of the database or storage, each mail by itself."""
        try:
            outcomes = self._commit(batch)
        except Exception as error:  # noqa: BLE001 - the thread's edge; the sender keeps the mail
            if not _is_outage(error):
                return self._each_alone(batch, error)
            self._went_down(error)
            return [_deferred(error)] * len(batch)
        self._came_up()
        return outcomes

    def _each_alone(self, batch: list[Judged], error: Exception) -> list[Outcome]:
        log.error(Event.BATCH_FAILED, mails=len(batch), exc_info=error)
        if len(batch) > 1:
            return [outcome for judged in batch for outcome in self._settle([judged])]
        return [_deferred(error)]

    def _went_down(self, error: Exception) -> None:
        trouble = Event.STORAGE_DOWN if isinstance(error, OSError) else Event.DATABASE_DOWN
        if self.trouble != trouble:
            log.error(trouble, reason=f"{type(error).__name__}: {error}")
        self.trouble = trouble

    def _came_up(self) -> None:
        if self.trouble:
            log.info(Event.STORAGE_UP if self.trouble == Event.STORAGE_DOWN else Event.DATABASE_UP)
        self.trouble = None


def _is_outage(error: Exception) -> bool:
    """Whether the database or storage failed, so that no other mail would fare better."""
    if isinstance(error, psycopg.OperationalError):
        return not (error.sqlstate or "").startswith(_ABOUT_THE_BATCH)
    return isinstance(error, (*AWAY, OSError))


def _deferred(error: Exception) -> Outcome:
    return Outcome(Verdict.DEFERRED, reason=f"{type(error).__name__}: {error}")

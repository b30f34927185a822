"""Group commit without timers: a batch is whatever became ready while the last one was being committed."""

from __future__ import annotations

from collections import deque
from threading import Condition, Thread
from typing import TYPE_CHECKING

import psycopg
import structlog

from daemon.log import Event
from daemon.outcome import Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

    from daemon.records import Judged

log = structlog.get_logger()

#: Mails in a batch, at most.
BATCH_MAILS = 100
#: Bytes in a batch, beyond which no further mail joins it.
BATCH_BYTES = 64 << 20

# Operational errors that are about this transaction and its neighbours, and not about the server.
_RETRIED_ALONE = (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected)


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
        """Let a mail join the batch that is forming; ``outcome`` is set once it is committed."""
        with self._changed:
            self._ready.append((judged, outcome))
            self._changed.notify()

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
        while batch := self._next():
            outcomes = self._settle([judged for judged, _ in batch])
            for (_, outcome), what in zip(batch, outcomes, strict=True):
                outcome.set_result(what)

    def _next(self) -> list[tuple[Judged, Future[Outcome]]]:
        """The next batch; empty when there will be none."""
        with self._changed:
            self._changed.wait_for(lambda: self._ready or self._closed)
            batch: list[tuple[Judged, Future[Outcome]]] = []
            room = BATCH_BYTES
            while self._ready and len(batch) < BATCH_MAILS and room > 0:
                batch.append(self._ready.popleft())
                room -= len(batch[-1][0].envelope.raw)
            return batch

    def _settle(self, batch: list[Judged]) -> list[Outcome]:
        """Commit a batch; when it fails for no fault of the database or storage, each mail by itself."""
        try:
            outcomes = self._commit(batch)
        except _RETRIED_ALONE as error:
            return self._each_alone(batch, error)
        except (psycopg.OperationalError, psycopg.InterfaceError, OSError) as error:
            self._went_down(error)
            return [Outcome(Verdict.DEFERRED, reason=f"{type(error).__name__}: {error}")] * len(batch)
        except Exception as error:  # noqa: BLE001 - the thread's edge; the sender keeps the mail
            return self._each_alone(batch, error)
        self._came_up()
        return outcomes

    def _each_alone(self, batch: list[Judged], error: Exception) -> list[Outcome]:
        log.error(Event.BATCH_FAILED, mails=len(batch), exc_info=error)
        if len(batch) > 1:
            return [outcome for judged in batch for outcome in self._settle([judged])]
        return [Outcome(Verdict.DEFERRED, reason=f"{type(error).__name__}: {error}")]

    def _went_down(self, error: Exception) -> None:
        trouble = Event.STORAGE_DOWN if isinstance(error, OSError) else Event.DATABASE_DOWN
        if self.trouble != trouble:
            log.error(trouble, reason=f"{type(error).__name__}: {error}")
        self.trouble = trouble

    def _came_up(self) -> None:
        if self.trouble:
            log.info(Event.STORAGE_UP if self.trouble == Event.STORAGE_DOWN else Event.DATABASE_UP)
        self.trouble = None

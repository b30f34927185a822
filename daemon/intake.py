"""The story of a mail: read, judged, stored, recorded, and only then answered."""

from __future__ import annotations

import math
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import structlog

from daemon.batches import Batches
from daemon.log import Event
from daemon.mail import Unreadable
from daemon.outcome import Outcome, Verdict
from daemon.readers import Broken
from daemon.records import Judged, arrival_row, events_of, mail_row, spec_rows, sprint_rows
from daemon.trust import Judgement, judge
from db import arrivals, events, mails, parts, specs, sprints

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from uuid import UUID

    from psycopg import Connection
    from psycopg_pool import ConnectionPool

    from daemon.mail import Envelope
    from daemon.readers import Readers
    from daemon.reading import Reading
    from daemon.storage import StoredObject

    Put = Callable[[Iterable[StoredObject]], None]
    Known = Mapping[UUID, tuple[UUID, ...]]

log = structlog.get_logger()

#: Seconds a batch waits for a connection to the database before its mails are deferred.
DATABASE_TIMEOUT = 5.0
#: Seconds after which a batch that is still not stored will never be: a dead disk, or a mount that hangs.
STORAGE_TIMEOUT = 60.0
#: Held mails that are kept, in number, in bytes, and from one peer within a day; beyond, their senders
#: keep them. Those of one batch are counted together, so a batch may overshoot.
HELD_MAILS, HELD_BYTES, HELD_A_PEER = 200, 1 << 30, 20
FULL = Outcome(
    Verdict.DEFERRED,
    full=True,
    reason=f"held mails are at a limit: {HELD_MAILS}, {HELD_BYTES >> 20} MiB, {HELD_A_PEER} a peer and day",
)
#: Verdicts that are decided after "duplicate".
MAY_REPEAT = (Verdict.REJECTED, Verdict.ACCEPTED)


class Intake:
    """Takes mails in, from any source: read side by side, committed in batches."""

    def __init__(self, readers: Readers, put: Put, pool: ConnectionPool[Connection[Any]]) -> None:
        self._readers, self._put, self._pool = readers, put, pool
        self._stored_by = math.inf  # when what is being stored must be (monotonic seconds)
        self._batches = Batches(self._commit)

    def take(self, envelope: Envelope) -> Future[Outcome]:
        """Take one mail in; the future never fails, and is done once the mail's fate is durable."""
        started = time.monotonic()
        outcome: Future[Outcome] = Future()
        outcome.set_running_or_notify_cancel()  # a caller that goes away must not cancel a commit
        reading = self._readers.read(envelope)
        reading.add_done_callback(lambda reading: self._judge(envelope, reading, outcome, started))
        return outcome

    def close(self) -> None:
        """Commit what has been read, then end; the readers are closed first."""
        self._batches.close()

    def alive(self) -> bool:
        """Whether every part turns or waits, as for the database; False when only a restart would help."""
        stores_in_time = time.monotonic() < self._stored_by
        return stores_in_time and self._batches.alive() and not self._readers.stuck()

    def trouble(self) -> str | None:
        """What keeps mails from being committed right now, in words."""
        return self._batches.trouble

    def _judge(
        self, envelope: Envelope, reading: Future[Reading], outcome: Future[Outcome], started: float
    ) -> None:
        """Let what was read join a batch.

        A future keeps its callbacks, and an exception that is raised its
        frames: so ``outcome`` gets hold of no future, and nothing is raised,
        else a large mail stays in memory until cycles are collected.
        """
        broke = reading.exception()
        read = None if broke else reading.result()
        outcome.add_done_callback(
            lambda outcome: tell(envelope, read, outcome.result(), (time.monotonic() - started) * 1000)
        )
        if isinstance(broke, (Unreadable, Broken)):
            held = Judged(envelope, Verdict.HELD, Judgement(), reason=str(broke))
            self._batches.add(held, outcome)
        elif read is None:
            outcome.set_result(Outcome(Verdict.DEFERRED, reason=str(broke)))
        else:
            self._judge_read(envelope, read, outcome)

    def _judge_read(self, envelope: Envelope, read: Reading, outcome: Future[Outcome]) -> None:
        try:
            self._batches.add(judged(envelope, read), outcome)
        except Exception as error:
            log.exception(Event.INTERNAL_ERROR, where="judge")
            outcome.set_result(Outcome(Verdict.DEFERRED, reason=f"{type(error).__name__}: {error}"))

    def _commit(self, batch: Sequence[Judged]) -> list[Outcome]:
        """Make a batch of judged mails durable, all in one transaction; safe to repeat."""
        with self._pool.connection(DATABASE_TIMEOUT) as conn:  # commits on the way out
            known = accepted_before(conn, batch)
            kept = [
                judged for judged in batch if judged.verdict is not Verdict.HELD or has_room(conn, judged)
            ]
            self._store(judged for judged in kept if not _repeats(judged, known))
            outcomes = dict(zip(map(id, kept), record(conn, kept, known), strict=True))
            return [outcomes.get(id(judged), FULL) for judged in batch]

    def _store(self, batch: Iterable[Judged]) -> None:
        self._stored_by = time.monotonic() + STORAGE_TIMEOUT
        try:
            self._put(stored.object for judged in batch for stored in judged.stored)
        finally:
            self._stored_by = math.inf


def judged(envelope: Envelope, reading: Reading) -> Judged:
    """Decide a mail's fate, but for what the database knows of it."""
    judgement = judge(envelope, reading.mail)
    if judgement.ignored:
        return Judged(envelope, Verdict.IGNORED, judgement, reading.mail, reason=judgement.ignored)
    if reading.problems:
        return Judged(envelope, Verdict.REJECTED, judgement, reading.mail, problems=reading.problems)
    return Judged(envelope, Verdict.ACCEPTED, judgement, reading.mail, specs=reading.specs)


def accepted_before(conn: Connection[Any], batch: Sequence[Judged]) -> Known:
    """The mails of the batch that were accepted before, by content id, with their specs' ids."""
    asked = {judged.content_id for judged in batch if judged.verdict in MAY_REPEAT}
    return mails.accepted(conn, {content_id for content_id in asked if content_id})


def has_room(conn: Connection[Any], judged: Judged) -> bool:
    """Whether one more mail can be held."""
    held = mails.held(conn, judged.envelope.peer)
    fits = held.size + len(judged.envelope.raw) <= HELD_BYTES
    return held.mails < HELD_MAILS and fits and held.of_peer < HELD_A_PEER


def record(conn: Connection[Any], batch: Sequence[Judged], known: Known) -> list[Outcome]:
    """Write what the batch leaves behind; events only for what this transaction made."""
    first = {judged.id: judged for judged in reversed(batch) if not _repeats(judged, known)}
    wanted = [judged for judged in first.values() if judged.verdict is Verdict.ACCEPTED]
    others = [judged for judged in first.values() if judged.verdict is not Verdict.ACCEPTED]
    inserted = mails.insert(conn, [mail_row(judged) for judged in wanted])
    changed = mails.upsert(conn, [mail_row(judged) for judged in others])
    new = [judged for judged in wanted if judged.id in inserted]
    told = new + [judged for judged in others if judged.id in changed]
    outcomes = [_outcome(judged, known, made={id(judged) for judged in new}) for judged in batch]
    with conn.pipeline():
        arrivals.insert(
            conn, [arrival_row(judged, outcome) for judged, outcome in zip(batch, outcomes, strict=True)]
        )
        parts.insert(conn, [stored.row for judged in new + others for stored in judged.stored])
        specs.insert(conn, [row for judged in new for row in spec_rows(judged)])
        sprints.insert(conn, [row for judged in new for row in sprint_rows(judged)])
        events.insert(conn, [row for judged in told for row in events_of(judged)])
    return outcomes


def _repeats(judged: Judged, known: Known) -> bool:
    """Whether the mail was accepted before; what is held or ignored stays that, whoever is in its batch."""
    return judged.verdict in MAY_REPEAT and judged.content_id in known


def _outcome(judged: Judged, known: Known, made: set[int]) -> Outcome:
    """What the source is told; ``made`` are the mails whose acceptance this transaction recorded."""
    if judged.content_id and _repeats(judged, known):
        return Outcome(Verdict.DUPLICATE, judged.content_id, known[judged.content_id])
    if judged.verdict is Verdict.ACCEPTED and id(judged) not in made:
        return Outcome(Verdict.DUPLICATE, judged.id, judged.spec_ids)
    return Outcome(judged.verdict, judged.id, judged.spec_ids, judged.problems, judged.reason)


def tell(envelope: Envelope, reading: Reading | None, outcome: Outcome, ms: float) -> None:
    """Log the phases that a mail brought about, then its one line."""
    if reading and outcome.verdict is Verdict.ACCEPTED:
        for spec in reading.specs:
            sprint_labels = [sprint.label for sprint in spec.sprints]
            log.info(
                Event.SPEC_RECEIVED,
                spec=spec.id,
                repo=spec.target.repo,
                branch=spec.target.branch,
                file=spec.document.name,
                sender=reading.mail.sender,
            )
            log.info(Event.PLANNING, spec=spec.id, planner="rules", sprints=sprint_labels)
    if outcome.verdict is Verdict.REJECTED:
        log.info(Event.FAILED, mail=outcome.mail_id, problems=[str(problem) for problem in outcome.problems])
    mail = reading.mail if reading else None
    level = log.warning if outcome.verdict in (Verdict.HELD, Verdict.DEFERRED) else log.info
    level(
        Event.MAIL,
        verdict=outcome.verdict,
        mail=outcome.mail_id,
        specs=outcome.spec_ids,
        sender=mail.sender if mail else None,
        subject=mail.subject if mail else None,
        message_id=mail.message_id if mail else None,
        source=envelope.source,
        peer=envelope.peer,
        mail_from=envelope.mail_from,
        rcpt_to=envelope.rcpt_to,
        size=len(envelope.raw),
        ms=round(ms, 1),
        reason=outcome.reason or None,
    )

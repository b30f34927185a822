"""The story of a mail: read, judged, stored, recorded, and only then answered."""

from __future__ import annotations

import math
import time
from collections import Counter
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog
from psycopg.errors import UniqueViolation

from daemon.batches import Batches
from daemon.log import Event
from daemon.mail import Unreadable
from daemon.outcome import Outcome, Verdict
from daemon.readers import Broken
from daemon.records import Judged, arrival_row, events_of, mail_row, spec_rows, sprint_rows
from daemon.trust import Judgement
from db import arrivals, events, mails, parts, specs, sprints

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from collections.abc import Set as AbstractSet
    from uuid import UUID

    from psycopg import Connection
    from psycopg_pool import ConnectionPool

    from daemon.mail import Envelope
    from daemon.proving import Prover
    from daemon.rates import Rates
    from daemon.readers import Readers
    from daemon.reading import Reading
    from daemon.storage import StoredObject

    Put = Callable[[Iterable[StoredObject]], None]
    #: By content id, as which mail it was accepted, and that one's specs.
    Known = dict[UUID, tuple[UUID, tuple[UUID, ...]]]

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
TOO_MANY = Outcome(Verdict.DEFERRED, reason="its sender is over [smtp] sender_rate")
#: Verdicts that are decided after "duplicate".
MAY_REPEAT = (Verdict.REJECTED, Verdict.ACCEPTED)


@dataclass(slots=True)
class Walk:
    """One mail on its way through the house, and how far it has come."""

    envelope: Envelope
    started: float
    reading: Reading | None = None
    judged: Judged | None = None


class Intake:
    """Takes mails in, from any source: read and judged side by side, committed in batches."""

    def __init__(
        self, readers: Readers, prover: Prover, put: Put, pool: ConnectionPool[Connection[Any]], rates: Rates
    ) -> None:
        self._readers, self._prover, self._put, self._pool = readers, prover, put, pool
        self._rates = rates
        self._stored_by = math.inf  # when what is being stored must be (monotonic seconds)
        self._batches = Batches(self._commit)

    def take(self, envelope: Envelope) -> Future[Outcome]:
        """Take one mail in; the future never fails, and is done once the mail's fate is durable."""
        walk = Walk(envelope, time.monotonic())
        outcome: Future[Outcome] = Future()
        outcome.set_running_or_notify_cancel()  # a caller that goes away must not cancel a commit
        outcome.add_done_callback(lambda outcome: tell(walk, outcome.result()))
        reading = self._readers.read(envelope)
        reading.add_done_callback(lambda reading: self._judge(walk, reading, outcome))
        return outcome

    def close(self) -> None:
        """Commit what has been judged, then end; the prover is closed first."""
        self._batches.close()

    def alive(self) -> bool:
        """Whether every part turns or waits, as for the database; False when only a restart would help."""
        stores_in_time = time.monotonic() < self._stored_by
        turns = self._batches.alive() and self._prover.alive() and not self._readers.stuck()
        return stores_in_time and turns

    def trouble(self) -> str | None:
        """What keeps mails from being committed right now, in words."""
        return self._batches.trouble

    def _judge(self, walk: Walk, reading: Future[Reading], outcome: Future[Outcome]) -> None:
        """Let who sent it be judged, once it was read."""
        with self._excused(outcome, "judge"):
            if broke := reading.exception():
                self._break(walk, broke, outcome)
                return
            walk.reading = reading.result()
            judging = self._prover.judge(walk.envelope, walk.reading)
            judging.add_done_callback(lambda judging: self._join(walk, judging, outcome))

    def _join(self, walk: Walk, judging: Future[Judgement], outcome: Future[Outcome]) -> None:
        """Let what was read and judged join a batch."""
        with self._excused(outcome, "join"):
            broke = judging.exception()
            if broke or walk.reading is None:
                self._break(walk, broke, outcome)
                return
            judgement = judging.result()
            if judgement.later:
                outcome.set_result(Outcome(Verdict.DEFERRED, reason=judgement.later))
                return
            walk.judged = judged(walk.envelope, walk.reading, judgement)
            self._batches.add(walk.judged, outcome)

    def _break(self, walk: Walk, broke: BaseException | None, outcome: Future[Outcome]) -> None:
        """What becomes of a mail that couldn't be read, or not now."""
        if isinstance(broke, (Unreadable, Broken)):
            walk.judged = Judged(walk.envelope, Verdict.HELD, Judgement(), reason=str(broke))
            self._batches.add(walk.judged, outcome)
        else:
            outcome.set_result(Outcome(Verdict.DEFERRED, reason=str(broke)))

    @contextmanager
    def _excused(self, outcome: Future[Outcome], where: str) -> Iterator[None]:
        """Our own failure never leaves a mail without an outcome.

        A future keeps its callbacks, and an exception that is raised its
        frames: so no walk knows its outcome, and nothing is raised, else a
        large mail stays in memory until cycles are collected.
        """
        try:
            yield
        except Exception as error:
            log.exception(Event.INTERNAL_ERROR, where=where)
            outcome.set_result(Outcome(Verdict.DEFERRED, reason=f"{type(error).__name__}: {error}"))

    def _commit(self, batch: Sequence[Judged]) -> list[Outcome]:
        """Make a batch of judged mails durable, all in one transaction; safe to repeat."""
        try:
            return self._transact(batch)
        except UniqueViolation:  # another service took a copy of one of them at this moment: now it is known
            return self._transact(batch)

    def _transact(self, batch: Sequence[Judged]) -> list[Outcome]:
        with self._pool.connection(DATABASE_TIMEOUT) as conn:  # commits on the way out
            known = accepted_before(conn, batch)
            told = self._turned_away(conn, batch, known)
            kept = [judged for judged in batch if id(judged) not in told]
            known |= copies(kept, known)
            again = rejected_before(conn, kept)
            self._store(judged for judged in kept if not _repeats(judged, known) and id(judged) not in again)
            told |= dict(zip(map(id, kept), record(conn, kept, known, again), strict=True))
        for judged in kept:
            if told[id(judged)].verdict is Verdict.ACCEPTED:
                self._rates.count(judged.sender)
        return [told[id(judged)] for judged in batch]

    def _turned_away(
        self, conn: Connection[Any], batch: Sequence[Judged], known: Known
    ) -> dict[int, Outcome]:
        """What those of the batch are told for which there is no room now.

        Only what is new counts against a sender: a copy that somebody sends
        again takes nothing from them.
        """
        told = {id(each): FULL for each in batch if each.verdict is Verdict.HELD and not has_room(conn, each)}
        coming: Counter[str] = Counter()
        for judged in batch:
            if judged.verdict is Verdict.ACCEPTED and not _repeats(judged, known):
                coming[judged.sender] += 1
                if not self._rates.allows(judged.sender, coming[judged.sender]):
                    told[id(judged)] = TOO_MANY
        return told

    def _store(self, batch: Iterable[Judged]) -> None:
        self._stored_by = time.monotonic() + STORAGE_TIMEOUT
        try:
            self._put(stored.object for judged in batch for stored in judged.stored)
        finally:
            self._stored_by = math.inf


def judged(envelope: Envelope, reading: Reading, judgement: Judgement) -> Judged:
    """Decide a mail's fate, but for what the database knows of it."""
    decided = partial(Judged, envelope=envelope, judgement=judgement, mail=reading.mail)
    if judgement.ignored:
        return decided(verdict=Verdict.IGNORED, reason=judgement.ignored)
    if judgement.refused:
        return decided(verdict=Verdict.REFUSED, reason=judgement.refused)
    plan = reading.plan(judgement.rule)
    if problems := plan.problems or judgement.problems():
        return decided(verdict=Verdict.REJECTED, problems=problems)
    return decided(verdict=Verdict.ACCEPTED, specs=plan.specs)


def accepted_before(conn: Connection[Any], batch: Sequence[Judged]) -> Known:
    """Which mails of the batch were accepted before, or are copies of one that was."""
    asked = [judged for judged in batch if judged.verdict in MAY_REPEAT and judged.content_id]
    ids = {judged.content_id for judged in asked if judged.content_id}
    found = mails.accepted(conn, ids, {judged.letter for judged in asked if judged.letter})
    known = {mail.id: (mail.id, tuple(mail.spec_ids)) for mail in found}
    letters = {mail.letter: known[mail.id] for mail in found if mail.letter}
    return known | {
        judged.content_id: letters[judged.letter]
        for judged in asked
        if judged.content_id and judged.content_id not in known and judged.letter in letters
    }


def copies(batch: Sequence[Judged], known: Known) -> Known:
    """Which mails of the batch are copies of one before them in it, that is accepted now."""
    first: dict[str, tuple[UUID, tuple[UUID, ...]]] = {}
    for judged in batch:
        if judged.letter and judged.verdict is Verdict.ACCEPTED and not _repeats(judged, known):
            first.setdefault(judged.letter, (judged.id, judged.spec_ids))
    return {
        judged.content_id: first[judged.letter]
        for judged in batch
        if judged.content_id and judged.letter in first and judged.content_id != first[judged.letter][0]
    }


def rejected_before(conn: Connection[Any], batch: Sequence[Judged]) -> set[int]:
    """Which mails of the batch were rejected before, but for white space and headers that nobody signed.

    They are rejected again, and nobody is told and nothing kept: whoever
    holds a copy can make as many of it as they like.
    """
    rejected = [judged for judged in batch if judged.verdict is Verdict.REJECTED and judged.letter]
    seen = mails.rejected(conn, {judged.letter for judged in rejected if judged.letter})
    again = set()
    for judged in rejected:
        if judged.letter in seen:
            again.add(id(judged))
        seen.add(judged.letter or "")
    return again


def has_room(conn: Connection[Any], judged: Judged) -> bool:
    """Whether one more mail can be held."""
    held = mails.held(conn, judged.envelope.peer)
    fits = held.size + len(judged.envelope.raw) <= HELD_BYTES
    return held.mails < HELD_MAILS and fits and held.of_peer < HELD_A_PEER


def record(
    conn: Connection[Any], batch: Sequence[Judged], known: Known, again: AbstractSet[int] = frozenset()
) -> list[Outcome]:
    """Write what the batch leaves behind; events only for what this transaction made."""
    first = {judged.id: judged for judged in reversed(batch) if not _repeats(judged, known)}
    wanted = [judged for judged in first.values() if judged.verdict is Verdict.ACCEPTED]
    others = [judged for judged in first.values() if judged.verdict is not Verdict.ACCEPTED]
    inserted = mails.insert(conn, [mail_row(judged) for judged in wanted])
    changed = mails.upsert(conn, [mail_row(judged) for judged in others])
    new = [judged for judged in wanted if judged.id in inserted]
    told = new + [judged for judged in others if judged.id in changed and id(judged) not in again]
    outcomes = [_outcome(judged, known, made={id(judged) for judged in new}) for judged in batch]
    with conn.pipeline():
        arrivals.insert(
            conn, [arrival_row(judged, outcome) for judged, outcome in zip(batch, outcomes, strict=True)]
        )
        parts.insert(
            conn,
            [stored.row for judged in new + others if id(judged) not in again for stored in judged.stored],
        )
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
        return Outcome(Verdict.DUPLICATE, *known[judged.content_id])
    if judged.verdict is Verdict.ACCEPTED and id(judged) not in made:
        return Outcome(Verdict.DUPLICATE, judged.id, judged.spec_ids)
    return Outcome(judged.verdict, judged.id, judged.spec_ids, judged.problems, judged.reason)


def tell(walk: Walk, outcome: Outcome) -> None:
    """Log the phases that a mail brought about, then its one line."""
    mail, judged, envelope = walk.reading and walk.reading.mail, walk.judged, walk.envelope
    if judged and outcome.verdict is Verdict.ACCEPTED:
        for spec in judged.specs:
            sprint_labels = [sprint.label for sprint in spec.sprints]
            log.info(
                Event.SPEC_RECEIVED,
                spec=spec.id,
                repo=spec.target.repo,
                branch=spec.target.branch,
                file=spec.document.name,
                sender=mail.sender if mail else None,
            )
            log.info(Event.PLANNING, spec=spec.id, planner="rules", sprints=sprint_labels)
    if outcome.verdict is Verdict.REJECTED:
        log.info(Event.FAILED, mail=outcome.mail_id, problems=[str(problem) for problem in outcome.problems])
    level = log.warning if outcome.verdict in (Verdict.HELD, Verdict.DEFERRED) else log.info
    level(
        Event.MAIL,
        verdict=outcome.verdict,
        mail=outcome.mail_id,
        specs=outcome.spec_ids,
        sender=mail.sender if mail else None,
        rule=judged.judgement.rule if judged else None,
        evidence=judged.judgement.evidence if judged and outcome.verdict is not Verdict.HELD else None,
        subject=mail.subject if mail else None,
        message_id=mail.message_id if mail else None,
        source=envelope.source,
        peer=envelope.peer,
        mail_from=envelope.mail_from,
        rcpt_to=envelope.rcpt_to,
        size=len(envelope.raw),
        ms=round((time.monotonic() - walk.started) * 1000, 1),
        reason=outcome.reason or None,
    )

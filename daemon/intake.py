"""The story of a mail: read, judged, stored, recorded, and only then answered."""

from __future__ import annotations

import time
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING

import structlog

from daemon.batches import Batches
from daemon.court import Court
from daemon.log import Event
from daemon.mail import Unreadable
from daemon.outcome import Outcome, Verdict
from daemon.readers import Broken
from daemon.records import Judged
from daemon.trust import Judgement

if TYPE_CHECKING:
    from collections.abc import Iterator

    from daemon.ledger import Ledger
    from daemon.mail import Envelope
    from daemon.proving import Prover
    from daemon.readers import Readers
    from daemon.reading import Reading

log = structlog.get_logger()


@dataclass(slots=True)
class Walk:
    """One mail on its way through the house, and how far it has come."""

    envelope: Envelope
    started: float
    court: Court
    reading: Reading | None = None
    judged: Judged | None = None


class Intake:
    """Takes mails in, from any source: read and judged side by side, committed in batches."""

    def __init__(self, readers: Readers, prover: Prover, ledger: Ledger) -> None:
        self._court, self._ledger = Court(readers, prover), ledger
        self._door = Lock()  # so that no court is thought to be empty while a mail is on its way in
        self._batches = Batches(ledger.commit)

    def take(self, envelope: Envelope) -> Future[Outcome]:
        """Take one mail in; the future never fails, and is done once the mail's fate is durable."""
        walk = Walk(envelope, time.monotonic(), self._entered())
        outcome = expected(walk)
        reading = walk.court.readers.read(envelope)
        reading.add_done_callback(lambda reading: self._judge(walk, reading, outcome))
        return outcome

    def hold(self, envelope: Envelope, reason: str) -> Future[Outcome]:
        """Set one mail aside unread; as ``take``."""
        judged = Judged(envelope, Verdict.HELD, Judgement(), reason=reason)
        outcome = expected(Walk(envelope, time.monotonic(), self._entered(), judged=judged))
        self._batches.add(judged, outcome)
        return outcome

    def go_by(self, readers: Readers, prover: Prover) -> Court:
        """Have the mails that come from now on read and judged by these.

        Those under way are read and judged to the end by the court that is
        returned, whose parts can be closed when it is empty.
        """
        with self._door:
            former, self._court = self._court, Court(readers, prover)
        return former

    def close(self) -> None:
        """Commit what has been judged, then end; the prover is closed first."""
        self._batches.close()

    def alive(self) -> bool:
        """Whether every part turns or waits, as for the database; False when only a restart would help."""
        return self._court.alive() and self._batches.alive() and self._ledger.alive()

    def trouble(self) -> str | None:
        """What keeps mails from being committed right now, in words."""
        return self._batches.trouble

    def _entered(self) -> Court:
        """The court that a mail which comes now is read and judged by, and has entered."""
        with self._door:
            self._court.enter()
            return self._court

    def _judge(self, walk: Walk, reading: Future[Reading], outcome: Future[Outcome]) -> None:
        """Let who sent it be judged, once it was read."""
        with self._excused(outcome, "judge"):
            if broke := reading.exception():
                self._break(walk, broke, outcome)
                return
            walk.reading = reading.result()
            judging = walk.court.prover.judge(walk.envelope, walk.reading)
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


def expected(walk: Walk) -> Future[Outcome]:
    """The outcome that a walk will come to; the log is told it then, and the court is left."""
    outcome: Future[Outcome] = Future()
    outcome.set_running_or_notify_cancel()  # a caller that goes away must not cancel a commit
    outcome.add_done_callback(lambda outcome: tell(walk, outcome.result()))
    outcome.add_done_callback(lambda _: walk.court.leave())
    return outcome


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


def tell(walk: Walk, outcome: Outcome) -> None:
    """Log the phases that a mail brought about, then its one line."""
    mail, judged, envelope = walk.reading and walk.reading.mail, walk.judged, walk.envelope
    if judged and outcome.verdict is Verdict.ACCEPTED:
        for spec in judged.specs:
            log.info(
                Event.SPEC_RECEIVED,
                spec=spec.id,
                repo=spec.target.repo,
                branch=spec.target.branch,
                file=spec.document.name,
                sender=mail.sender if mail else None,
            )
            log.info(Event.PLANNING, spec=spec.id, planner="rules", sprints=spec.labels)
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

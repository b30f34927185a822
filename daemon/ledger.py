"""The ledger: what a batch of judged mails leaves in storage and database, all in one transaction."""

from __future__ import annotations

import math
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from psycopg.errors import DeadlockDetected, SerializationFailure, UniqueViolation

from daemon.jobs import FORGET
from daemon.outcome import Outcome, Verdict
from daemon.records import Judged, arrival_row, events_of, mail_row, spec_rows
from db import arrivals, events, jobs, mailboxes, mails, parts, specs, sprints

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from collections.abc import Set as AbstractSet
    from uuid import UUID

    from psycopg import Connection
    from psycopg_pool import ConnectionPool

    from daemon.rates import Rates
    from daemon.storage import StoredObject

    Put = Callable[[Iterable[StoredObject]], None]
    #: By content id, as which mail it was accepted, and that one's specs.
    Known = dict[UUID, tuple[UUID, tuple[UUID, ...]]]

#: Seconds a batch waits for a connection to the database before its mails are deferred.
DATABASE_TIMEOUT = 5.0
#: Seconds after which a batch that is still not stored will never be: a dead disk, or a mount that hangs.
STORAGE_TIMEOUT = 60.0
#: What is worth another try: another service took a copy of a mail at this moment, which is known now, or
#: PostgreSQL broke the transaction off for the sake of another's.
BROKEN_OFF = (UniqueViolation, SerializationFailure, DeadlockDetected)
#: Held mails that are kept, in number, in bytes, and from one peer within a day; beyond, their senders
#: keep them. Those of one batch are counted together, so a batch may overshoot.
HELD_MAILS, HELD_BYTES, HELD_A_PEER = 200, 1 << 30, 20
FULL = Outcome(
    Verdict.DEFERRED,
    full=True,
    reason=f"held mails are at a limit: {HELD_MAILS}, {HELD_BYTES >> 20} MiB, {HELD_A_PEER} a peer and day",
)
LOST = Outcome(Verdict.DEFERRED, reason="another daemon watches this mailbox by now")
TOO_MANY = Outcome(Verdict.DEFERRED, reason="its sender is over [smtp] sender_rate")
#: Verdicts that are decided after "duplicate".
MAY_REPEAT = (Verdict.REJECTED, Verdict.ACCEPTED)


class Ledger:
    """Where batches are made durable; for one thread at a time.

    ``prefix`` is what the control plane has to put before a key of ours (``storage.Storage``).
    """

    def __init__(
        self, put: Put, pool: ConnectionPool[Connection[Any]], rates: Rates, prefix: str = ""
    ) -> None:
        self._put, self._pool, self._rates, self._prefix = put, pool, rates, prefix
        self._stored_by = math.inf  # when what is being stored must be (monotonic seconds)

    def alive(self) -> bool:
        """Whether storing goes on; waiting for the database counts as going on."""
        return time.monotonic() < self._stored_by

    def commit(self, batch: Sequence[Judged]) -> list[Outcome]:
        """Make a batch of judged mails durable, all in one transaction; safe to repeat."""
        try:
            return self._transact(batch)
        except BROKEN_OFF:
            return self._transact(batch)

    def rehearse(self, batch: Sequence[Judged]) -> list[Outcome]:
        """What ``commit`` would come to now; nothing is stored, and nothing stays written."""
        with self._pool.connection(DATABASE_TIMEOUT) as conn, conn.pipeline():
            outcomes, _ = self._written(conn, batch)
            conn.rollback()
        return outcomes

    def _transact(self, batch: Sequence[Judged]) -> list[Outcome]:
        with self._pool.connection(DATABASE_TIMEOUT) as conn, conn.pipeline():  # waits only where it asks
            outcomes, new = self._written(conn, batch)
            self._store(new)  # while the database is at work on what it was sent
            conn.commit()
        for judged, outcome in zip(batch, outcomes, strict=True):
            if outcome.verdict is Verdict.ACCEPTED:
                self._rates.count(judged.sender)
        return outcomes

    def _written(self, conn: Connection[Any], batch: Sequence[Judged]) -> tuple[list[Outcome], list[Judged]]:
        """Write what the batch leaves behind: its outcomes, and those whose objects are to be stored."""
        known = accepted_before(conn, batch)
        told = lost(conn, batch) | self._turned_away(conn, batch, known)
        kept = [judged for judged in batch if id(judged) not in told]
        known |= copies(kept, known)
        again = rejected_before(conn, kept)
        outcomes, new = record(conn, kept, known, again, self._prefix)
        told |= dict(zip(map(id, kept), outcomes, strict=True))
        return [told[id(judged)] for judged in batch], new

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


def lost(conn: Connection[Any], batch: Sequence[Judged]) -> dict[int, Outcome]:
    """What those are told whose mailbox was taken over since they were fetched; the others' stay ours."""
    slots = [(judged, judged.envelope.slot) for judged in batch if judged.envelope.slot]
    held = mailboxes.leased(conn, {slot.account for _, slot in slots if slot})
    return {id(judged): LOST for judged, slot in slots if slot and (slot.account, slot.epoch) not in held}


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
    """Whether a mail can be held; one that is held already takes no more room."""
    held = mails.held(conn, judged.envelope.peer, judged.id)
    if held.known:
        return True
    fits = held.size + len(judged.envelope.raw) <= HELD_BYTES
    alone = judged.envelope.slot is None  # a mailbox is everybody's, and no peer
    return held.mails < HELD_MAILS and fits and not (alone and held.of_peer >= HELD_A_PEER)


def record(
    conn: Connection[Any], batch: Sequence[Judged], known: Known, again: AbstractSet[int], prefix: str
) -> tuple[list[Outcome], list[Judged]]:
    """Write what the batch leaves behind: its outcomes, and those whose objects are to be stored.

    Nothing is stored, and there are no events, of what another service
    took in at this moment.
    """
    first = {judged.id: judged for judged in reversed(batch) if not _repeats(judged, known)}
    wanted = [judged for judged in first.values() if judged.verdict is Verdict.ACCEPTED]
    others = [judged for judged in first.values() if judged.verdict is not Verdict.ACCEPTED]
    inserted = mails.insert(conn, [mail_row(judged) for judged in wanted])
    changed = mails.upsert(conn, [mail_row(judged) for judged in others])
    new = [judged for judged in wanted if judged.id in inserted]
    told = new + [judged for judged in others if judged.id in changed and id(judged) not in again]
    stored = new + [judged for judged in others if id(judged) not in again]
    outcomes = [_outcome(judged, known, made={id(judged) for judged in new}) for judged in batch]
    arrivals.insert(
        conn, [arrival_row(judged, outcome) for judged, outcome in zip(batch, outcomes, strict=True)]
    )
    parts.insert(conn, [each.row for judged in stored for each in judged.stored])
    specs.insert(conn, [row for judged in new for row in spec_rows(judged, prefix)])
    sprints.insert(conn, (spec.sprints for judged in new for spec in judged.specs))
    events.insert(conn, [row for judged in told for row in events_of(judged, prefix)])
    if replaced := [ident for ident in inserted.values() if ident]:
        jobs.enqueue(conn, FORGET, replaced)  # the same bytes lie in storage once more
    return outcomes, stored


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

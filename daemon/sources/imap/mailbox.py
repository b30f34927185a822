"""One folder through one session: what is new is taken in, in slices; what is done is filed.

The order keeps the promise: fetched, recorded, and only then moved. A crash in
between costs a second look at the register, and a move.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from concurrent.futures import wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from daemon.log import Event
from daemon.mail import Envelope, Slot, crlf
from daemon.mailboxes import Numbering
from daemon.outcome import Verdict
from daemon.sources.imap.slices import SLICE_BYTES, cut
from daemon.sources.imap.trouble import Declined, Renumbered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Future

    from daemon.mailboxes import Contact, Register
    from daemon.outcome import Outcome
    from daemon.sources.imap.account import Account
    from daemon.sources.imap.session import Glance, Selected, Session

log = structlog.get_logger()

#: UIDs below the last one seen that are looked at again each time: a server may show them out of order.
WINDOW = 1000
#: UIDs that register and server are asked about at once: some servers take no line above 8,192 octets.
ASKED = 500
#: Slices that the intake has at a time, one that is read and one that is committed, and their octets.
SLICES, IN_FLIGHT = 2, 2 * SLICE_BYTES
#: Seconds before a mail that was deferred is tried again: the first time, and at most.
LATER_FIRST, LATER_MOST = 30.0, 900.0
#: Looks in which the server has no octets of a mail, before that is the end of it.
EMPTY_LOOKS = 3
#: Times that a mail may have been the last that the whole service did, before it is held unread.
LAST_WORDS = 3
#: Seconds in which nothing is filed after the server declined to.
FILING_PAUSE = 300.0


class LeaseLost(Exception):  # noqa: N818 - nobody's error
    """Another daemon watches this mailbox by now."""


class Down(Exception):  # noqa: N818 - as above
    """Mails can't be recorded now; the text says why."""


@dataclass(frozen=True, slots=True)
class Hands:
    """Into whose hands mails are given: ``take`` has one read, ``hold`` has it set aside unread for a reason.

    Their futures never fail. ``trouble`` says what keeps mails from being
    recorded now.
    """

    take: Callable[[Envelope], Future[Outcome]]
    hold: Callable[[Envelope, str], Future[Outcome]]
    trouble: Callable[[], str | None]


@dataclass(frozen=True, slots=True)
class Tenure:
    """By what right a mailbox is looked at: the epoch of its lease, None when lost; and whether to end."""

    lease: Callable[[], int | None]
    is_ending: Callable[[], bool]


@dataclass(slots=True)
class _Later:
    """A mail that stays for now: when it is due (monotonic seconds), and how often it was found empty."""

    due: float = 0.0
    pause: float = field(default_factory=lambda: LATER_FIRST)
    empty: int = 0

    def put_off(self) -> None:
        self.due = time.monotonic() + self.pause
        self.pause = min(2 * self.pause, LATER_MOST)


@dataclass(frozen=True, slots=True)
class _Slice:
    """Mails in the intake's hands, and their octets."""

    outcomes: Mapping[int, Future[Outcome]]
    size: int


class Mailbox:
    """An account's folder as one session sees it.

    ``tenure`` is asked before anything is done. Every method raises Trouble,
    Outage, Down or LeaseLost.
    """

    def __init__(
        self,
        account: Account,
        session: Session,
        register: Register,
        hands: Hands,
        tenure: Tenure,
    ) -> None:
        self._account, self._session, self._register, self._hands = account, session, register, hands
        self._tenure, self._epoch = tenure, tenure.lease()
        self._folder = session.find(account.folder)
        self._targets = {verdict: session.find(name) for verdict, name in account.filed.items() if name}
        self._unfiled: dict[int, Verdict] = {}
        self._no_filing_until = 0.0
        self._told = False
        self._later: dict[int, _Later] = {}
        self._settled: set[int] = set()
        self._top = 0
        selected = session.select(self._folder)
        self._numbering = Numbering(account.name, self._folder, selected.uidvalidity)
        self._contact = self._met(selected)

    def look_through(self) -> int:
        """Look at all there is; the number of mails that earlier looks should have seen and had not."""
        self._finish_last_words()
        selected = self._session.select(self._folder)
        if selected.uidvalidity != self._numbering.uidvalidity:
            raise Renumbered(f"{self._folder} has a new UIDVALIDITY")
        there = self._ours(self._session.all_uids(selected.exists))
        self._forget_all_but(there)
        missed = sum(uid <= self._top and uid not in self._later for uid in self._look_at(there))
        self._seen(there)
        log.info(Event.RECONCILED, account=self._account.name, mails=len(there), missed=missed)
        return missed

    def look(self) -> None:
        """Look at what came since the last look, at a window before it, and at what was put off."""
        low = min([self._top + 1 - WINDOW, *self._later, *self._unfiled])
        there = self._ours(self._session.uids_from(max(low, self._contact.first_uid)))
        self._forget_all_but(there)
        self._look_at([uid for uid in there if uid not in self._settled])
        self._seen(there)
        self._file({uid: self._unfiled[uid] for uid in there if uid in self._unfiled})

    def due_in(self) -> float:
        """Seconds until a mail that was put off is due, or to be filed; infinity when there is none."""
        dues = [later.due for later in self._later.values()]
        dues += [self._no_filing_until] if self._unfiled else []
        return max(0.0, min(dues) - time.monotonic()) if dues else float("inf")

    def _met(self, selected: Selected) -> Contact:
        account = self._account
        take_existing = account.take_existing
        contact = self._register.contact(self._numbering, selected.uidnext, take_existing=take_existing)
        if contact.is_new:
            log.info(
                Event.FIRST_CONTACT if contact.is_first else Event.RENUMBERED,
                account=account.name,
                folder=self._folder,
                uidvalidity=selected.uidvalidity,
                mails=selected.exists,
                existing="take" if take_existing else "skip",
            )
        return contact

    def _forget_all_but(self, uids: Sequence[int]) -> None:
        """What was put off may have been taken away meanwhile."""
        there = set(uids)
        self._later = {uid: later for uid, later in self._later.items() if uid in there}

    def _ours(self, uids: Iterable[int]) -> list[int]:
        return [uid for uid in uids if uid >= self._contact.first_uid]

    def _seen(self, uids: Sequence[int]) -> None:
        self._top = max([self._top, *uids])
        self._settled = {uid for uid in self._settled if uid > self._top - WINDOW}

    def _look_at(self, uids: Sequence[int]) -> list[int]:
        """Take in what is new of ``uids``, and file what isn't; those that were new."""
        fresh: list[int] = []
        for some in _chunks(uids):
            if self._tenure.is_ending():
                break
            known = self._register.known(self._numbering, some)
            self._file(known)
            fresh += [uid for uid in some if uid not in known]
        now = time.monotonic()
        self._take_in([uid for uid in fresh if uid not in self._later or self._later[uid].due <= now])
        return fresh

    def _take_in(self, uids: Sequence[int]) -> None:
        """Have mails read and recorded, then file them; the next slice is fetched meanwhile."""
        if not uids:
            return
        begun: deque[_Slice] = deque()
        for glances in self._glances(uids):
            if self._tenure.is_ending():
                break
            size = sum(glance.size for glance in glances.values())
            while len(begun) == SLICES or (begun and sum(each.size for each in begun) + size > IN_FLIGHT):
                self._finish(begun.popleft())
            mails = self._fetched(glances)
            self._register.begin(self._numbering, [*mails, *(uid for each in begun for uid in each.outcomes)])
            self._keep_lease()
            begun.append(_Slice({uid: self._hands.take(mail) for uid, mail in mails.items()}, size))
        while begun:
            self._finish(begun.popleft())
        self._register.begin(self._numbering, [])

    def _glances(self, uids: Sequence[int]) -> Iterator[dict[int, Glance]]:
        """What is to be fetched of ``uids``, in slices."""
        for some in _chunks(uids):
            glances = self._session.glance(some)
            sizes = {uid: glance.size for uid, glance in glances.items() if self._is_wanted(uid, glance)}
            for each in cut(sizes):
                yield {uid: glances[uid] for uid in each}

    def _is_wanted(self, uid: int, glance: Glance) -> bool:
        """Whether a mail is to be fetched; what is none of ours, or too large, is settled without."""
        if self._contact.since and glance.received_at < self._contact.since:
            self._settle(uid, None, "it was there before us", glance)
        elif glance.size > self._account.max_size:
            self._too_large(uid, glance.size, glance)
        else:
            return True
        return False

    def _too_large(self, uid: int, size: int, glance: Glance) -> None:
        most = self._account.max_size
        self._settle(uid, Verdict.HELD, f"{size} octets, and max_size is {most}", glance)

    def _settle(self, uid: int, verdict: Verdict | None, reason: str, glance: Glance) -> None:
        """Be done with a slot whose mail nobody has."""
        told = verdict or Verdict.IGNORED
        self._register.settle(self._slot(uid), told, reason, glance.received_at)
        log.warning(Event.MAIL, verdict=told, account=self._account.name, uid=uid, reason=reason)
        self._file({uid: verdict})

    def _fetched(self, glances: Mapping[int, Glance]) -> dict[int, Envelope]:
        """Of the mails that were glanced at, those that the server has the octets of."""
        mails = {}
        found = self._session.fetch(list(glances), self._account.max_size)
        for uid, glance in glances.items():
            raw = found.get(uid, b"")
            if len(raw) > self._account.max_size:
                self._too_large(uid, len(raw), glance)
            elif raw:
                mails[uid] = self._envelope(uid, raw, glance)
            else:
                self._found_empty(uid, glance)
        return mails

    def _found_empty(self, uid: int, glance: Glance) -> None:
        """Look again later: it may be gone, or the server not done with it."""
        later = self._later.setdefault(uid, _Later())
        later.empty += 1
        later.put_off()
        if later.empty >= EMPTY_LOOKS:
            del self._later[uid]
            self._settle(uid, Verdict.HELD, "the server has no octets of it", glance)

    def _envelope(self, uid: int, raw: bytes, glance: Glance) -> Envelope:
        return Envelope(
            raw=crlf(raw),
            source="imap",
            peer=self._account.host,
            mail_from="",
            rcpt_to=(),
            received_at=glance.received_at,
            slot=self._slot(uid),
        )

    def _slot(self, uid: int) -> Slot:
        return Slot(*self._numbering, uid, self._epoch or 0)

    def _finish(self, begun: _Slice) -> None:
        """Wait until a slice is recorded, then file it."""
        wait(begun.outcomes.values())
        verdicts = {uid: outcome.result().verdict for uid, outcome in begun.outcomes.items()}
        deferred = [uid for uid, verdict in verdicts.items() if verdict is Verdict.DEFERRED]
        self._keep_lease()
        if deferred and (trouble := self._hands.trouble()):
            self._file({uid: verdict for uid, verdict in verdicts.items() if uid not in deferred})
            raise Down(trouble)
        for uid in deferred:
            self._later.setdefault(uid, _Later()).put_off()
        self._file({uid: verdict for uid, verdict in verdicts.items() if uid not in deferred})

    def _file(self, verdicts: Mapping[int, Verdict | None]) -> None:
        """Move what is done to where it belongs, in one command a folder; None stays."""
        self._settled.update(verdicts)
        for uid in verdicts:
            self._later.pop(uid, None)
        self._unfiled |= {uid: verdict for uid, verdict in verdicts.items() if verdict in self._targets}
        if time.monotonic() < self._no_filing_until:
            return
        places = defaultdict(list)
        for uid, verdict in self._unfiled.items():
            places[self._targets[verdict]].append(uid)
        for folder, uids in places.items():
            for some in _chunks(sorted(uids)):
                self._move(some, folder)

    def _move(self, uids: Sequence[int], folder: str) -> None:
        """Move; where that can't be, the register alone remembers that they are done."""
        self._keep_lease()
        try:
            moved = self._moved(uids, folder)
        except Declined as declined:
            self._no_filing_until = time.monotonic() + FILING_PAUSE
            self._not_filed(folder, len(uids), str(declined))
            return
        for uid in uids:
            del self._unfiled[uid]
        if not moved and not self._told:
            self._told = True
            self._not_filed(folder, len(uids), "the server has neither MOVE nor UIDPLUS")

    def _not_filed(self, folder: str, mails: int, why: str) -> None:
        log.warning(Event.NOT_FILED, account=self._account.name, folder=folder, mails=mails, reason=why)

    def _moved(self, uids: Sequence[int], folder: str) -> bool:
        try:
            return self._session.move(uids, folder)
        except Declined:
            self._session.make(folder)  # it may be missing; else the second answer is the first
            return self._session.move(uids, folder)

    def _finish_last_words(self) -> None:
        """Read alone what was being read when the service was last heard of: it may be what ended it."""
        if not self._contact.unfinished:
            return
        known = self._register.known(self._numbering, self._contact.unfinished)
        self._file(known)
        for uid in self._contact.unfinished:
            if uid not in known:
                self._read_alone(uid)
        self._register.begin(self._numbering, [])
        self._contact = self._contact.finished()

    def _read_alone(self, uid: int) -> None:
        times = self._register.alone(self._numbering, uid)
        mails = self._fetched(self._session.glance([uid]))
        for mail in mails.values():
            self._keep_lease()
            if times > LAST_WORDS:
                outcome = self._hands.hold(mail, f"it was the last that the service did, {LAST_WORDS} times")
            else:
                outcome = self._hands.take(mail)
            self._finish(_Slice({uid: outcome}, len(mail.raw)))

    def _keep_lease(self) -> None:
        if self._epoch is None or self._tenure.lease() != self._epoch:
            raise LeaseLost


def _chunks(uids: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(uids), ASKED):
        yield uids[start : start + ASKED]

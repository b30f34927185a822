"""Proving who a mail is from: judged at once where that can be, else after the DNS was asked.

A mail that waits for the DNS holds one of PLACES, and a thread that does
nothing else; those that read and those that commit go on.
"""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING

from daemon.names import Answers
from daemon.peers import neighbourhood
from daemon.readers import Busy
from daemon.reading import Verification
from daemon.trust import judge
from daemon.trust.findings import Case, Dkim

if TYPE_CHECKING:
    from collections.abc import Mapping

    from daemon.mail import Envelope
    from daemon.names import Question
    from daemon.readers import Readers
    from daemon.reading import Defaults, Reading
    from daemon.resolver import Resolver
    from daemon.trust import Judgement

#: Mails that may wait for the DNS at a time; beyond, the answer is: later.
PLACES = 64
#: Of them, for the mails that one neighbourhood of peers brings, and for those in one domain's name: whoever
#: knows a name that is answered late must not keep the others waiting. Relays bring everybody's.
PEER_PLACES, DOMAIN_PLACES = 8, 32
#: Times that the DNS is asked for one mail: SPF may take ten lookups one after the other (RFC 7208, 4.6.4),
#: and DKIM and DMARC one before them.
ROUNDS = 12


class _Places:
    """Places that are taken, by whose they are; for several threads."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()
        self._lock = Lock()

    def take(self, shares: Mapping[str, int]) -> bool:
        """Take one place of each share, or none when one of them has no more."""
        with self._lock:
            if any(self._taken[whose] >= most for whose, most in shares.items()):
                return False
            self._taken.update(shares.keys())
            return True

    def give_back(self, shares: Mapping[str, int]) -> None:
        """Free what was taken."""
        with self._lock:
            self._taken.subtract(shares.keys())
            self._taken += Counter()  # forgets who has none


class Prover:
    """Judges mails by what was read of them, and by what the DNS says where that decides."""

    def __init__(self, readers: Readers, defaults: Defaults, resolver: Resolver, timeout: float) -> None:
        self._readers, self._resolver, self._timeout = readers, resolver, timeout
        self._policy, self._ours = defaults.policy, defaults.ours
        self._places = _Places()
        self._threads = ThreadPoolExecutor(PLACES, "prover")

    def judge(self, envelope: Envelope, reading: Reading) -> Future[Judgement]:
        """Judge a mail; the future's exceptions are Broken and Busy, as of Readers."""
        judgement = judge(envelope, reading.mail, reading.requests(), reading.found, self._policy)
        shares = self._shares(envelope, reading)
        if judgement.questions and self._places.take(shares):
            proving = self._threads.submit(self._prove, envelope, reading, judgement.questions)
            proving.add_done_callback(lambda _: self._places.give_back(shares))
            return proving
        judged: Future[Judgement] = Future()
        if judgement.questions:
            judged.set_exception(Busy("too many mails wait for the DNS already"))
        else:
            judged.set_result(judgement)
        return judged

    def _shares(self, envelope: Envelope, reading: Reading) -> dict[str, int]:
        """Whose places a mail takes, and how many each has."""
        shares = {"": PLACES, f"@{(reading.mail.sender or '').rpartition('@')[2]}": DOMAIN_PLACES}
        if not self._policy.is_relayed(envelope):
            shares[neighbourhood(envelope.peer)] = PEER_PLACES
        return shares

    def alive(self) -> bool:
        """Whether questions are still asked."""
        return self._resolver.alive()

    def close(self) -> None:
        """End once the mails that wait are deferred; the resolver and the readers are closed first."""
        self._threads.shutdown()

    def _prove(self, envelope: Envelope, reading: Reading, questions: frozenset[Question]) -> Judgement:
        relayed = self._policy.is_relayed(envelope)
        case = Case.of(envelope, reading.mail, reading.found.results, self._ours, relayed=relayed)
        found = replace(reading.found, dkim=self._verified(case, questions))
        return judge(envelope, reading.mail, reading.requests(), found, self._policy)

    def _verified(self, case: Case, questions: frozenset[Question]) -> Dkim:
        """What the mail's signatures prove, after as many rounds of questions as that takes."""
        until = time.monotonic() + self._timeout
        known: dict[Question, tuple[str, ...] | None] = {}
        for _ in range(ROUNDS):
            known |= self._resolver.ask(questions, until)
            dkim = self._readers.verify(Verification(case, Answers(known))).result()
            if not dkim.questions:
                return dkim
            questions = dkim.questions
        return Dkim(why=(f"the DNS would have to be asked more than {ROUNDS} times",))

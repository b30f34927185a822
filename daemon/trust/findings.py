"""What was found out about who a mail is from; the child finds it, the judge weighs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

    from daemon.mail import Addresses, Envelope, Mail
    from daemon.names import Question


@dataclass(frozen=True, slots=True)
class Delivery:
    """This very delivery of a mail, as far as SPF asks.

    ``peer`` is an address or ``unix``; ``spf_domain`` the domain for which a
    relay of ours says that SPF passed, None when it says nothing; with
    ``relayed`` the peer is a mail server of ours and not who sent the mail.
    """

    peer: str
    mail_from: str | None
    spf_domain: str | None = None
    relayed: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """What a mail brings forward for being from its sender.

    ``raw`` has CRLF line ends; ``headers`` are as in Mail, ``sender`` is the
    strict address of From and ``routes`` are the tags the mail was sent to.
    """

    raw: bytes
    headers: tuple[tuple[str, str], ...]
    sender: str
    routes: tuple[str, ...]
    ours: Addresses
    delivery: Delivery
    received_at: datetime

    @classmethod
    def of(
        cls, envelope: Envelope, mail: Mail, said: Results | None, ours: Addresses, *, relayed: bool = False
    ) -> Case:
        """The case of a mail that has a sender; ``said`` is what a relay of ours found."""
        spf_domain = said.spf if said else None
        return cls(
            raw=envelope.raw,
            headers=mail.headers,
            sender=mail.sender or "",
            routes=mail.routes,
            ours=ours,
            delivery=Delivery(envelope.peer, envelope.mail_from, spf_domain, relayed),
            received_at=envelope.received_at,
        )


@dataclass(frozen=True, slots=True)
class Signature:
    """One DKIM-Signature before any cryptography: what it says, and what it therefore can't prove.

    ``names_us`` says that an address of ours stands in a To or Cc that it
    signs, with every tag the mail was routed by. ``flaws`` are the reasons
    for which it proves nothing even if it is genuine, in words; empty when
    there are none.
    """

    domain: str
    selector: str
    names_us: bool
    flaws: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Dkim:
    """What became of the mail's signatures.

    ``evidence`` is of the one that proves the sender, and None when none
    does; ``why`` says of every other, in words, why it doesn't, at most
    one line each. ``unavailable`` are DNS questions without which that
    can't be told for now: the mail is to come again. ``questions`` must be
    answered first; then all else is empty.
    """

    evidence: dict[str, Any] | None = None
    why: tuple[str, ...] = ()
    unavailable: tuple[Question, ...] = ()
    questions: frozenset[Question] = frozenset()


@dataclass(frozen=True, slots=True)
class Results:
    """What the topmost Authentication-Results says, when it is believed.

    ``dkim`` are the domains whose signature passed, ``spf`` the domain of
    MAIL FROM if that passed; all in lower case.
    """

    authserv_id: str
    dkim: tuple[str, ...] = ()
    spf: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """All that reading found out about the sender.

    ``dkim`` is None when no rule asks for it. ``results`` is None when no
    Authentication-Results is believed; ``doubts`` are what is wrong with the
    mail's headers whatever proves it, in words: one that stands twice.
    ``letter`` is alike for all copies that differ in no more than a relaxed
    signature lets pass.
    """

    signatures: tuple[Signature, ...] = ()
    dkim: Dkim | None = None
    results: Results | None = None
    doubts: tuple[str, ...] = ()
    letter: str | None = None

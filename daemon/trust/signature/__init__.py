"""Signatures: what the DKIM-Signatures of a mail prove about who it is from.

A pass alone proves little. A signature counts when it is of the sender's own
organisation, covers what gives the mail its meaning, and when either it names
us as a recipient or this very delivery is the sender's own: else whoever holds
a copy could send it once more, changed where nothing is signed.

What no signature of this kind can rule out: a relaxed one, as nearly all are,
leaves open how much white space there is between words and before a line. So
copies that differ in that alone are genuine; ``letter`` in the evidence is the
same for all of them, and no more than one of them should be taken.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache, cached_property
from hashlib import sha256
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Any

from daemon.names import Unasked, Unavailable
from daemon.text import printable
from daemon.trust import alignment, head, spf
from daemon.trust.asking import Asking
from daemon.trust.findings import Dkim, Signature
from daemon.trust.signature import body, claim, framing, key, recipients, seal
from daemon.trust.signature.date import moment
from daemon.trust.spf.macro import Sending

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from ipaddress import IPv4Address

    from daemon.names import Answers, Question
    from daemon.trust.findings import Case
    from daemon.trust.signature.claim import Claim

#: Signatures that are looked at, from the topmost. Each costs a hash of the message, and questions.
SIGNATURES_MAX = 5
#: How far a mail's Date may be from the time it comes: who copies a mail gets no use of it later.
DATE_WITHIN = timedelta(days=7)
#: Octets of a mailbox before its ``@`` (RFC 5321, 4.5.3.1.1); SPF may ask for a name made of it.
LOCAL_MAX = 64


@dataclass(frozen=True)
class Letter:
    """A case taken apart: its head, its headers by name, what is wrong with them, and its body.

    ``doubts`` are as in Found. A body can be large and signatures several, so
    what it takes a pass over it to know is found once: ``digest`` by canonical
    form, and ``framed``, its flaws, by which of framing.DECISIVE are signed.
    """

    case: Case
    head: bytes
    headers: dict[str, str]
    doubts: tuple[str, ...]
    digest: Callable[[str], bytes]
    framed: Callable[[frozenset[str]], tuple[str, ...]]

    @classmethod
    def of(cls, case: Case) -> Letter:
        """Take a case apart."""
        top, below = head.split(case.raw)
        headers: dict[str, str] = {}
        for name, value in case.headers:
            headers.setdefault(name, value)
        return cls(
            case=case,
            head=top,
            headers=headers,
            doubts=(*head.doubts(case.headers), *head.oddities(top, case.headers)),
            digest=cache(lambda method: body.digest(below, method)),
            framed=cache(lambda signed: tuple(framing.flaws(headers, below, signed))),
        )

    @property
    def domain(self) -> str:
        """The domain of From."""
        return self.case.sender.rpartition("@")[2]

    @cached_property
    def read(self) -> tuple[_Read, ...]:
        """Its signatures, from the topmost, SIGNATURES_MAX at most."""
        values = [value for name, value in self.case.headers if name == "dkim-signature"]
        return tuple(_reported(self, at, value) for at, value in enumerate(values[:SIGNATURES_MAX]))

    @cached_property
    def faults(self) -> tuple[str, ...]:
        """What is wrong with its headers, whatever was signed."""
        return (*self.doubts, *_date_faults(self.headers, self.case))


@dataclass(frozen=True, slots=True)
class _Read:
    """A signature as it is reported, and what it claims unless it can't be read."""

    signature: Signature
    claim: Claim | None


@dataclass(frozen=True, slots=True)
class _Trial:
    """What became of one signature: evidence, or why there is none, or what is still to be asked."""

    evidence: dict[str, Any] | None = None
    why: str | None = None
    open: frozenset[Question] = field(default=frozenset())
    unavailable: frozenset[Question] = field(default=frozenset())


def signatures(letter: Letter) -> tuple[Signature, ...]:
    """The mail's signatures before any cryptography, from the topmost, SIGNATURES_MAX at most."""
    return tuple(each.signature for each in letter.read)


def verify(letter: Letter, answers: Answers) -> Dkim:
    """Say what the mail's signatures prove, or which questions have to be answered first.

    Called again with more answers until there are no questions. All that
    can be known to be needed is asked for at once; SPF takes more rounds.
    Nothing the mail holds makes it raise.
    """
    trials: list[_Trial] = []
    for each in letter.read:
        trial = _try(letter, each, Asking(answers))
        if trial.evidence is not None:
            return Dkim(evidence=trial.evidence, why=_whys(letter.read, trials))
        trials.append(trial)
    if questions := frozenset(question for trial in trials for question in trial.open):
        return Dkim(questions=questions)
    unavailable = tuple(sorted({question for trial in trials for question in trial.unavailable}))
    return Dkim(why=_whys(letter.read, trials) or ("no DKIM-Signature",), unavailable=unavailable)


def _date_faults(headers: dict[str, str], case: Case) -> Iterator[str]:
    date = moment(headers.get("date", ""))
    if date is None:
        yield "its Date is missing or can't be read"
    elif abs(date - case.received_at) > DATE_WITHIN:
        yield f"its Date is not within {DATE_WITHIN.days} days"


def _reported(letter: Letter, position: int, value: str) -> _Read:
    read = claim.read(position, value)
    if isinstance(read, str):
        domain, selector = claim.name(value)
        flaws = (read, *letter.faults)
        return _Read(
            Signature(printable(domain, 253), printable(selector, 253), names_us=False, flaws=flaws), None
        )
    flaws = tuple(_flaws(letter, read))
    return _Read(Signature(read.domain, read.selector, _names_us(letter.case, read) is not None, flaws), read)


def _flaws(letter: Letter, read: Claim) -> Iterator[str]:
    domain = letter.domain
    if not alignment.is_same(read.domain, domain) and not alignment.same_organisation(read.domain, domain):
        yield f"not aligned with {domain}"
        return  # a stranger's, such as a list's: nobody needs to know what else
    yield from letter.faults
    yield from claim.uncovered(read)
    yield from claim.out_of_time(read, letter.case.received_at)
    yield from letter.framed(read.names & framing.DECISIVE)


def _names_us(case: Case, read: Claim) -> str | None:
    """Which signed header names us, ``To`` or ``Cc``; None unless all tags of the route are signed too."""
    found = {
        name: {
            tag.lower() for address in _addresses(case, name) if (tag := case.ours.route(address)) is not None
        }
        for name in ("to", "cc")
        if name in read.names
    }
    tags = set[str]().union(*found.values())
    if not {route.lower() for route in case.routes} <= tags:
        return None
    return next((name.capitalize() for name, ours in found.items() if ours), None)


def _addresses(case: Case, wanted: str) -> Iterator[str]:
    for name, value in case.headers:
        if name == wanted:
            yield from recipients.addresses(value)


def _try(letter: Letter, read: _Read, asking: Asking) -> _Trial:
    """Check one signature as far as the answers go; what already fails needs no more of them."""
    if read.claim is None or read.signature.flaws:
        return _Trial(why="; ".join(read.signature.flaws))
    evidence: dict[str, Any] = {"proof": "dkim"}
    for check in (_check_body, _check_seal, _check_alignment, _check_recipient):
        try:
            found = check(letter, read.claim, asking)
        except (Unasked, Unavailable):
            continue
        if isinstance(found, str):
            return _Trial(why=found)
        evidence |= found
    if asking.open or asking.unavailable:
        return _Trial(open=frozenset(asking.open), unavailable=frozenset(asking.unavailable))
    return _Trial(evidence=evidence)


def _check_body(letter: Letter, read: Claim, _: Asking) -> dict[str, Any] | str:
    if letter.digest(read.body) != read.body_hash:
        return "the body is not the one it signs"
    return {"d": read.domain, "s": read.selector, "a": read.algorithm, "letter": fingerprint(letter)}


def _check_seal(letter: Letter, read: Claim, asking: Asking) -> dict[str, Any] | str:
    chosen = key.choose(read, asking.to(read.key_name, "TXT"))
    if isinstance(chosen, str):
        return chosen
    if not seal.is_genuine(letter.head, read.position, chosen.record):
        return "the headers are not the ones it signs, or the key is another"
    return {"key_bits": chosen.bits}


def _check_alignment(letter: Letter, read: Claim, asking: Asking) -> dict[str, Any] | str:
    if alignment.is_same(read.domain, letter.domain):
        return {"alignment": "exact"}
    if alignment.strictness(letter.domain, asking).dkim:
        return f"not aligned with {letter.domain}, whose policy is adkim=s"
    return {"alignment": "relaxed"}


def _check_recipient(letter: Letter, read: Claim, asking: Asking) -> dict[str, Any] | str:
    """Why we may believe that the mail was sent to us: the sender says so, or brings it."""
    if name := _names_us(letter.case, read):
        return {"to_us": f"signed {name}"}
    said = letter.case.delivery.spf_domain
    if said and _is_aligned_for_spf(said, letter.domain, asking):
        return {"to_us": f"SPF of {said}, says our relay"}
    return _check_delivery(letter, asking)


def _check_delivery(letter: Letter, asking: Asking) -> dict[str, Any] | str:
    delivery = letter.case.delivery
    unnamed = "it signs no To or Cc that names us"
    if delivery.relayed:  # which may well be the sender's own server too, and so in their SPF
        return f"{unnamed}, and {delivery.peer}, a relay of ours, doesn't say that SPF passed"
    peer, (local, _, domain) = _address(delivery.peer), (delivery.mail_from or "").rpartition("@")
    name = alignment.a_labels(domain)
    if peer is None:
        return f"{unnamed}, and SPF can't be asked for {delivery.peer}"
    if not name or len(local) > LOCAL_MAX:
        return f"{unnamed}, and there is no sender in the envelope to ask SPF for"
    if alignment.is_same(name, letter.domain) or alignment.same_organisation(name, letter.domain):
        asking.want(name, "TXT")
    if not _is_aligned_for_spf(name, letter.domain, asking):
        return f"{unnamed}, and the sender in the envelope, of {name}, is not aligned with {letter.domain}"
    result = spf.check(Sending(peer, local or "postmaster", name), asking)
    if result != spf.PASS:
        return f"{unnamed}, and SPF of {name} for {peer} says {result}"
    return {"to_us": f"SPF of {name} for {peer}"}


def _is_aligned_for_spf(domain: str, sender_domain: str, asking: Asking) -> bool:
    if alignment.is_same(domain, sender_domain):
        return True
    return (
        alignment.same_organisation(domain, sender_domain)
        and not alignment.strictness(sender_domain, asking).spf
    )


def _address(peer: str) -> IPv4Address | IPv6Address | None:
    """The address that sends; None of a socket or of this machine, for which no domain has a record."""
    try:
        address = ip_address(peer)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    address = mapped or address
    return None if address.is_loopback else address


def fingerprint(letter: Letter) -> str:
    """The same for every copy of a mail that a relaxed signature takes for it."""
    fields = [" ".join(letter.headers.get(name, "").split()) for name in claim.NEEDED]
    routes = sorted(route.lower() for route in letter.case.routes)
    told = sha256("\n".join([*fields, *routes]).encode())
    told.update(letter.digest("relaxed"))
    return told.hexdigest()


def _whys(read: Sequence[_Read], trials: Sequence[_Trial]) -> tuple[str, ...]:
    return tuple(
        printable(f"d={each.signature.domain} s={each.signature.selector}: {trial.why}")
        for each, trial in zip(read, trials, strict=False)
        if trial.why is not None
    )

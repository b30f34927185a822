"""Who may get a specification in: what was read and found out, weighed against the sender rules.

Pure functions. Nothing is asked here, so the same findings always come to the
same judgement, and nothing of the mail but its headers is looked at.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from daemon.outcome import Problem
from daemon.text import printable
from daemon.trust.echoes import LOOP_MARK, RECEIVED_MAX, echo, may_be_answered
from daemon.trust.proofs import prove, shown
from daemon.trust.rules import SETTABLE, Proof

if TYPE_CHECKING:
    from collections.abc import Sequence

    from daemon.mail import Envelope, Mail
    from daemon.names import Question
    from daemon.trust.findings import Dkim, Found
    from daemon.trust.rules import Policy, Request

__all__ = ["LOOP_MARK", "RECEIVED_MAX", "Judgement", "judge"]

#: Characters of a whole refusal and of one reason in it, and the reasons that are told.
REFUSAL_MAX, REASON_MAX, REASONS_MAX = 1000, 500, 10
#: What a sender is told who may not set something. The rule's name is the operator's.
_FORBIDDEN = {
    "branch": "this sender may not set the branch: leave branch out of the specification and the subject,"
    " or ask the operator (senders.NAME.may_set)",
    "dod": "this sender may not set the Definition of Done: leave dod out of the specification,"
    " or ask the operator (senders.NAME.may_set)",
}


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether a mail is taken further, and what that rests on.

    At most one of the first five says no, or not yet: ``ignored``, why it is
    nobody's request; ``refused``, why its sender is not entitled or not
    proven, in words that only the operator sees; ``forbidden``, what it sets
    though its rule forbids (of SETTABLE); ``questions``, what the DNS must be
    asked before anything can be said; ``later``, what the DNS can't answer
    now. ``rule`` is the one that decided, None where none did. ``evidence``
    is JSON, printable and bounded.
    """

    ignored: str | None = None
    refused: str | None = None
    forbidden: tuple[str, ...] = ()
    questions: frozenset[Question] = frozenset()
    later: str | None = None
    rule: str | None = None
    evidence: dict[str, Any] = field(default_factory=dict)
    reply_allowed: bool = False

    def problems(self) -> tuple[Problem, ...]:
        """What an entitled sender must leave out, in words for them."""
        return tuple(Problem(_FORBIDDEN[each]) for each in self.forbidden)


@dataclass(frozen=True, slots=True)
class _Claim:
    """A request and what speaks for it; ``why`` says what is missing where ``evidence`` is None."""

    request: Request
    evidence: dict[str, Any] | None
    why: str

    @property
    def name(self) -> str:
        return self.request.rule.name

    @property
    def forbidden(self) -> tuple[str, ...]:
        return tuple(each for each in SETTABLE if each in self.request.sets - self.request.rule.may_set)

    @property
    def uncovered(self) -> list[str]:
        return sorted(repo for repo in self.request.repos if not self.request.rule.covers(repo))

    @property
    def may_wait_for_dkim(self) -> bool:
        return not self.evidence and Proof.DKIM in self.request.rule.proofs


def judge(
    envelope: Envelope, mail: Mail, requests: Sequence[Request], found: Found, policy: Policy
) -> Judgement:
    """Judge one mail that could be read; ``requests`` has one for each rule that the sender has.

    The first rule decides of which the mail satisfies all: repositories,
    proof, and what it may set. A rule that is satisfied already goes before
    one that the DNS would first have to be asked for, and one under which
    the mail can be taken before one under which it has a Problem.
    """
    if why := echo(envelope, mail):
        return Judgement(ignored=why)
    if not policy.rules:
        evidence = {"open": "no senders are configured", "peer": envelope.peer, "from": mail.sender}
        return Judgement(evidence=evidence, reply_allowed=may_be_answered(mail))
    theirs = policy.of(mail.sender)
    claims = [_claim(each, envelope, mail, found) for each in requests if each.rule in theirs]
    asking = [claim for claim in claims if claim.request.repos]
    broken = [claim for claim in claims if not claim.request.repos]
    delivered = _delivered(envelope, mail)
    decided = _decided(asking, found.dkim, delivered) or _decided(broken, found.dkim, delivered)
    if decided is None:
        return _refusal(
            [f"rule {claim.name}: {_missing(claim)}" for claim in claims] or [_none(mail)], delivered
        )
    return replace(decided, reply_allowed=decided.rule is not None and may_be_answered(mail))


def _claim(request: Request, envelope: Envelope, mail: Mail, found: Found) -> _Claim:
    """The first of the rule's proofs, in the order of Proof, that holds."""
    why = []
    for proof in Proof:
        if proof in request.rule.proofs:
            proven = prove(proof, envelope, mail, found)
            if not isinstance(proven, str):
                return _Claim(request, {"proof": proof.value} | proven, "")
            why.append(f"{proof}: {proven}")
    return _Claim(request, None, "; ".join(why))


def _decided(claims: Sequence[_Claim], dkim: Dkim | None, delivered: dict[str, Any]) -> Judgement | None:
    """What some of the claims come to; None when they give no right, nor will once the DNS was asked."""
    covered = [claim for claim in claims if not claim.uncovered]
    proven = sorted((claim for claim in covered if claim.evidence), key=lambda claim: bool(claim.forbidden))
    if proven and not proven[0].forbidden:
        return _admission(proven[0], delivered)
    if dkim and any(claim.may_wait_for_dkim for claim in covered):
        if dkim.questions:
            return Judgement(questions=dkim.questions)
        if dkim.unavailable:
            return Judgement(later=_later(dkim.unavailable))
    return _admission(proven[0], delivered) if proven else None


def _admission(claim: _Claim, delivered: dict[str, Any]) -> Judgement:
    """The judgement on an entitled and proven sender; what they may not set is theirs to leave out."""
    evidence = shown({**(claim.evidence or {}), "rule": claim.name, **delivered})
    return Judgement(rule=claim.name, forbidden=claim.forbidden, evidence=evidence)


def _refusal(reasons: Sequence[str], delivered: dict[str, Any]) -> Judgement:
    why = [printable(reason, REASON_MAX) for reason in reasons[:REASONS_MAX]]
    return Judgement(refused=printable("; ".join(why), REFUSAL_MAX), evidence=shown(delivered) | {"why": why})


def _delivered(envelope: Envelope, mail: Mail) -> dict[str, Any]:
    return {"from": mail.sender, "peer": envelope.peer, "mail_from": envelope.mail_from}


def _missing(claim: _Claim) -> str:
    """Why a rule gives no right."""
    if claim.uncovered:
        return f"{', '.join(claim.uncovered)} {'are' if len(claim.uncovered) > 1 else 'is'} not in repos"
    return f"not proven: {claim.why}"


def _none(mail: Mail) -> str:
    """Why no rule is the sender's."""
    if mail.sender:
        return f"no rule of [senders] is for {mail.sender}"
    written = " and ".join(mail.values("from"))
    return f"From is not exactly one plain address: {written}" if written else "there is no From"


def _later(questions: Sequence[Question]) -> str:
    names = ", ".join(dict.fromkeys(map(str, questions)))
    return printable(f"the DNS does not answer for now: {names}", REASON_MAX)

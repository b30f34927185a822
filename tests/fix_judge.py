"""Mails as the judge sees them: a sender, what was found out, and what is asked under each rule."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from daemon.mail import Addresses, Envelope, Login, parse
from daemon.names import Question
from daemon.trust import Judgement, judge
from daemon.trust.findings import Dkim, Found, Results, Signature
from daemon.trust.rules import Policy, Proof, Request, Rule

if TYPE_CHECKING:
    from daemon.mail import Mail

KEY = Question("k1._domainkey.example.com", "TXT")

ANA = Login("ana", ("ana@example.com",))


def a_rule(name: str = "a", *proofs: Proof, **changes: Any) -> Rule:
    """A rule for example.com, by default proven by DKIM."""
    usual = {
        "senders": ("*@example.com",),
        "repos": ("example/*",),
        "proofs": frozenset(proofs or {Proof.DKIM}),
    }
    return Rule(name, **(usual | changes))


def a_delivery(login: Login | None = None, **changes: Any) -> Envelope:
    """How a mail came; its bytes matter only to who reads them."""
    usual = {
        "source": "smtp",
        "peer": "192.0.2.9",
        "mail_from": "bounce@example.com",
        "rcpt_to": ("specs@example.net",),
        "received_at": datetime(2026, 11, 22, 10, tzinfo=UTC),
    }
    return Envelope(raw=b"", login=login, **(usual | changes))


def a_read_mail(sender: str = "Ana <ana@example.com>", signatures: int = 0, extra: str = "") -> Mail:
    """A mail that was read, with as many signatures."""
    headers = f"From: {sender}\r\n" + "DKIM-Signature: v=1\r\n" * signatures + extra
    return parse(a_message(headers), Addresses.of(["specs@example.net"]))


def a_message(headers: str) -> Envelope:
    """A message with nothing but headers."""
    return replace(a_delivery(), raw=f"{headers}\r\n".encode())


def signed(**tags: str) -> Found:
    """A mail that DKIM proves."""
    return Found(dkim=Dkim(evidence={"proof": "dkim", "d": "example.com"} | tags))


def unsigned(*why: str) -> Found:
    """A mail that DKIM doesn't prove."""
    return Found(dkim=Dkim(why=why))


NOTHING = Found()
ASKS = Found(dkim=Dkim(questions=frozenset({KEY})))
WAITS = Found(dkim=Dkim(unavailable=(KEY,)))


def relayed(
    *dkim: str, spf: str | None = None, signatures: tuple[Signature, ...] = (), doubts: tuple[str, ...] = ()
) -> Found:
    """What a relay says of a mail."""
    return Found(signatures, results=Results("mx.example.net", dkim, spf), doubts=doubts)


def carried(domain: str = "example.com", *flaws: str, names_us: bool = True) -> Signature:
    """A signature that is still in the mail."""
    return Signature(domain, "k1", names_us, flaws)


def judged(
    *rules: Rule,
    found: Found = NOTHING,
    login: Login | None = None,
    mail: Mail | None = None,
    repos: tuple[str, ...] | dict[str, tuple[str, ...]] = ("example/app",),
    sets: tuple[str, ...] | dict[str, tuple[str, ...]] = (),
) -> Judgement:
    """A judgement on one mail that asks the same under each rule, or by the rule's name."""
    policy, mail = Policy(rules), mail or a_read_mail(signatures=len(found.signatures))
    requests = [
        Request(
            rule,
            frozenset(repos[rule.name] if isinstance(repos, dict) else repos),
            frozenset(sets[rule.name] if isinstance(sets, dict) else sets),
        )
        for rule in policy.of(mail.sender)
    ]
    return judge(a_delivery(login), mail, requests, found, policy)

"""What a judgement says: the evidence, why not, what to ask, and who is answered."""

from __future__ import annotations

import json
from typing import Any

import pytest

from daemon.mail import Addresses, Login, parse
from daemon.trust import RECEIVED_MAX, REFUSAL_MAX, Judgement, judge
from daemon.trust.findings import Dkim, Found
from daemon.trust.rules import SETTABLE, Policy, Proof, Request, Rule
from tests.fix_judge import (
    ANA,
    ASKS,
    KEY,
    a_delivery,
    a_message,
    a_read_mail,
    a_rule,
    carried,
    judged,
    relayed,
    signed,
    unsigned,
)

DKIM, LOGIN, RELAY = Proof.DKIM, Proof.SMTP_AUTH, Proof.AUTHENTICATION_RESULTS

OTHER_REPOS: dict[str, Any] = {"repos": ("other/*",)}
NEITHER: dict[str, Any] = {"may_set": frozenset()}


def test_with_no_rules_everybody_who_reaches_us_may() -> None:
    """This is for trying it out; that only this machine can reach us then, settings see to."""
    judgement = judge(a_delivery(peer="127.0.0.1"), a_read_mail(), [], Found(), Policy())

    assert judgement.refused is None
    assert judgement.rule is None
    assert judgement.evidence == {
        "open": "no senders are configured",
        "peer": "127.0.0.1",
        "from": "ana@example.com",
    }


def test_who_is_not_known_is_not_answered() -> None:
    """Not even where everybody may send."""
    nobody = a_read_mail("ana@example.com, bob@example.com")

    assert not judge(a_delivery(), nobody, [], Found(), Policy()).reply_allowed


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ("Auto-Submitted: auto-replied (vacation)", "an automatic reply"),
        ("Content-Type: multipart/report; boundary=x", "a report"),
        ("X-Loop: specpost", "our own mail"),
        ("Received: from a\r\n" * RECEIVED_MAX + "Received: from b", "more than 30 Received headers"),
    ],
)
def test_an_echo_is_nobodys_request(header: str, why: str) -> None:
    """Whoever it is from, and whatever proves it."""
    judgement = judged(a_rule(), found=signed(), mail=a_read_mail(extra=header + "\r\n"))

    assert judgement == Judgement(ignored=why)


def test_a_mail_without_a_return_path_is_nobodys_request() -> None:
    """It is a bounce, and its From would be anybody's."""
    assert judge(a_delivery(mail_from=None), a_read_mail(), [], Found(), Policy()).ignored == "null sender"


@pytest.mark.parametrize(
    "header", ["Auto-Submitted: auto-generated", "List-Id: <x.example.com>", "Precedence: bulk"]
)
def test_mail_of_machines_is_taken_but_never_answered(header: str) -> None:
    """Rights and proof decide over it as over any other."""
    judgement = judged(a_rule(), found=signed(), mail=a_read_mail(extra=header + "\r\n"))

    assert (judgement.rule, judgement.reply_allowed) == ("a", False)


@pytest.mark.parametrize(("found", "answered"), [(signed(), True), (unsigned(), False), (ASKS, False)])
def test_only_a_proven_sender_is_answered(found: Found, answered: bool) -> None:  # noqa: FBT001 - the column
    """A refused mail's From may be a victim's."""
    assert judged(a_rule(), found=found).reply_allowed is answered


DELIVERED = {"from": "ana@example.com", "peer": "192.0.2.9", "mail_from": "bounce@example.com"}


@pytest.mark.parametrize(
    ("rule", "given", "evidence"),
    [
        (a_rule(), {"found": signed(s="k1")}, {"proof": "dkim", "d": "example.com", "s": "k1"}),
        (a_rule("a", LOGIN), {"login": ANA}, {"proof": "smtp-auth", "login": "ana"}),
        (a_rule("a", Proof.NONE), {}, {"proof": "none"}),
        (
            a_rule("a", RELAY),
            {"found": relayed("m.example.com", spf="example.com")},
            {
                "proof": "authentication-results",
                "authserv_id": "mx.example.net",
                "d": "m.example.com",
                "spf": "example.com",
            },
        ),
        (
            a_rule("a", RELAY),
            {"found": relayed("example.com", spf="example.org")},
            {"proof": "authentication-results", "authserv_id": "mx.example.net", "d": "example.com"},
        ),
    ],
)
def test_what_let_a_mail_in_is_kept(rule: Rule, given: dict[str, Any], evidence: dict[str, Any]) -> None:
    """The rule, the proof and what proved it, and how the mail came."""
    assert judged(rule, **given).evidence == {"rule": "a", **evidence, **DELIVERED}


def test_evidence_can_be_stored_and_shown() -> None:
    """Whatever a stranger's records and login names hold, and however long; nothing in it replaces ours."""
    found = signed(s="\x1b[31m\ud800" + "x" * 5000, rule="root", peer="\u202e")

    evidence = judged(a_rule(), found=found).evidence

    text = json.dumps(evidence, ensure_ascii=False)
    assert text.isprintable()
    assert len(text) < 1000
    assert (evidence["rule"], evidence["peer"]) == ("a", "192.0.2.9")


@pytest.mark.parametrize(
    ("rules", "given", "why"),
    [
        (
            (a_rule("ours", repos=("example/app",)),),
            {"found": signed(), "repos": ("octo/b", "octo/a", "example/app")},
            ["rule ours: octo/a, octo/b are not in repos"],
        ),
        (
            (a_rule("a", DKIM, LOGIN), a_rule("b", **OTHER_REPOS)),
            {"found": unsigned("d=evil.example s=k1: not aligned with example.com")},
            [
                (
                    "rule a: not proven: dkim: d=evil.example s=k1: not aligned with example.com;"
                    " smtp-auth: no login"
                ),
                "rule b: example/app is not in repos",
            ],
        ),
        ((a_rule(),), {"found": unsigned()}, ["rule a: not proven: dkim: no signature"]),
        (
            (a_rule("a", LOGIN),),
            {"login": Login("bob", ())},
            ["rule a: not proven: smtp-auth: the login bob is not for ana@example.com"],
        ),
        (
            (a_rule("a", RELAY),),
            {"found": Found()},
            ["rule a: not proven: authentication-results: none by a relay of ours"],
        ),
        (
            (a_rule("a", RELAY),),
            {"found": relayed("example.org")},
            [
                (
                    "rule a: not proven: authentication-results: mx.example.net says dkim=pass for no domain"
                    " aligned with example.com"
                )
            ],
        ),
        (
            (a_rule("a", RELAY),),
            {
                "found": relayed(
                    "example.com", signatures=(carried("m.example.com", "l= is used", names_us=False),)
                )
            },
            [
                (
                    "rule a: not proven: authentication-results: mx.example.net says dkim=pass for"
                    " example.com, but d=m.example.com s=k1: l= is used; d=m.example.com s=k1: neither signs"
                    " an address of ours nor passes SPF"
                )
            ],
        ),
        (
            (a_rule(),),
            {"mail": a_read_mail("eve@evil.example")},
            ["no rule of [senders] is for eve@evil.example"],
        ),
        (
            (a_rule(),),
            {"mail": a_read_mail("ana@example.com, bob@example.com")},
            ["From is not exactly one plain address: ana@example.com, bob@example.com"],
        ),
        (
            (a_rule(),),
            {"mail": a_read_mail("a@b.example\r\nFrom: c@d.example")},
            ["From is not exactly one plain address: a@b.example and c@d.example"],
        ),
    ],
)
def test_the_operator_is_told_what_is_missing(
    rules: tuple[Rule, ...], given: dict[str, Any], why: list[str]
) -> None:
    """Rule by rule; and evidence names who said they were whom."""
    judgement = judged(*rules, **given)

    assert judgement.refused == "; ".join(why)
    assert judgement.evidence["why"] == why
    assert judgement.evidence["peer"] == "192.0.2.9"


def test_a_mail_without_from_is_refused_in_words() -> None:
    """It has no sender to be entitled."""
    mail = parse(a_message("Subject: x\r\n"), Addresses.of([]))

    assert judged(a_rule("a", Proof.NONE), mail=mail).refused == "there is no From"


def test_a_refusal_is_bounded_and_printable() -> None:
    """Whatever strangers wrote, and however many rules there are."""
    rules = [a_rule(f"r{number}") for number in range(200)]

    judgement = judged(*rules, found=unsigned("\x1b]0;pwned\x07\u202e" * 300, "d=x"))

    assert judgement.refused
    assert judgement.refused.isprintable()
    assert len(judgement.refused) <= REFUSAL_MAX
    assert len(json.dumps(judgement.evidence)) < 20_000


def test_what_has_to_be_asked_is_named() -> None:
    """All of it at once, so that few rounds suffice; nothing is decided by then."""
    judgement = judged(a_rule(), found=ASKS)

    assert judgement == Judgement(questions=frozenset({KEY}))


def test_what_the_dns_does_not_answer_is_named() -> None:
    """The operator can ask it again."""
    judgement = judged(a_rule(), found=Found(dkim=Dkim(unavailable=(KEY, KEY))))

    assert judgement == Judgement(later="the DNS does not answer for now: k1._domainkey.example.com TXT")


def test_a_request_under_a_rule_that_is_not_the_senders_counts_for_nothing() -> None:
    """Whoever made it."""
    policy = Policy((a_rule("a", LOGIN), a_rule("b", Proof.NONE, senders=("*@example.org",))))
    requests = [Request(rule, frozenset({"example/app"})) for rule in policy.rules]

    assert judge(a_delivery(), a_read_mail(), requests, Found(), policy).refused


def test_who_sets_what_they_may_not_hears_how_to_mend_it() -> None:
    """In words for the sender, who is not told the operator's name for them."""
    problems = [
        str(problem)
        for problem in judged(a_rule("secret", **NEITHER), found=signed(), sets=SETTABLE).problems()
    ]

    assert len(problems) == 2
    assert "may not set the branch: leave branch out of the specification and the subject" in problems[0]
    assert "may not set the Definition of Done: leave dod out" in problems[1]
    assert not any("secret" in problem or len(problem) > 200 for problem in problems)


def test_who_keeps_to_the_rules_has_no_problem() -> None:
    """Nothing is forbidden that wasn't set."""
    assert judged(a_rule(**NEITHER), found=signed()).problems() == ()

"""Who gets a specification in: rules, proofs, repositories and what a mail may set, weighed together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from daemon.mail import Login
from daemon.trust.rules import SETTABLE, Proof, Rule
from tests.fix_judge import ANA, ASKS, WAITS, a_read_mail, a_rule, carried, judged, relayed, signed, unsigned

if TYPE_CHECKING:
    from daemon.trust import Judgement

DKIM, LOGIN, RELAY = Proof.DKIM, Proof.SMTP_AUTH, Proof.AUTHENTICATION_RESULTS


def said(judgement: Judgement) -> str:
    """A judgement in a word."""
    if judgement.refused:
        return "refused"
    if judgement.questions:
        return "asks"
    if judgement.later:
        return "later"
    return f"{judgement.rule} forbids {judgement.forbidden}" if judgement.forbidden else f"{judgement.rule}"


NOT_BRANCH: dict[str, Any] = {"may_set": frozenset({"dod"})}
NEITHER: dict[str, Any] = {"may_set": frozenset()}
OTHER_REPOS: dict[str, Any] = {"repos": ("other/*",)}
ELSEWHERE: dict[str, Any] = {"senders": ("*@example.org",)}

NOBODY = a_read_mail("ana@example.com, bob@example.com")
STRANGER = a_read_mail("eve@evil.example")
UPPER = a_read_mail("Ana@Example.COM")

#: What is promised, the sender's rules in their order, what was found and asked, and what comes of it.
CASES: list[tuple[str, tuple[Rule, ...], dict[str, Any], str]] = [
    ("a signature proves", (a_rule(),), {"found": signed()}, "a"),
    ("no signature, no proof", (a_rule(),), {"found": unsigned()}, "refused"),
    ("nothing found proves nothing", (a_rule(),), {}, "refused"),
    ("DNS first", (a_rule(),), {"found": ASKS}, "asks"),
    ("DNS is down", (a_rule(),), {"found": WAITS}, "later"),
    ("a login proves", (a_rule("a", LOGIN),), {"login": ANA}, "a"),
    ("letters' case is alike in a login", (a_rule("a", LOGIN),), {"login": ANA, "mail": UPPER}, "a"),
    ("and in what it owns", (a_rule("a", LOGIN),), {"login": Login("x", ("ANA@EXAMPLE.COM",))}, "a"),
    (
        "somebody else's login",
        (a_rule("a", LOGIN),),
        {"login": Login("bob", ("bob@example.com",))},
        "refused",
    ),
    ("a login owns no domain", (a_rule("a", LOGIN),), {"login": Login("x", ("*@example.com",))}, "refused"),
    ("a login that owns nothing", (a_rule("a", LOGIN),), {"login": Login("x", ())}, "refused"),
    ("no login", (a_rule("a", LOGIN),), {"found": signed()}, "refused"),
    ("a login where DKIM is asked for", (a_rule(),), {"login": ANA, "found": unsigned()}, "refused"),
    ("none needs no proof", (a_rule("a", Proof.NONE),), {}, "a"),
    ("none needs no DNS", (a_rule("a", Proof.NONE),), {"found": ASKS}, "a"),
    ("any proof of a rule suffices", (a_rule("a", DKIM, LOGIN),), {"login": ANA, "found": WAITS}, "a"),
    ("and DNS is not asked in vain", (a_rule("a", DKIM, LOGIN),), {"login": ANA, "found": ASKS}, "a"),
    ("a relay's word", (a_rule("a", RELAY),), {"found": relayed("example.com")}, "a"),
    (
        "a relay's word on a domain that others share",
        (a_rule("a", RELAY, senders=("ana@github.io",)),),
        {"found": relayed("github.io"), "mail": a_read_mail("ana@github.io")},
        "a",
    ),
    (
        "and on another that shares it",
        (a_rule("a", RELAY, senders=("ana@a.github.io",)),),
        {"found": relayed("b.github.io"), "mail": a_read_mail("ana@a.github.io")},
        "refused",
    ),
    ("a relay's word on what is below", (a_rule("a", RELAY),), {"found": relayed("m.example.com")}, "a"),
    ("one of several passes", (a_rule("a", RELAY),), {"found": relayed("x.test", "example.com")}, "a"),
    ("a pass for others", (a_rule("a", RELAY),), {"found": relayed("example.org")}, "refused"),
    ("a pass for a look-alike", (a_rule("a", RELAY),), {"found": relayed("notexample.com")}, "refused"),
    ("SPF alone", (a_rule("a", RELAY),), {"found": relayed(spf="example.com")}, "refused"),
    ("no relay said anything", (a_rule("a", RELAY),), {"found": signed()}, "refused"),
    ("a relay where DKIM is asked for", (a_rule(),), {"found": relayed("example.com")}, "refused"),
    (
        "a header that stands twice",
        (a_rule("a", RELAY),),
        {"found": relayed("example.com", doubts=("two Subject headers",))},
        "refused",
    ),
    (
        "a sound signature beside the relay's word",
        (a_rule("a", RELAY),),
        {"found": relayed("example.com", signatures=(carried(),))},
        "a",
    ),
    (
        "one that signs too little",
        (a_rule("a", RELAY),),
        {"found": relayed("example.com", signatures=(carried("example.com", "Subject is not signed"),))},
        "refused",
    ),
    (
        "a sound one added to one that signs too little",
        (a_rule("a", RELAY),),
        {"found": relayed("example.com", signatures=(carried(), carried("example.com", "l= is used")))},
        "refused",
    ),
    (
        "one that signs too little for a domain below",
        (a_rule("a", RELAY),),
        {"found": relayed("m.example.com", signatures=(carried("example.com", "l= is used"),))},
        "refused",
    ),
    (
        "another's signature may be what it likes",
        (a_rule("a", RELAY),),
        {"found": relayed("example.com", signatures=(carried("list.test", "l= is used", names_us=False),))},
        "a",
    ),
    (
        "a copy that was not sent to us",
        (a_rule("a", RELAY),),
        {"found": relayed("example.com", signatures=(carried(names_us=False),))},
        "refused",
    ),
    (
        "but by the sender's own server",
        (a_rule("a", RELAY),),
        {"found": relayed("example.com", spf="m.example.com", signatures=(carried(names_us=False),))},
        "a",
    ),
    (
        "and not by the server of who holds it",
        (a_rule("a", RELAY),),
        {"found": relayed("example.com", spf="evil.example", signatures=(carried(names_us=False),))},
        "refused",
    ),
    (
        "a signature that nobody looked at",
        (a_rule("a", RELAY),),
        {"found": relayed("example.com", signatures=(carried(),)), "mail": a_read_mail(signatures=2)},
        "refused",
    ),
    (
        "a signature whose domain can't be read",
        (a_rule("a", RELAY),),
        {"found": relayed("example.com", signatures=(carried("", "can't be read"),))},
        "refused",
    ),
    (
        "a signature with more white space than is looked at",
        (a_rule("a", RELAY),),
        {
            "found": relayed("example.com", signatures=(carried("exa"),)),
            "mail": a_read_mail(extra=f"DKIM-Signature: v=1;{' ' * 5000}d=example.com\r\n"),
        },
        "refused",
    ),
    ("another's repository", (a_rule(),), {"found": signed(), "repos": ("octo/app",)}, "refused"),
    (
        "one of two repositories",
        (a_rule(),),
        {"found": signed(), "repos": ("example/a", "octo/app")},
        "refused",
    ),
    ("two repositories", (a_rule(),), {"found": signed(), "repos": ("example/a", "EXAMPLE/b")}, "a"),
    ("DNS is not asked for a foreign one", (a_rule(),), {"found": ASKS, "repos": ("octo/app",)}, "refused"),
    ("nor waited for", (a_rule(),), {"found": WAITS, "repos": ("octo/app",)}, "refused"),
    ("a mail may set both", (a_rule(),), {"found": signed(), "sets": SETTABLE}, "a"),
    (
        "not the branch",
        (a_rule(**NOT_BRANCH),),
        {"found": signed(), "sets": SETTABLE},
        "a forbids ('branch',)",
    ),
    ("but the DoD", (a_rule(**NOT_BRANCH),), {"found": signed(), "sets": ("dod",)}, "a"),
    (
        "neither",
        (a_rule(**NEITHER),),
        {"found": signed(), "sets": SETTABLE},
        "a forbids ('branch', 'dod')",
    ),
    (
        "who isn't proven hears nothing of it",
        (a_rule(**NEITHER),),
        {"found": unsigned(), "sets": SETTABLE},
        "refused",
    ),
    ("DNS before that, too", (a_rule(**NEITHER),), {"found": ASKS, "sets": SETTABLE}, "asks"),
    ("the first of two", (a_rule("b"), a_rule("a")), {"found": signed()}, "b"),
    ("the second covers", (a_rule("b", **OTHER_REPOS), a_rule("a")), {"found": signed()}, "a"),
    ("the second is proven", (a_rule("b", LOGIN), a_rule("a")), {"found": signed()}, "a"),
    (
        "the second lets it set the branch",
        (a_rule("b", **NOT_BRANCH), a_rule("a")),
        {"found": signed(), "sets": ("branch",)},
        "a",
    ),
    (
        "no rule is made of two: one covers, one is proven",
        (a_rule("b", LOGIN), a_rule("a", **OTHER_REPOS)),
        {"found": signed()},
        "refused",
    ),
    (
        "no repositories of two rules in one mail",
        (a_rule("b", **OTHER_REPOS), a_rule("a")),
        {"found": signed(), "repos": ("other/x", "example/x")},
        "refused",
    ),
    (
        "one is proven, the other lets it",
        (a_rule("b", LOGIN), a_rule("a", **NEITHER)),
        {"found": signed(), "sets": ("dod",)},
        "a forbids ('dod',)",
    ),
    (
        "the DNS may still let it set the branch",
        (a_rule("b", LOGIN, **NEITHER), a_rule("a")),
        {"found": ASKS, "login": ANA, "sets": ("branch",)},
        "asks",
    ),
    (
        "or do so later",
        (a_rule("b", LOGIN, **NEITHER), a_rule("a")),
        {"found": WAITS, "login": ANA, "sets": ("branch",)},
        "later",
    ),
    (
        "a proof that suffices asks for no other",
        (a_rule("b", LOGIN, DKIM, **NEITHER),),
        {"found": ASKS, "login": ANA, "sets": ("branch",)},
        "b forbids ('branch',)",
    ),
    (
        "what needs no DNS goes first",
        (a_rule("b"), a_rule("a", LOGIN)),
        {"found": ASKS, "login": ANA},
        "a",
    ),
    (
        "what each rule makes of the mail is its own",
        (a_rule("b"), a_rule("a", **OTHER_REPOS)),
        {"found": signed(), "repos": {"b": ("other/x",), "a": ("other/x",)}},
        "a",
    ),
    (
        "and what it sets under each",
        (a_rule("b", **NEITHER), a_rule("a", **NEITHER)),
        {"found": signed(), "sets": {"b": ("branch",), "a": ()}},
        "a",
    ),
    ("a mail with a Problem is its sender's to mend", (a_rule(),), {"found": signed(), "repos": ()}, "a"),
    ("if it is theirs", (a_rule(),), {"found": unsigned(), "repos": ()}, "refused"),
    ("which the DNS may say", (a_rule(),), {"found": ASKS, "repos": ()}, "asks"),
    (
        "a rule with a Problem goes after one without",
        (a_rule("b"), a_rule("a")),
        {"found": signed(), "repos": {"b": (), "a": ("example/x",)}},
        "a",
    ),
    (
        "even if the DNS must be asked",
        (a_rule("b", LOGIN), a_rule("a")),
        {"found": ASKS, "login": ANA, "repos": {"b": (), "a": ("example/x",)}},
        "asks",
    ),
    (
        "unless that one gives no right",
        (a_rule("b", LOGIN), a_rule("a")),
        {"found": unsigned(), "login": ANA, "repos": {"b": (), "a": ("example/x",)}},
        "b",
    ),
    ("a rule for others", (a_rule(**ELSEWHERE),), {"found": signed()}, "refused"),
    ("among rules for others", (a_rule("b", **ELSEWHERE), a_rule("a")), {"found": signed()}, "a"),
    ("a stranger", (a_rule("a", Proof.NONE),), {"mail": STRANGER, "found": signed()}, "refused"),
    ("two addresses in From", (a_rule("a", Proof.NONE),), {"mail": NOBODY, "found": signed()}, "refused"),
]


@pytest.mark.parametrize(
    ("rules", "given", "expected"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
def test_a_mail_needs_one_rule_of_which_it_satisfies_all(
    rules: tuple[Rule, ...], given: dict[str, Any], expected: str
) -> None:
    """Repositories, proof and what may be set are of the same rule; the first such rule decides."""
    judgement = judged(*rules, **given)

    assert said(judgement) == expected

"""Whom a sender rule is for, what it covers, and who is a relay."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest

from daemon.trust.rules import Policy, Proof, Rule, allowed


def a_rule(**changes: Any) -> Rule:
    """A rule for a domain and one address elsewhere."""
    usual = {
        "name": "example",
        "senders": ("*@example.com", "ana@partner.example"),
        "repos": ("example/*", "octo/app", "octo/lib-*-x"),
        "proofs": frozenset({Proof.DKIM}),
    }
    return Rule(**(usual | changes))


@pytest.mark.parametrize(
    ("sender", "theirs"),
    [
        ("bob@example.com", True),
        ("Bob@EXAMPLE.com", True),
        ("*@example.com", True),
        ("bob@mail.example.com", False),
        ("bob@notexample.com", False),
        ("bob@example.com.evil.example", False),
        ("bob@example.co", False),
        ("ana@partner.example", True),
        ("ANA@Partner.Example", True),
        ("bob@partner.example", False),
        ("anna@partner.example", False),
        ("ana@sub.partner.example", False),
        ("*@partner.example", False),
        ("ana+tag@partner.example", False),
        ("Ana <ana@partner.example>", False),
        ('"ana@partner.example" <eve@evil.example>', False),
        ("", False),
    ],
)
def test_whom_a_rule_is_for(sender: str, theirs: bool) -> None:  # noqa: FBT001 - the table's column
    """Exact addresses and whole domains without what is below them, whatever the case of letters."""
    assert a_rule().is_for(sender) is theirs


@pytest.mark.parametrize(
    ("repo", "covered"),
    [
        ("example/app", True),
        ("Example/App", True),
        ("example/a.b-c_d", True),
        ("example.evil/x", False),
        ("example-evil/x", False),
        ("evil/example", False),
        ("evil-example/x", False),
        ("octo/app", True),
        ("OCTO/APP", True),
        ("octo/app2", False),
        ("octo/apps", False),
        ("octo/", False),
        ("octo/lib-a-x", True),
        ("octo/lib--x", True),
        ("octo/lib-x", False),
        ("octo/lib-a-y", False),
        ("", False),
    ],
)
def test_what_a_rule_covers(repo: str, covered: bool) -> None:  # noqa: FBT001 - the table's column
    """An owner is never part of another; ``*`` stands for anything in a name."""
    assert a_rule().covers(repo) is covered


@pytest.mark.parametrize(
    ("pattern", "repo"), [("o/[ab]", "o/a"), ("o/a?p", "o/app"), ("o/[!x]*", "o/app"), ("*/app", "o/app")]
)
def test_a_star_in_the_name_alone_is_special(pattern: str, repo: str) -> None:
    """What a shell would expand covers nothing but itself."""
    rule = a_rule(repos=(pattern,))

    assert not rule.covers(repo)
    assert rule.covers(pattern)


def test_the_rules_of_a_sender_keep_their_order() -> None:
    """The first that is satisfied decides, so the operator's order matters."""
    rules = tuple(a_rule(name=name) for name in ("b", "a"))
    others = a_rule(name="others", senders=("*@example.org",))
    policy = Policy((rules[0], others, rules[1]))

    assert policy.of("bob@example.com") == rules


def test_nobody_has_a_rule_when_there_is_doubt_who_it_is() -> None:
    """Not even where a rule were for everybody of a domain."""
    assert Policy((a_rule(),)).of(None) == ()


RELAYS = ("10.0.0.5/32", "192.0.2.0/24", "2001:db8::/64")


@pytest.mark.parametrize(
    ("peer", "is_relay"),
    [
        ("10.0.0.5", True),
        ("10.0.0.50", False),
        ("192.0.2.77", True),
        ("192.0.3.77", False),
        ("::ffff:10.0.0.5", True),
        ("::ffff:10.0.0.6", False),
        ("2001:db8::1", True),
        ("2001:DB8:0:0::1", True),
        ("2001:db8:1::1", False),
        ("127.0.0.1", False),
        ("unix", True),
        ("relay.example.net", False),
        ("", False),
    ],
)
def test_who_is_a_relay(peer: str, is_relay: bool) -> None:  # noqa: FBT001 - the table's column
    """Addresses and networks of both kinds, an IPv4 peer on an IPv6 socket, and the UNIX socket."""
    policy = Policy(relays=tuple(map(ip_network, RELAYS)), unix_relay=True)

    assert policy.is_relay(peer) is is_relay


def test_a_unix_socket_is_no_relay_unless_named() -> None:
    """Not even where every address is."""
    assert not Policy(relays=(ip_network("0.0.0.0/0"), ip_network("::/0"))).is_relay("unix")


def test_a_proof_is_allowed_by_any_rule_that_takes_it() -> None:
    """Nothing is looked up for a proof that no rule asks for."""
    rules = (a_rule(), a_rule(proofs=frozenset({Proof.SMTP_AUTH})))

    assert allowed(rules, Proof.SMTP_AUTH)
    assert not allowed(rules, Proof.AUTHENTICATION_RESULTS)

"""Whether SPF passes."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.names import Answers, Question, Unasked, Unavailable
from daemon.trust.asking import Asking
from daemon.trust.spf import HOSTS_MAX, LOOKUPS_MAX, PASS, PermanentError, check, parse
from daemon.trust.spf.macro import MalformedMacroError, Sending, expand

if TYPE_CHECKING:
    from collections.abc import Mapping

Zone = dict[str, tuple[str, ...] | None]

#: By name and kind.
ZONE: Zone = {
    "a.example.org A": ("192.0.2.1", "198.51.100.9"),
    "a.example.org AAAA": ("2001:db8::1",),
    "example.com A": ("198.51.100.7",),
    "example.com MX": ("mx1.example.com", "mx2.example.com"),
    "mx1.example.com A": ("192.0.2.8",),
    "mx2.example.com A": ("198.51.100.7",),
    "pass.example.org TXT": ("v=spf1 ip4:198.51.100.7 -all",),
    "fail.example.org TXT": ("v=spf1 -all",),
    "open.example.org TXT": ("v=spf1 +all",),
    "bad.example.org TXT": ("v=spf1 nonsense:x",),
    "7.100.51.198.in-addr.ana.example.com A": ("127.0.0.2",),
}

PEER, PEER6 = "198.51.100.7", "2001:db8::7"


def result(record: str, peer: str = PEER) -> str:
    """The result for a record of example.com."""
    return resolved({"example.com TXT": (record,)}, peer)[0]


def resolved(zone: Mapping[str, tuple[str, ...] | None], peer: str = PEER) -> tuple[str, list[set[str]]]:
    """The result, and what was asked in each round."""
    everything = ZONE | dict(zone)
    known: dict[Question, tuple[str, ...] | None] = {}
    rounds: list[set[str]] = []
    for _ in range(30):
        asking = Asking(Answers(known))
        try:
            return check(Sending(ip_address(peer), "ana", "example.com"), asking), rounds
        except Unasked:
            rounds.append({str(question) for question in asking.open})
            known |= {question: everything.get(str(question), ()) for question in asking.open}
    raise AssertionError(rounds)


@pytest.mark.parametrize(
    "terms",
    [
        "ip4:198.51.100.7",
        "ip4:198.51.100.0/24 -all",
        "IP4:198.51.100.7",
        "-ip4:192.0.2.0/24 a -all",
        "a:a.example.org/24",
        "a/32//128",
        "mx",
        "mx:example.com/30//64",
        "include:fail.example.org include:pass.example.org -all",
        "redirect=pass.example.org",
        "exists:%{ir}.%{v}.%{l}.%{o}",
        "exists:%{ir}.in-addr.%{l1r-}.%{d2} -all",
        "?include:fail.example.org  a   -all",
        "unknown=a:b/%{d} a",
    ],
)
def test_a_record_lets_its_senders_pass(terms: str) -> None:
    """By each mechanism of RFC 7208, 5, and each modifier of 6."""
    assert result(f"v=spf1 {terms}") == PASS


@pytest.mark.parametrize("terms", ["ip6:2001:db8::/32", "ip6:2001:db8::7", "a:a.example.org//64"])
def test_the_other_addresses_pass_by_their_own(terms: str) -> None:
    """An IPv6 peer is never matched by what is for IPv4."""
    assert result(f"v=spf1 {terms}", PEER6) == PASS
    assert result(f"v=spf1 {terms}", "192.0.2.77") == "neutral"
    assert result("v=spf1 ip4:0.0.0.0/0 a:a.example.org/0", PEER6) == "neutral"


@pytest.mark.parametrize(
    ("terms", "word"),
    [
        ("-all", "fail"),
        ("~all", "softfail"),
        ("?all", "neutral"),
        ("", "neutral"),
        ("-a", "fail"),
        ("+all", "lets everybody pass"),
        ("ip4:0.0.0.0/0", "lets everybody pass"),
        ("include:open.example.org -all", "fail"),
        ("ptr -all", "fail"),
        ("ptr:example.com", "neutral"),
        ("exists:%{p}.%{h}.example.com -all", "fail"),
        ("a:-..-.example.com a:x -all", "fail"),
        ("redirect=fail.example.org", "fail"),
        ("-all redirect=pass.example.org", "fail"),
        ("include:bad.example.org", "permanent error"),
        ("include:none.example.org", "permanent error"),
        ("redirect=none.example.org", "permanent error"),
        ("redirect=a.b redirect=a.b", "permanent error"),
        ("a:%{x}.example.org", "permanent error"),
        ("a:%{d", "permanent error"),
        ("exists:%{l0}.a.b", "permanent error"),
        ("redirect=", "permanent error"),
        ("redirect=" + "a." * 300 + "org", "permanent error"),
        ("include:example.com", "permanent error"),
        ("redirect=example.com", "permanent error"),
    ],
)
def test_all_else_does_not_pass(terms: str, word: str) -> None:
    """Fails, errors, loops, and records that let everybody pass."""
    assert word in result(f"v=spf1 {terms}")


@pytest.mark.parametrize(
    "terms",
    [
        *("all:x", "include", "include:", "exists", "-redirect=x", "foo", "a=b:c d", "é", "ip4", "+"),
        *("ip4:1.2.3", "ip4:1.2.3.4/33", "ip4:1.2.3.4/255.0.0.0", "ip4:::1", "ip6:1.2.3.4", "ip6:::1%1"),
        *("a/33", "a//129", "mx:x/1/2", "a:" + "b" * 9000),
    ],
)
def test_one_error_anywhere_spoils_the_record(terms: str) -> None:
    """Even behind what would match (RFC 7208, 4.6)."""
    with pytest.raises(PermanentError):
        parse(f"v=spf1 a {terms}")
    assert "permanent error" in result(f"v=spf1 ip4:{PEER} {terms}")


def test_a_domain_has_one_record() -> None:
    """None is "none"; two are an error; what only begins alike is no record."""
    assert resolved({"example.com TXT": ("v=spf10 a", "v=spf2.0/pra a")})[0] == "none"
    assert resolved({"example.com TXT": ("words", "V=SPF1 a")})[0] == PASS
    assert "permanent error" in resolved({"example.com TXT": ("v=spf1 a", "v=spf1 a")})[0]


def test_lookups_are_bounded() -> None:
    """Ten in all, however they are nested."""
    terms = " ".join(["include:fail.example.org"] * (LOOKUPS_MAX - 1))

    assert result(f"v=spf1 {terms} a -all") == PASS
    assert "lookups" in result(f"v=spf1 {terms} include:fail.example.org a -all")


def test_names_that_do_not_exist_are_bounded() -> None:
    """Two; the record is somebody else's then, or made to have us ask."""
    assert result("v=spf1 a:a.none.org a:b.none.org a -all") == PASS
    assert "not exist" in result("v=spf1 a:a.none.org exists:b.none.org mx:c.none.org a -all")


def test_an_address_that_is_none_matches_nobody() -> None:
    """The DNS may say anything."""
    assert (
        resolved({"example.com TXT": ("v=spf1 a -all",), "example.com A": ("x", "2001:db8::1")})[0] == "fail"
    )


def test_hosts_for_mail_are_bounded() -> None:
    """Ten."""
    hosts = tuple(f"h{number}.example.com" for number in range(HOSTS_MAX + 1))

    assert "hosts" in resolved({"example.com TXT": ("v=spf1 mx a",), "example.com MX": hosts})[0]


def test_what_is_out_of_reach_is_a_temporary_error() -> None:
    """Unless something before it decides."""
    known = {"example.com TXT": ("v=spf1 a:slow.example.org a",), "slow.example.org A": None}

    with pytest.raises(Unavailable):
        resolved(known)
    assert resolved(known | {"example.com TXT": ("v=spf1 a a:slow.example.org",)})[0] == PASS


def test_what_will_be_asked_is_asked_together() -> None:
    """A record of three includes takes two rounds, not four."""
    includes = {f"{name}.example.net TXT": ("v=spf1 ip4:192.0.2.0/24 -all",) for name in "abc"}
    record = "v=spf1 include:a.example.net include:b.example.net include:c.example.net a -all"

    word, rounds = resolved({"example.com TXT": (record,)} | includes)

    assert word == PASS
    assert [len(asked) for asked in rounds] == [1, 4]


def test_a_record_can_not_have_us_ask_without_end() -> None:
    """A tree of includes, each new: what is asked for stays bounded."""
    tree = {f"{'x.' * depth}{n}.example.net TXT": ("",) for depth in range(3) for n in range(3)}
    record = "v=spf1 " + " ".join(f"include:%{{d}}.{number}" for number in range(50))
    zone = {"example.com TXT": (record,)} | tree

    _, rounds = resolved(zone)

    assert sum(map(len, rounds)) <= 1 + LOOKUPS_MAX


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("%{i}.x.org", "192.0.2.3.x.org"),
        ("%{s}.x.org", None),
        ("%{o}", "email.example.com"),
        ("%{d4}", "email.example.com"),
        ("%{d2}", "example.com"),
        ("%{d1}.x.org", "com.x.org"),
        ("%{dr}", "com.example.email"),
        ("%{d2r}", "example.email"),
        ("%{l}.x.org", "strong-bad.x.org"),
        ("%{l-}.x.org", "strong.bad.x.org"),
        ("%{lr-}.x.org", "bad.strong.x.org"),
        ("%{l1r-}.x.org", "strong.x.org"),
        ("%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"),
        ("%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com"),
        ("%{D2}.X.org.", "example.com.x.org"),
        ("%%.x.org", None),
        ("x", None),
        ("x" * 64 + ".org", None),
        ("%{d}." * 30 + "x.org", ("email.example.com." * 30 + "x.org")[-247:]),
    ],
)
def test_macros_expand_as_the_standard_has_it(spec: str, name: str | None) -> None:
    """The examples of RFC 7208, 7.4; what can't be anybody's name is asked of nobody."""
    sending = Sending(ip_address("192.0.2.3"), "strong-bad", "email.example.com")

    expanded = expand(spec, "email.example.com", sending)

    assert expanded == name if len(spec) < 100 else expanded is not None and len(expanded) <= 253


def test_an_ipv6_address_is_written_in_nibbles() -> None:
    """RFC 7208, 7.4."""
    sending = Sending(ip_address("2001:db8::cb01"), "strong-bad", "email.example.com")

    expanded = expand("%{ir}.%{v}._spf.%{d2}", "email.example.com", sending)

    assert expanded == "1.0.b.c." + "0." * 20 + "8.b.d.0.1.0.0.2.ip6._spf.example.com"


PIECES = [
    "%{",
    "d",
    "l",
    "}",
    "%",
    "a",
    ":",
    "/",
    "24",
    "mx",
    "include:",
    "=",
    "redirect=",
    ".",
    "ip4:",
    "all",
    " ",
    "-",
    "é",
]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join), st.text(max_size=20))
def test_no_record_makes_it_raise(terms: str, local: str) -> None:
    """Nor does any local part; an answer or an error in words comes of all of them."""
    answers = Answers({Question("example.com", "TXT"): (f"v=spf1 {terms}",)})

    with suppress(Unasked):
        assert check(Sending(ip_address(PEER), local, "example.com"), Asking(answers))


def test_a_macro_that_is_none_is_an_error() -> None:
    """At once; so is one that is long, since each piece of it may grow."""
    for spec in ("%(d)", "%{s}." * 200 + "example.org"):
        with pytest.raises(MalformedMacroError):
            expand(spec, "example.com", Sending(ip_address(PEER), "ana", "example.com"))

"""What a relay of ours says is read strictly, and nobody else is believed."""

from __future__ import annotations

import time
from dataclasses import replace
from ipaddress import ip_network
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.trust.findings import Results
from daemon.trust.results import believed, parse
from daemon.trust.rules import Policy
from tests.fix_mails import envelope

if TYPE_CHECKING:
    from daemon.mail import Envelope

POLICY = Policy(authserv_id="mx.example.net", relays=(ip_network("10.0.0.5/32"),), unix_relay=True)

PASS = "mx.example.net; dkim=pass header.d=example.com"


def from_peer(peer: str) -> Envelope:
    """A delivery by ``peer``."""
    return replace(envelope(b""), peer=peer)


UNDERSTOOD = [
    ("mx.example.net; dkim=pass header.d=example.com", ("example.com",), None),
    ("MX.Example.NET; DKIM=Pass Header.D=Example.COM", ("example.com",), None),
    ("mx.example.net 1; dkim=pass header.d=example.com", ("example.com",), None),
    ("mx.example.net; dkim/1=pass header.d=example.com", ("example.com",), None),
    ("mx.example.net; dkim/2=pass header.d=example.com", (), None),
    ("mx.example.net; none", (), None),
    (" mx.example.net (ours) ;\tnone (nothing to say)", (), None),
    ("mx.example.net; dkim=fail header.d=example.com", (), None),
    ("mx.example.net; dkim=none; x-dkim=pass header.d=example.com", (), None),
    ("mx.example.net; dkim=pass", (), None),
    ("mx.example.net; dkim=pass header.i=@mail.example.com", ("mail.example.com",), None),
    ("mx.example.net; dkim=pass header.i=ana@example.com", ("example.com",), None),
    ('mx.example.net; dkim=pass header.i="a b@c"@example.com', ("example.com",), None),
    ("mx.example.net; dkim=pass header.i=example.com", (), None),
    ("mx.example.net; dkim=pass header.d=example.com header.i=@x.example.com", ("example.com",), None),
    ("mx.example.net; dkim=pass header.d=(!) header.i=@example.com", (), None),
    ("mx.example.net; dkim=pass header.d=ex/ample header.i=@example.com", (), None),
    ("mx.example.net; dkim=pass header.d=a.test header.d=b.test header.i=@example.com", (), None),
    ('mx.example.net; dkim=pass header.d="example.com"', ("example.com",), None),
    ('"mx.example.net"; dkim=pass header.d="exam\\ple.com"', ("example.com",), None),
    ("mx.example.net; dkim=pass header.d=\u212aexample.com", None, None),
    ('mx.example.net; dkim=pass header.d="\u212aexample.com"', (), None),
    ("mx.example.net; dkim=fail header.d=a.example; dkim=pass header.d=b.example", ("b.example",), None),
    (
        "mx.example.net; dkim=pass header.d=a.b; dkim=fail header.d=a.b; dkim=pass header.d=a.b",
        ("a.b",),
        None,
    ),
    ("mx.example.net; spf=pass smtp.mailfrom=example.com", (), "example.com"),
    ("mx.example.net; spf=pass smtp.mailfrom=bounce+ana=x.example@Example.com", (), "example.com"),
    ('mx.example.net; spf=pass smtp.mailfrom="a; b@c"@example.com', (), "example.com"),
    ("mx.example.net; spf=pass smtp.mailfrom=<>", (), None),
    ("mx.example.net; spf=pass smtp.helo=example.com", (), None),
    ("mx.example.net; spf=softfail smtp.mailfrom=example.com", (), None),
    (
        "mx.example.net; spf=fail smtp.mailfrom=a.b; spf=pass smtp.mailfrom=c.d; spf=pass smtp.mailfrom=e.f",
        (),
        "c.d",
    ),
    (
        (
            "foo.example.net (foobar) 1 (baz); dkim (Because I like it) / 1 (One yay) = (wait for it) fail"
            " policy (A dot can go here) . (like that) expired (this surprised me) = (as I wanted) 1362471462"
        ),
        (),
        None,
    ),
    ("mx.example.net; dkim(a(b(c)\\)d)e)=pass(()())header.d = example.com (x)", ("example.com",), None),
    (
        (
            "mx.google.com; dkim=pass header.i=@gmail.com header.s=20210112 header.b=AArzbi/1;"
            " spf=pass (google.com: domain of ana@gmail.com designates 2001:db8::1 as permitted sender)"
            " smtp.mailfrom=ana@gmail.com; dmarc=pass (p=NONE sp=QUARANTINE dis=NONE) header.from=gmail.com"
        ),
        ("gmail.com",),
        "gmail.com",
    ),
    (
        (
            "mx1.messagingengine.com; x-csa=none; arc=none (no signatures found); dkim=pass (2048-bit rsa key"
            " sha256) header.d=example.com header.i=@example.com header.b=Y+EgdIPN header.a=rsa-sha256"
            " header.s=a2048 x-bits=2048; iprev=pass smtp.remote-ip=2001:db8::25 (mail.example.com);"
            " spf=pass smtp.mailfrom=ana@example.com smtp.helo=mail.example.com"
        ),
        ("example.com",),
        "example.com",
    ),
    (
        (
            'mail.example.net; dkim=pass (2048-bit; unprotected) header.d=example.com header.i="@example.com"'
            ' header.a=rsa-sha256 header.s=k1 header.b="a/+="; dkim=fail reason="bad; very bad"'
            " header.d=example.org; dmarc=pass action=none"
        ),
        ("example.com",),
        None,
    ),
]

ODD = [
    "",
    "mx.example.net",
    "mx.example.net;",
    "mx.example.net dkim=pass header.d=example.com",
    "mx.example.net 2; dkim=pass header.d=example.com",
    "mx.example.net x; dkim=pass header.d=example.com",
    "mx.example.net/5; dkim=pass header.d=example.com",
    "; dkim=pass header.d=example.com",
    "spf=pass smtp.mailfrom=example.com; dkim=pass header.d=example.com",
    "mx.example.net; none; dkim=pass header.d=example.com",
    "mx.example.net; dkim=pass header.d=example.com;",
    "mx.example.net;; dkim=pass header.d=example.com",
    "mx.example.net; dkim",
    "mx.example.net; dkim=",
    "mx.example.net; dkim=pass, header.d=example.com",
    "mx.example.net; dkim=passheader.d=example.com",
    "mx.example.net; dkim=pass header.d",
    "mx.example.net; dkim=pass header.d=",
    "mx.example.net; dkim=pass example.com",
    'mx.example.net; dkim=pass header.d="example".com',
    'mx.example.net; dkim=pass header.d=example"."com',
    'mx.example.net; dkim=pass header.d="example.com',
    "mx.example.net; dkim=pass (header.d=example.com",
    "mx.example.net; dkim=pass) header.d=example.com",
    "mx.example.net; dkim=pass (a \\",
    "mx.example.net; dkim=pass header.d=exa\\mple.com",
    "mx.example.net; dkim=pass header.d=exämple.com",
    "mx.example.net; dkim=pass\0header.d=example.com",
    "mx.example.net; dkim=pass " + "(" * 11 + ")" * 11 + " header.d=example.com",
    "mx.example.net" + "; dkim=pass header.d=example.com" * 51,
    (
        'mx.example.net; spf=pass (domain of "a); dkim=pass header.d=example.com (b"@evil.example is)'
        " smtp.mailfrom=evil.example"
    ),
    '"mx.example.net\u212a"; dkim=pass header.d=example.com',
]


@pytest.mark.parametrize(("value", "dkim", "spf"), UNDERSTOOD)
def test_what_relays_write_is_understood(value: str, dkim: tuple[str, ...] | None, spf: str | None) -> None:
    """Passes for domains, as the grammar has them and as large providers write them."""
    said = parse(value)

    assert (said and said.dkim, said and said.spf) == (dkim, spf)


@pytest.mark.parametrize("value", ODD)
def test_an_odd_header_says_nothing(value: str) -> None:
    """Also where a result stands in it before or after what is odd."""
    assert parse(value) is None


def test_as_many_results_as_one_header_may_hold_are_read() -> None:
    """One more is too many."""
    said = parse("mx.example.net" + "; dkim=pass header.d=example.com" * 50)

    assert said == Results("mx.example.net", ("example.com",))


@pytest.mark.parametrize("peer", ["10.0.0.5", "::ffff:10.0.0.5", "unix"])
def test_a_relay_is_believed(peer: str) -> None:
    """Wherever it may come from."""
    headers = (("received", "from x"), ("authentication-results", PASS))

    assert believed(headers, POLICY.believes(from_peer(peer))) == Results("mx.example.net", ("example.com",))


@pytest.mark.parametrize("peer", ["10.0.0.6", "127.0.0.1", "::1", ""])
def test_who_is_no_relay_is_not_believed(peer: str) -> None:
    """The sender may have written the header."""
    assert believed((("authentication-results", PASS),), POLICY.believes(from_peer(peer))) is None


@pytest.mark.parametrize(
    "topmost",
    [
        "mx.example.org; dkim=fail",
        "mx.example.net.evil.example; none",
        "odd",
        "mx.example.net; dkim=fail header.d=example.com",
        "mx.example.net; none",
    ],
)
def test_only_the_topmost_counts(topmost: str) -> None:
    """What stands below it may be the sender's, whoever it names."""
    headers = (("authentication-results", topmost), ("authentication-results", PASS))

    said = believed(headers, "mx.example.net")

    assert said is None or said.dkim == ()


@pytest.mark.parametrize("name", ["mx.example.org", "mx.example.net.evil.example", "example.net", "x"])
def test_no_other_server_is_believed(name: str) -> None:
    """A relay passes on what others wrote, too."""
    headers = (("authentication-results", PASS.replace("mx.example.net", name)),)

    assert believed(headers, "mx.example.net") is None


@pytest.mark.parametrize("name", ["arc-authentication-results", "x-authentication-results", "received"])
def test_no_other_header_counts(name: str) -> None:
    """ARC's looks alike and is anybody's."""
    assert believed(((name, PASS),), "mx.example.net") is None


def test_without_a_configured_server_nobody_is_believed() -> None:
    """Relays may be named for other reasons."""
    policy = Policy(relays=POLICY.relays)

    assert believed((("authentication-results", PASS),), policy.believes(from_peer("10.0.0.5"))) is None


@given(st.text(alphabet='()"\\;=./@ \taI1-é', max_size=60))
def test_no_header_breaks_the_reader(rest: str) -> None:
    """Whatever stands in it; and it never names a domain that isn't there as it is written."""
    said = parse(f"mx.example.net; {rest}")

    assert said is None or said.authserv_id == "mx.example.net"


@pytest.mark.parametrize(
    "piece", ["(", ")", "()", '"', '""', "\\", "a", " ", ";", "=", '"\\', "a=b ", "(\\)"]
)
@pytest.mark.parametrize("start", ["", "mx.example.net; ", "mx.example.net; dkim=pass header.d="])
def test_a_long_header_takes_no_long_time(start: str, piece: str) -> None:
    """As long as a whole header block may be."""
    value = start + piece * (100_000 // len(piece))
    begin = time.process_time()

    parse(value)

    assert time.process_time() - begin < 1

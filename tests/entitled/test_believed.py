"""Authentication-Results: believed from our own relay, topmost, and in its plain words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from daemon.outcome import Verdict
from tests.entitled.case import Case, accepted, refused
from tests.entitled.letter import above, below, letter, signed
from tests.fix_gate import RELAY

if TYPE_CHECKING:
    from tests.fix_gate import Gate

ANA = "ana@relayed.example"
PASS = "mx.example.net; dkim=pass header.d=relayed.example"
EVIDENCE = {"rule": "relayed", "proof": "authentication-results", "d": "relayed.example"}


def said(*results: str) -> bytes:
    """Ana's letter, with what servers wrote over it, the last one first."""
    raw = letter(From=ANA)
    for value in reversed(results):
        raw = above(raw, f"Authentication-Results: {value}")
    return raw


def believed(*results: str) -> Case:
    """From our relay, and taken at its word."""
    return accepted(lambda: said(*results), peer=RELAY, mail_from=ANA, evidence=EVIDENCE)


def doubted(*results: str, reason: str = "authentication-results", peer: str = RELAY) -> Case:
    """Not taken."""
    return refused(lambda: said(*results), reason, peer=peer, mail_from=ANA)


BELIEVED: dict[str, Case] = {
    "plainly": believed(PASS),
    "with its version": believed(PASS.replace(";", " 1;", 1)),
    "in capitals": believed(PASS.upper()),
    "with comments and folds": believed(
        'mx.example.net (our (own) server);\r\n\tdkim=pass (2048-bit key) header.d="relayed.example"\r\n'
        " header.s=k1 header.b=abc; spf=fail smtp.mailfrom=eve@evil.example"
    ),
    "by identity alone": believed("mx.example.net; dkim=pass header.i=@relayed.example"),
    "of a subdomain": accepted(
        lambda: said("mx.example.net; dkim=pass header.d=mail.relayed.example"),
        peer=RELAY,
        mail_from=ANA,
        evidence=EVIDENCE | {"d": "mail.relayed.example"},
    ),
    "beside one that failed": believed(
        "mx.example.net; dkim=fail header.d=evil.example; dkim=pass header.d=relayed.example"
    ),
    "above what others wrote": believed(PASS, "mx.evil.example; dkim=fail header.d=relayed.example"),
    "over a socket": accepted(lambda: said(PASS), peer="unix", mail_from=ANA, evidence=EVIDENCE),
    "of a signature that is there": accepted(
        lambda: above(signed(letter(From=ANA), domain="relayed.example"), f"Authentication-Results: {PASS}"),
        peer=RELAY,
        mail_from=ANA,
        evidence=EVIDENCE,
    ),
}

DOUBTED: dict[str, Case] = {
    "nothing": doubted(),
    "none": doubted("mx.example.net; none"),
    "from a peer that is no relay": doubted(PASS, peer="10.0.0.6"),
    "from this machine": doubted(PASS, peer="127.0.0.1"),
    "below another's": doubted("mx.evil.example; dkim=pass header.d=evil.example", PASS),
    "below our own that says otherwise": doubted("mx.example.net; dkim=fail header.d=relayed.example", PASS),
    "below our own that says nothing": doubted("mx.example.net; none", PASS),
    "by another server": doubted(PASS.replace("mx.example.net", "mx.evil.example")),
    "by a server whose name begins alike": doubted(
        PASS.replace("mx.example.net", "mx.example.net.evil.example")
    ),
    "by a server whose name ends alike": doubted(PASS.replace("mx.example.net", "evil-mx.example.net")),
    "by a later version": doubted(PASS.replace(";", " 2;", 1)),
    "a failure": doubted("mx.example.net; dkim=fail header.d=relayed.example"),
    "no key": doubted("mx.example.net; dkim=temperror header.d=relayed.example"),
    "a policy": doubted("mx.example.net; dkim=policy header.d=relayed.example"),
    "another domain": doubted("mx.example.net; dkim=pass header.d=evil.example"),
    "a domain that ends alike": doubted("mx.example.net; dkim=pass header.d=notrelayed.example"),
    "the top domain": doubted("mx.example.net; dkim=pass header.d=example"),
    "SPF alone": doubted("mx.example.net; spf=pass smtp.mailfrom=ana@relayed.example"),
    "DMARC alone": doubted("mx.example.net; dmarc=pass header.from=relayed.example"),
    "ARC alone": doubted("mx.example.net; arc=pass header.d=relayed.example"),
    "a pass of nobody": doubted("mx.example.net; dkim=pass"),
    "a pass in a comment": doubted("mx.example.net; none (; dkim=pass header.d=relayed.example)"),
    "a server in a comment": doubted("(mx.example.net;) mx.evil.example; dkim=pass header.d=relayed.example"),
    "a server in quotes of another": doubted(
        'mx.evil.example "mx.example.net"; dkim=pass header.d=relayed.example'
    ),
    "a pass in quotes": doubted('mx.example.net; x=y reason="; dkim=pass header.d=relayed.example"'),
    "a pass in a reason": doubted(
        'mx.example.net; dkim=fail reason="dkim=pass header.d=relayed.example" header.d=relayed.example'
    ),
    "an open comment": doubted("mx.example.net (; dkim=pass header.d=relayed.example"),
    "an open quote": doubted('mx.example.net; dkim=pass header.d="relayed.example'),
    "no semicolon": doubted("mx.example.net dkim=pass header.d=relayed.example"),
    "words between": doubted("mx.example.net; dkim=pass header.d=relayed.example and more"),
    "two domains in one": doubted("mx.example.net; dkim=pass header.d=evil.example header.d=relayed.example"),
    "behind a header's end": refused(
        lambda: below(said("mx.example.net; none"), f"X: y\rAuthentication-Results: {PASS}"),
        "authentication-results",
        peer=RELAY,
        mail_from=ANA,
    ),
    "of a signature that only some programs see": refused(
        lambda: said(PASS).replace(b"\r\nFrom:", b"\r\nX-Foo : bar\r\nDKIM-Signature: v=1\r\nFrom:", 1),
        "From",
        peer=RELAY,
        mail_from=ANA,
    ),
    "behind a header that only some programs read": refused(
        lambda: said(PASS).replace(b"\r\n\r\n", b"\r\nX-Foo : bar\r\nDKIM-Signature: v=1\r\n\r\n", 1),
        "not every program reads its headers alike",
        peer=RELAY,
        mail_from=ANA,
    ),
    "of a header that is no longer single": refused(
        lambda: below(said(PASS), "Subject: another"), "Subject", peer=RELAY, mail_from=ANA
    ),
    "of a signature that leaves the subject open": refused(
        lambda: above(
            signed(letter(From=ANA), domain="relayed.example", names="from:to:date:message-id:content-type"),
            f"Authentication-Results: {PASS}",
        ),
        "Subject",
        peer=RELAY,
        mail_from=ANA,
    ),
    "of a signature to somebody else": refused(
        lambda: above(
            signed(letter(From=ANA, To="bob@example.com"), domain="relayed.example"),
            f"Authentication-Results: {PASS}",
        ),
        "address",
        peer=RELAY,
        mail_from=ANA,
    ),
    "where a rule wants DKIM itself": refused(
        lambda: above(letter(), "Authentication-Results: mx.example.net; dkim=pass header.d=example.com"),
        "DKIM",
        peer=RELAY,
    ),
}


@pytest.mark.parametrize("name", BELIEVED)
def test_our_relays_word_is_taken(gate: Gate, name: str) -> None:
    """It has looked at the mail before us, and says so in any form that RFC 8601 allows."""
    gate.expect(BELIEVED[name])


@pytest.mark.parametrize("name", DOUBTED)
def test_nobody_elses_word_is_taken(gate: Gate, name: str) -> None:
    """What stands below our relay's line, or came past it, the sender may have written."""
    gate.expect(DOUBTED[name])


def test_a_relay_saw_the_server_that_we_cant_see(gate: Gate) -> None:
    """To a signature without a recipient, the relay's SPF result is as good as our own."""
    spf = "spf=pass smtp.mailfrom=bounces@relayed.example"
    raw = signed(
        letter(From=ANA, To="bob@example.com"),
        domain="relayed.example",
        names="from:subject:date:message-id:content-type",
    )
    case = accepted(
        lambda: above(raw, f"Authentication-Results: {PASS}; {spf}"),
        peer=RELAY,
        mail_from=ANA,
        evidence=EVIDENCE,
    )

    assert gate.expect(case)
    assert Verdict.ACCEPTED is case.verdict

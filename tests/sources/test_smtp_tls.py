"""STARTTLS: what was said in clear counts for nothing."""

from __future__ import annotations

import smtplib
from typing import TYPE_CHECKING

import pytest

from tests.fix_smtp import PATIENCE

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from tests.fix_smtp import Running

LARGE = b"Subject: large\r\n\r\n" + (b"x" * 76 + b"\r\n") * 40_000


def test_a_mail_goes_through_tls(
    smtp_source: Callable[..., Running], tls: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    """A large mail arrives whole, and TLS is not offered a second time."""
    source = smtp_source(tls=tls)
    with smtplib.SMTP("127.0.0.1", source.address[1], timeout=PATIENCE) as client:
        client.ehlo()
        assert client.has_extn("starttls")
        client.starttls(context=trusting)
        client.ehlo()
        assert not client.has_extn("starttls")
        client.sendmail("alice@example.org", ["specs@example.net"], LARGE)
    assert source.taker.taken[0].raw == LARGE


def test_commands_injected_before_tls_are_dropped(
    smtp_source: Callable[..., Running], tls: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    """What a man in the middle puts behind STARTTLS is never obeyed inside TLS (CVE-2011-0411)."""
    client = smtp_source(tls=tls).connect().greet()
    client.say("STARTTLS", "EHLO mallory.test", "MAIL FROM:<mallory@example.org>")
    assert client.hear().startswith("220 2.0.0 ")
    client.shake_hands(trusting)
    assert client.ask("RSET").startswith("250 2.0.0 ")
    assert client.ask("MAIL FROM:<alice@example.org>").startswith("503 ")
    assert client.ask("EHLO client.test").startswith("250 ")
    assert client.ask("MAIL FROM:<alice@example.org>").startswith("250 ")


def test_a_transaction_does_not_survive_the_change_to_tls(
    smtp_source: Callable[..., Running], tls: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    """Greeting and sender have to be given anew (RFC 3207 4.2)."""
    client = smtp_source(tls=tls).connect().greet()
    client.ask("MAIL FROM:<mallory@example.org>")
    client.ask("STARTTLS")
    client.shake_hands(trusting).greet_again()
    assert client.ask("RCPT TO:<specs@example.net>").startswith("503 ")
    assert client.ask("STARTTLS").startswith("503 ")


def test_a_handshake_that_never_comes_is_not_waited_for(
    smtp_source: Callable[..., Running], tls: ssl.SSLContext
) -> None:
    """A client that falls silent after STARTTLS loses its place in time."""
    source = smtp_source(tls=tls, handshake_timeout=0.1)
    client = source.connect().greet()
    client.ask("STARTTLS")
    assert client.is_closed()
    source.settle()


def test_a_handshake_under_way_gives_way(
    smtp_source: Callable[..., Running], tls: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    """Half a handshake is no progress, and is cut off without a word of SMTP in it."""
    source = smtp_source(tls=tls, connections=2)
    half = source.connect().greet()
    half.ask("STARTTLS")
    half.send(b"\x16\x03\x01\x02\x00\x01")
    inside = source.connect().greet()
    inside.ask("STARTTLS")
    inside.shake_hands(trusting).greet_again()

    source.connect().greet()

    assert half.is_closed()
    assert inside.ask("NOOP").startswith("250 ")


def test_a_session_in_tls_hears_why_it_gives_way(
    smtp_source: Callable[..., Running], tls: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    """The last reply is inside TLS like those before, and its place is free without the peer's consent."""
    source = smtp_source(tls=tls, connections=1, linger=600)
    idle = source.connect().greet()
    idle.ask("STARTTLS")
    idle.shake_hands(trusting).greet_again()
    (conversation,) = source.door._guests

    source.connect().greet()

    source.wait_for_the_end_of(conversation)
    assert idle.hear().startswith("421 4.3.2 ")


def test_a_handshake_of_nonsense_ends_the_connection(
    smtp_source: Callable[..., Running], tls: ssl.SSLContext
) -> None:
    """Octets that are no TLS get no SMTP reply, and hold no place."""
    source = smtp_source(tls=tls)
    client = source.connect().greet()
    client.ask("STARTTLS")
    client.say("EHLO client.test", "MAIL FROM:<alice@example.org>")
    said = client.file.read()
    assert b"250" not in said
    source.settle()


@pytest.mark.parametrize("moment", ["before", "after"])
def test_hanging_up_around_the_handshake_holds_no_place(
    moment: str, smtp_source: Callable[..., Running], tls: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    """A connection that ends in or after the change to TLS is forgotten."""
    source = smtp_source(tls=tls)
    client = source.connect().greet()
    client.ask("STARTTLS")
    if moment == "after":
        client.shake_hands(trusting)
    client.close()
    source.settle()


def test_draining_reaches_into_tls(
    smtp_source: Callable[..., Running], tls: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    """Inside TLS, and in the middle of its handshake, the end comes in time all the same."""
    source = smtp_source(tls=tls, linger=0.1)
    inside, outside = source.connect().greet(), source.connect().greet()
    outside.ask("STARTTLS")
    inside.ask("STARTTLS")
    inside.shake_hands(trusting).greet_again()

    source.do(source.server.drain(0.2))

    assert inside.hear().startswith("421 4.3.2 ")
    assert outside.is_closed()
    source.settle()

"""Whose address it is: ours with its route, and the sender's without a doubt."""

from __future__ import annotations

from email import policy

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from daemon.mail import Addresses
from tests.fix_mails import read

ROUTES = {
    "the tag in To": (b"To: specs+o=r@example.com\r\n", (), ("o=r",)),
    "our address by its case": (b"To: SPECS+O=r@Example.COM\r\n", (), ("O=r",)),
    "several headers, each tag once": (
        b"To: Bob <bob@x.org>, <specs+o=r@example.com>\r\nDelivered-To: specs+O=R@example.com\r\n",
        (),
        ("o=r",),
    ),
    "two different tags": (
        b"Cc: specs+b=c@example.com\r\nTo: specs+a=b@example.com\r\n",
        (),
        ("a=b", "b=c"),
    ),
    "the envelope when no header has a tag": (b"To: list@x.org\r\n", ("specs+o=r@example.com",), ("o=r",)),
    "a blind copy beside an open one": (b"To: specs@example.com\r\n", ("specs+o=r@example.com",), ("o=r",)),
    "headers before the envelope": (
        b"X-Original-To: specs+a=b@example.com\r\n",
        ("specs+c=d@example.com",),
        ("a=b",),
    ),
    "nobody else's tag": (b"To: bob+o=r@example.com\r\n", ("specs@example.com",), ()),
    "no tag in a display name": (b'To: "specs+o=r@example.com" <bob@x.org>\r\n', ("specs@example.com",), ()),
}


@pytest.mark.parametrize("case", ROUTES)
def test_the_route_is_the_tag_of_our_own_address(case: str) -> None:
    """By SMTP and from a mailbox alike, a mail goes where its address says."""
    headers, rcpt_to, expected = ROUTES[case]

    assert expected == read(headers + b"\r\nx", *(rcpt_to or ("specs@example.com",))).routes


def test_our_addresses_take_any_tag_and_nobody_elses_mail() -> None:
    """RCPT is answered by address, whatever its tag or its case."""
    ours = Addresses.of([" Specs@Example.com"])

    assert tuple(
        ours.route(address) for address in ("specs@EXAMPLE.com", "Specs+x@example.com", "a@example.com")
    ) == ("", "x", None)
    assert not ours.accepts("specs@example.com.evil.test")
    assert Addresses.of([]).accepts("anyone@anywhere.test")


PLAIN = [
    b"d@e.f",
    b"<d@E.F>",
    b"D <d@e.f>",
    b"D. E. F. <d@e.f>",
    b'"Doe, D" <d@e.f>',
    b'"d@e.f" <d@e.f>',
    b"=?utf-8?q?Doe=2C_D?= <d@e.f>",
    b"=?iso-8859-1?q?D=E9?= <d@e.f>",
    b"D\xc3\xa9 <d@e.f>",
    b"D\xe9 <d@e.f>",
    b"d@e.f (Cron Daemon)",
    b'"D"\r\n <d@e.f>',
]


@pytest.mark.parametrize("value", PLAIN)
def test_a_plain_from_names_its_sender(value: bytes) -> None:
    """However a mailer writes the name, there is one address, and its domain is in lower case."""
    assert read(b"From: " + value + b"\r\n\r\n").sender == "d@e.f"


DOUBTFUL = [
    b"a@b.c <d@e.f>",
    b'"a@b.c" <d@e.f>',
    b"alice@example.org(<evil@evil.test>",
    b"=?utf-8?q?<a=40b.c>?= <d@e.f>",
    b"=?utf-8?q?a=40b.c?= <d@e.f>",
    b"d@e.f (=?utf-8?q?=29_<a=40b.c>?=)",
    b"=?utf-8?q?d=40e.f?=",
    b"a@b.c, d@e.f",
    b"A: d@e.f;",
    b"A (b) <d@e.f>",
    b"Doe, D <d@e.f>",
    b"<d@e.f> x",
    b"<@a.b:d@e.f>",
    b"d@e.f <>",
    b"<d@e.f><a@b.c>",
    b'"d x"@e.f',
    b"d@[127.0.0.1]",
    b"d@e.f.",
    b"d..d@e.f",
    b"d@e@f",
    b"d@e\x00.f",
    b"\x00 <d@e.f>",
    b"d",
    b"",
    "\uff44@e.f".encode(),
    b"d" * 65 + b"@e.f",
    b"d@" + b"e" * 260,
    b"D" * 1000 + b" <d@e.f>",
]


@pytest.mark.parametrize("value", DOUBTFUL)
def test_a_from_that_can_be_read_otherwise_names_nobody(value: bytes) -> None:
    """Nobody is entitled by a header that another mail program would show or check differently."""
    assert read(b"From: " + value + b"\r\n\r\n").sender is None


@pytest.mark.parametrize(
    "second", [b"From: a@b.c\r\n", b"FROM : a@b.c\r\n", b"from\t:a@b.c\r\n", b"X: y\rFrom: a@b.c\r\n"]
)
def test_a_second_from_names_nobody(second: bytes) -> None:
    """Which of two the sender is nobody can say, however the second one hides."""
    assert read(b"From: d@e.f\r\n" + second + b"\r\n").sender is None
    assert read(second + b"From: d@e.f\r\n\r\n").sender is None


def newer(value: str) -> list[str]:
    """The addresses of a From header as the library's header registry reads them."""
    try:
        addresses = policy.default.header_factory("from", value.strip()).addresses
    except (AttributeError, IndexError):  # its own failure on such as ".<d@e.f>" names nobody else
        reject()
    return [f"{each.username}@{each.domain.lower()}" for each in addresses]


PIECES = ["d@e.f", "<d@e.f>", '"x"', "=?utf-8?q?a=40b?="]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from([*PIECES, *'ab@.<>()",;:\\ []=?'])).map("".join))
def test_a_sender_is_what_the_newer_parser_reads_too(value: str) -> None:
    """Any header we accept reads alike in the library's other, stricter parser."""
    sender = read(b"From: " + value.encode() + b"\r\n\r\n").sender

    if sender:
        assert [sender] == newer(value)


def test_a_sender_beyond_ascii_is_taken_as_written() -> None:
    """SMTPUTF8 addresses are addresses."""
    assert read("From: É <josé@exämple.org>\r\n\r\n".encode()).sender == "josé@exämple.org"

"""Which mail it is: the same by every way it comes, another with every word that differs."""

from __future__ import annotations

import base64
import re
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.mail import raw_id
from tests.fix_mails import HEADERS, multipart, part, read, single

YAML = b"meta:\r\n  project: \xc3\x89t\xc3\xa9\r\n"
ATTACHED = (b"Content-Type: application/yaml", b'Content-Disposition: attachment; filename="spec.yaml"')
MAIL = multipart(
    part(b"Hello,\r\n\r\nplease build it.\r\n", b"Content-Type: text/plain; charset=utf-8"),
    part(base64.encodebytes(YAML).replace(b"\n", b"\r\n"), *ATTACHED, b"Content-Transfer-Encoding: base64"),
)

#: Never change a line of this: these ids stand in databases.
GOLDEN = {
    "plain": (
        single(b"Hi\r\n"),
        "f0965cd0-c054-5737-9dca-f070ddfbc7c8",
        "aca71a0a-80ec-500d-a84f-3d4c8b17c30f",
    ),
    "attachment": (MAIL, "86a6999d-2a64-5db0-b75d-d07de6847728", "6a38909a-016a-5e14-b9aa-4878acd3b0fd"),
    "latin-1 in 8bit": (
        single(b"d\xe9j\xe0\r\n", b"Content-Type: text/plain; charset=iso-8859-1"),
        "efbe6ec4-dd40-53c6-b6bc-eef20a2c29ff",
        "fc87279a-e03e-544c-89fc-8dc57b877304",
    ),
    "encoded subject": (
        single(b"x", b"Subject: =?utf-8?b?w4k=?= =?iso-8859-1?q?t=E9?="),
        "13fb32e7-b56c-59ef-b011-500305f6d39f",
        "6afb40c9-ee52-5981-825b-b9c02b473ec2",
    ),
    "encoded name": (
        multipart(part(b"x", b"Content-Disposition: attachment; filename*=utf-8''%C3%89.md")),
        "779bc81e-f2bf-5b59-8b62-eb552842d91e",
        "1b4b4ae8-543e-5a3e-8a46-e57faf0fd45f",
    ),
    "forwarded": (
        multipart(part(b"Subject: x\r\n\r\nInside.", b"Content-Type: message/rfc822")),
        "d7d587b2-8102-5a79-87bb-a30d99638e36",
        "1c1b966f-c64e-517c-8e67-4be818eac56c",
    ),
    "routed": (
        single(b"x", headers=b"To: specs+Owner=Name@example.com\r\n"),
        "c4e98410-6393-574a-a282-708ce2b4340b",
        "2a84c98a-9aa8-5e21-bd5d-7a8121484432",
    ),
    "no headers": (b"\r\nx", "3c4dc83c-c65b-5dd9-9d13-874b17008ede", "35c1b247-f1b8-531a-9e83-bc75cadf6ad3"),
    "empty": (b"", "68b593bd-f5f5-570e-a632-ec6932bdd986", "3a27e957-7ec8-5683-a06a-c216b98df040"),
    "two From": (
        b"From: a@b.c\r\nFrom: d@e.f\r\n\r\nbegin 644 a\r\n#0V%T\r\n`\r\nend\r\n",
        "3a4bcae4-b6c8-57c9-af34-5a90cb0c86f5",
        "e8b40247-8357-50a7-a540-b2a07bf842ed",
    ),
}


@pytest.mark.parametrize("case", GOLDEN)
def test_ids_stay_what_they_are_for_ever(case: str) -> None:
    """A mail that was taken years ago is known again by every later version."""
    raw, by_bytes, by_content = GOLDEN[case]

    mail = read(raw)

    assert (UUID(by_bytes), UUID(by_content)) == (mail.raw_id, mail.content_id)


def received(raw: bytes) -> bytes:
    """``raw`` after another hop, and delivered to a mailbox."""
    trace = b"Return-Path: <alice@example.org>\r\nDelivered-To: specs@example.com\r\n"
    return trace + b"Received: from a by b; Mon, 5 Feb 2024 10:00:02 +0100\r\n" + raw


def refolded(raw: bytes) -> bytes:
    """``raw`` with its first headers folded wherever they have a space."""
    head, gap, body = re.split(rb"(\r?\n\r?\n)", raw, maxsplit=1)
    return re.sub(rb"(?<=[^:\s]) (?=\S)", b"\r\n ", head) + gap + body


def with_lf(raw: bytes) -> bytes:
    """``raw`` as a Unix file holds it."""
    return raw.replace(b"\r\n", b"\n")


def recoded(raw: bytes) -> bytes:
    """``raw`` with its subject as another mailer encodes it."""
    return raw.replace(b"Subject: Hello", b"Subject: =?us-ascii?q?Hel?= =?us-ascii?b?bG8=?=")


def spaced(raw: bytes) -> bytes:
    """``raw`` with blank lines at its end, as a mailbox file adds them."""
    return raw + b"\r\n\r\n"


WAYS = [received, refolded, with_lf, recoded, spaced]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("raw", [MAIL, single(b"Hi\r\nthere\r\n")], ids=["attachment", "plain"])
def test_the_same_mail_by_another_way_is_the_same_mail(raw: bytes, way: object) -> None:
    """Neither hops nor mailboxes nor folding make another mail of a mail."""
    assert callable(way)
    assert way(raw) != raw
    assert read(raw).content_id == read(way(raw)).content_id


def test_a_route_from_the_envelope_and_from_the_mailbox_are_one() -> None:
    """A blind copy has its tag in RCPT by SMTP and in Delivered-To by IMAP."""
    by_smtp = read(MAIL, "specs+owner=name@example.com")
    by_imap = read(b"Delivered-To: SPECS+Owner=Name@example.com\r\n" + MAIL)

    assert by_smtp.content_id == by_imap.content_id
    assert by_smtp.content_id != read(MAIL).content_id


CHANGES = {
    "another sender": (b"alice@", b"alicia@"),
    "another date": (b"10:00:00", b"10:00:01"),
    "another subject": (b"Hello\r\nDate", b"Hallo\r\nDate"),
    "another message id": (b"<1@", b"<2@"),
    "another text": (b"build", b"rebuild"),
    "another name": (b"spec.yaml", b"specs.yaml"),
    "another type": (b"application/yaml", b"application/json"),
    "another content": (base64.encodebytes(YAML)[:8], base64.encodebytes(b"META" + YAML)[:8]),
    "no name": (b'; filename="spec.yaml"', b""),
}


@pytest.mark.parametrize("case", CHANGES)
def test_another_mail_is_another_mail(case: str) -> None:
    """Whatever the sender wrote differently counts; Message-ID alone never does."""
    old, new = CHANGES[case]

    assert old in MAIL
    assert read(MAIL).content_id != read(MAIL.replace(old, new)).content_id


def test_content_can_not_move_between_fields() -> None:
    """Lengths go before values: two mails whose words merely line up are not one."""
    first = multipart(part(b"b", b"Content-Disposition: attachment; filename=xa"))
    second = multipart(part(b"ab", b"Content-Disposition: attachment; filename=x"))

    assert read(first).content_id != read(second).content_id


def test_an_attachment_s_blank_lines_are_its_own() -> None:
    """Only the mail's own text is settled; a file is what it is."""
    assert (
        read(multipart(part(b"x\r\n", *ATTACHED))).content_id
        != read(multipart(part(b"x", *ATTACHED))).content_id
    )


def test_bytes_have_one_id_whatever_their_line_ends() -> None:
    """The same bytes from a file and off the wire are the same bytes."""
    assert raw_id(MAIL) == raw_id(with_lf(MAIL)) == raw_id(MAIL.replace(b"\r\n", b"\r"))
    assert raw_id(MAIL) != raw_id(received(MAIL))


WORDS = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(WORDS, min_size=1, max_size=6),
    st.binary(max_size=80),
    st.lists(st.sampled_from(WAYS), max_size=4),
)
def test_no_way_changes_a_mail(subject: list[str], content: bytes, ways: list[object]) -> None:
    """Any words, any file, any number of relays: one mail."""
    spec = part(base64.b64encode(content), *ATTACHED, b"Content-Transfer-Encoding: base64")
    raw = multipart(part(b"Hi"), spec, headers=HEADERS.replace(b"Hello", " ".join(subject).encode()))
    changed = raw
    for way in ways:
        assert callable(way)
        changed = way(changed)

    assert read(raw).content_id == read(changed).content_id

"""What of a body's reading is fixed by the signature, and what somebody else could change."""

from __future__ import annotations

import time
from typing import Any

import pytest

from daemon.trust.signature.framing import TEXT_MAX, flaws

#: What Gmail signs of the headers that matter here, what Microsoft 365 does, and what a careful signer does.
GMAIL = frozenset({"mime-version"})
MICROSOFT = frozenset({"mime-version", "content-type"})
ALL = frozenset({"content-type", "content-transfer-encoding", "content-disposition"})

PARTS = "--B\r\nContent-Type: text/plain\r\n\r\nhello\r\n--B--\r\n"
MIXED = "multipart/mixed; boundary=B"
TEXT = "# Plan\r\n- [ ] a = 1\r\n"


def found(body: str | bytes, signed: frozenset[str] = GMAIL, **headers: str) -> str:
    """The flaws, in one line."""
    octets = body.encode() if isinstance(body, str) else body
    return "; ".join(
        flaws({name.replace("_", "-"): value for name, value in headers.items()}, octets, signed)
    )


@pytest.mark.parametrize("subtype", ["mixed", "alternative", "related", "MIXED"])
def test_a_body_of_parts_fixes_its_framing(subtype: str) -> None:
    """When its first line opens and its last closes; Gmail's mail needs no more."""
    assert not found(PARTS, content_type=f'multipart/{subtype}; boundary="B"')
    assert not found(f"{PARTS}\r\n\r\n", content_type=MIXED, content_transfer_encoding="8bit")


@pytest.mark.parametrize(
    "value",
    [
        "multipart/digest; boundary=B",
        "multipart/signed; boundary=B",
        "multipart/mixed",
        "multipart/mixed; boundary=C",
        "multipart/mixed; boundary=B; boundary=C",
        "multipart/mixed; boundary*=''B",
        'multipart/mixed; boundary="\\B"',
        "multipart/mixed; boundary=B--",
        "multipart/mixed/x; boundary=B",
        'multipart/mixed; x="a\\"; boundary=B',
        'multipart/mixed; x="; boundary=B"',
    ],
)
def test_an_unsigned_type_that_says_otherwise_is_seen(value: str) -> None:
    """A digest makes messages of parts; another boundary makes one part of two."""
    assert "Content-Type is not signed" in found(PARTS, content_type=value)
    assert not found(PARTS, ALL, content_type=value)


@pytest.mark.parametrize(
    "body",
    [
        f"preamble\r\n{PARTS}",
        f"\r\n{PARTS}",
        f"{PARTS}epilogue\r\n",
        PARTS.replace("--B--", ""),
        "--B\r\n",
        "",
        "--B--",
    ],
)
def test_a_body_that_does_not_begin_and_end_with_its_boundary_is_seen(body: str) -> None:
    """What stands before or behind could be anything."""
    assert "Content-Type is not signed" in found(body, content_type=MIXED)


def test_a_boundary_with_spaces_fixes_nothing() -> None:
    """A relaxed signature passes for any number of them, and delimiters must match to the letter."""
    body = PARTS.replace("--B", "--a b")

    assert found(body, content_type='multipart/mixed; boundary="a b"')


def test_parts_can_not_be_made_a_text() -> None:
    """Else what was attached, or quoted in HTML, becomes what the sender wrote."""
    assert "looks as if it had parts" in found(PARTS)
    assert "looks as if it had parts" in found(
        f"This is MIME.\r\n{PARTS}\r\nepilogue", content_type="text/plain"
    )
    assert not found("---\r\nrepo: a/b\r\n---\r\n# Plan\r\n-----\r\n--\r\nAna\r\n")


@pytest.mark.parametrize(
    ("headers", "fits"),
    [
        ({}, True),
        ({"content_type": "text/plain"}, True),
        (
            {
                "content_type": 'text/plain; charset="UTF-8"; format=flowed',
                "content_transfer_encoding": "7bit",
            },
            True,
        ),
        ({"content_type": "text/plain; charset=iso-8859-1"}, True),
        ({"content_type": "text/plain; charset=utf-7"}, False),
        ({"content_type": "text/plain; charset=utf-16"}, False),
        ({"content_type": "text/plain; charset=iso-2022-jp"}, False),
        ({"content_type": "text/plain; name=spec.yaml"}, False),
        ({"content_type": "text/plain; name*0=spec; name*1=.yaml"}, False),
        ({"content_type": "text/html"}, False),
        ({"content_type": "application/yaml"}, False),
        ({"content_type": "message/rfc822"}, False),
        ({"content_disposition": "inline"}, True),
        ({"content_disposition": "attachment"}, False),
        ({"content_disposition": "inline; filename=spec.yaml"}, False),
        ({"content_transfer_encoding": "8bit"}, True),
        ({"content_transfer_encoding": "quoted-printable"}, False),
        ({"content_transfer_encoding": "base64"}, False),
        ({"content_transfer_encoding": "x-uuencode"}, False),
    ],
)
def test_an_unsigned_text_counts_as_plain_text_alone(headers: dict[str, Any], fits: bool) -> None:  # noqa: FBT001
    """No name, no encoding, no other charset."""
    assert (not found(TEXT, **headers)) == fits


def test_a_charset_must_not_change_letters() -> None:
    """Those that agree on ASCII don't on the rest; UTF-8 is what nearly everybody means."""
    body = "# L'été\r\n".encode()

    assert not found(body, content_type="text/plain; charset=utf-8", content_transfer_encoding="8bit")
    assert "charset" in found(body, content_type="text/plain; charset=iso-8859-1")


def test_an_unsigned_text_is_no_larger_than_a_specification() -> None:
    """It is looked through line by line."""
    assert not found("a b\r\n" * 1000)
    assert "over 1 MiB" in found("a b\r\n" * (TEXT_MAX // 4))


QUOTED = "# Caf=C3=A9\r\nA line that is longer than it may be, and so it goes on in the =\r\nnext.\r\n"
BASE64 = "IyBQbGFuCi0gWyBdIGEK\r\n"


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (TEXT, "7bit"),
        ("coverage=80\r\n", "7bit"),
        ("size=20\r\n", "8bit"),
        ("a line without that sign\r\n", "quoted-printable"),
        ("a line without that sign\r\n", "7bit"),
        (QUOTED, "quoted-printable"),
        ("a =3D 1\r\n", "Quoted-Printable"),
        (BASE64, "base64"),
        ("", "quoted-printable"),
    ],
)
def test_microsofts_texts_are_read_as_they_were_written(body: str, encoding: str) -> None:
    """It signs the type of a text and not its encoding, so the text must show it."""
    assert not found(body, MICROSOFT, content_type="text/plain", content_transfer_encoding=encoding)


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (TEXT, "quoted-printable"),
        (TEXT, "base64"),
        (TEXT, "x-uuencode"),
        ("coverage=80\r\n", "quoted-printable"),
        ("a line without that sign\r\n", "base64"),
        (QUOTED, "7bit"),
        (QUOTED, "base64"),
        (f"{QUOTED}a = b\r\n", "quoted-printable"),
        (BASE64, "7bit"),
        (BASE64, "quoted-printable"),
    ],
)
def test_a_body_has_but_one_encoding_that_is_believed(body: str, encoding: str) -> None:
    """So the same signed octets never make two contents; signed, the header decides."""
    assert "Transfer-Encoding" in found(
        body, MICROSOFT, content_type="text/plain", content_transfer_encoding=encoding
    )
    assert not found(body, ALL, content_type="text/plain", content_transfer_encoding=encoding)


@pytest.mark.parametrize("signed", [GMAIL, MICROSOFT])
def test_a_body_of_parts_is_not_encoded(signed: frozenset[str]) -> None:
    """RFC 2045, 6.4: each part says for itself how it is."""
    for encoding, fits in (("", True), ("7bit", True), ("binary", True), ("base64", False), ("x", False)):
        assert (not found(PARTS, signed, content_type=MIXED, content_transfer_encoding=encoding)) == fits


def test_an_attachment_can_not_be_made_of_a_text() -> None:
    """A file's name makes it another mail, with its type signed or not."""
    assert "Content-Disposition" in found(TEXT, MICROSOFT, content_disposition="attachment; filename=spec.md")
    assert not found(TEXT, ALL, content_disposition="attachment; filename=spec.md")


@pytest.mark.parametrize(
    "line", ["--B", "Content-Type: application/yaml", "X-Id: 1", "Content-Type: a/b;\r\n name=c"]
)
def test_the_headers_of_a_part_end_with_an_empty_line(line: str) -> None:
    """To a relaxed signature white space is one; to a parser the document behind goes on as headers."""
    body = PARTS.replace("--B\r\n", f"--B\r\n{line}\r\n \r\nmeta: here\r\n", 1)

    assert "empty line" in found(body, ALL, content_type=MIXED)
    assert not found(body.replace("\r\n \r\n", "\r\n\r\n"), ALL, content_type=MIXED)
    assert not found("meta:\r\n  a: 1\r\n  \r\n-- \r\n \r\n", ALL)


@pytest.mark.parametrize(
    "filling", ["Content-A: b\r\n", "--a\r\n", " \r\n", "=3D", "= ", "QUJD", "QUJD\r\n", "\t", "\r\n"]
)
def test_no_body_takes_long(filling: str) -> None:
    """Each is gone over a few times, whatever is in it; this machine has other work too."""
    body = (filling * ((1 << 20) // len(filling))).encode() + b"\n \r\n"
    started = time.process_time()

    for signed in (GMAIL, MICROSOFT):
        found(body, signed, content_type="text/plain")
        found(body, signed, content_type=MIXED)

    assert time.process_time() - started < 2

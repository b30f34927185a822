"""What the libraries stumble over is read all the same, without what they would have said."""

from __future__ import annotations

import pytest

from tests.fix_mails import HEADERS, multipart, part, read, single

NAMES = {
    "pieces of a name, one without a number": b"Content-Type: text/plain; name*=x; name*1=y",
    "a name in a codec of no text": b"Content-Disposition: attachment; filename*=idna''%E9",
    "a charset with NUL": b"Content-Type: text/plain; charset*=a%00b''x",
    "a file's name with a charset of NUL": b"Content-Disposition: attachment; filename*=a\0b''x",
}
BOUNDARIES = {
    "pieces of a boundary, one without a number": b"boundary*=x; boundary*1=y",
    "a boundary in a charset with NUL": b"boundary*=a\0b''%3D_b",
    "a boundary in a codec of no text": b"boundary*=idna''%E9",
}


@pytest.mark.parametrize("field", NAMES.values(), ids=NAMES)
def test_a_part_that_mail_parser_stumbles_over_hides_nothing(field: bytes) -> None:
    """Neither who sent the mail, nor when, nor what else is in it."""
    mail = read(multipart(part(b"odd", field), part(b"even")))

    assert mail.sender == "alice@example.org"
    assert mail.sent_at
    assert [each.content for each in mail.parts] == [b"odd", b"even"]
    assert [text for text in mail.defects if text.startswith("mail-parser: ")]


def test_a_report_for_a_mail_is_a_leaf() -> None:
    """Even one of fields that open a multipart, in which mail-parser finds no text to join."""
    mail = read(
        single(b"Content-Type: multipart/mixed; boundary=b\r\n", b"Content-Type: message/delivery-status")
    )

    assert mail.sender == "alice@example.org"
    assert [each.media_type for each in mail.parts] == ["message/delivery-status"]


@pytest.mark.parametrize("word", [b"=?utf-8?b?A?=", b"=?utf-8?b?YWJjZ?="])
def test_a_from_that_mail_parser_stumbles_over_names_nobody(word: bytes) -> None:
    """Whoever can't be read alike by all gets no rights, and is told so."""
    mail = read(single(headers=HEADERS.replace(b"Alice", word)))

    assert mail.sender is None
    assert mail.body == "Hi\n"
    assert [text for text in mail.defects if text.startswith("mail-parser: HeaderParseError")]


@pytest.mark.parametrize("parameter", BOUNDARIES.values(), ids=BOUNDARIES)
def test_a_boundary_that_the_library_stumbles_over_is_none(parameter: bytes) -> None:
    """What nobody can divide is one part, as it was sent."""
    body = b"--=_b\r\n\r\nx\r\n--=_b--\r\n"

    mail = read(single(body, b"Content-Type: multipart/mixed; " + parameter))

    assert mail.sender == "alice@example.org"
    assert [each.content for each in mail.parts] == [body]

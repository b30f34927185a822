"""What a signature leaves open about the body: where its parts begin, and how they are to be read."""

from __future__ import annotations

from base64 import encodebytes
from typing import TYPE_CHECKING

import pytest

from tests.entitled.case import Case, accepted, refused
from tests.entitled.letter import (
    BODY,
    BOUNDARY,
    SPEC,
    TEXT,
    attached,
    below,
    changed,
    crlf,
    letter,
    signed,
    text,
)

if TYPE_CHECKING:
    from tests.fix_gate import Gate

#: Signs all that must be, and nothing about the body's form, as Gmail does.
OPEN = "from:to:subject:date:message-id"
#: Signs the type alone.
TYPED = f"{OPEN}:content-type"

#: A letter in a letter, framed by another boundary.
INNER = attached(SPEC, "inner")
MIXED = f'multipart/mixed; boundary="{BOUNDARY}"'


def typed(raw: bytes, content_type: str) -> bytes:
    """The mail under another Content-Type, put there after signing."""
    head, blank, body = raw.partition(b"\r\n\r\n")
    lines = [
        b"Content-Type: " + content_type.encode() if line.lower().startswith(b"content-type:") else line
        for line in head.split(b"\r\n")
    ]
    return b"\r\n".join(lines) + blank + body


def as_base64(body: str) -> str:
    """``body`` as a transfer encoding hides it."""
    return crlf(encodebytes(body.encode()).decode())


#: All signed by a domain that leaves Content-Type open, then swapped where it says so.
OPENED: dict[str, Case] = {
    "another boundary, which is in the text": refused(
        lambda: typed(
            signed(letter(f"--{BOUNDARY}\r\n\r\n{INNER}\r\n--{BOUNDARY}--\r\n"), names=OPEN),
            'multipart/mixed; boundary="inner"',
        ),
        "Content-Type",
    ),
    "a digest, whose parts are mails": refused(
        lambda: typed(signed(names=OPEN), f'multipart/digest; boundary="{BOUNDARY}"'), "Content-Type"
    ),
    "a form": refused(
        lambda: typed(signed(names=OPEN), f'multipart/form-data; boundary="{BOUNDARY}"'), "Content-Type"
    ),
    "text out of parts": refused(lambda: typed(signed(names=OPEN), "text/plain"), "Content-Type"),
    "YAML out of text": refused(
        lambda: typed(signed(text(crlf(SPEC)), names=OPEN), "application/yaml"), "Content-Type"
    ),
    "a file out of text": refused(
        lambda: typed(signed(text(crlf(SPEC)), names=OPEN), 'text/plain; name="spec.yaml"'), "Content-Type"
    ),
    "HTML out of text": refused(lambda: typed(signed(text(), names=OPEN), "text/html"), "Content-Type"),
    "a mail out of text": refused(
        lambda: typed(signed(text(f"\r\n{TEXT}"), names=OPEN), "message/rfc822"), "Content-Type"
    ),
    "base64 out of text": refused(
        lambda: below(signed(text(as_base64(TEXT)), names=OPEN), "Content-Transfer-Encoding: base64"),
        "the text is encoded",
    ),
    "quoted-printable out of text": refused(
        lambda: below(signed(text(), names=OPEN), "Content-Transfer-Encoding: quoted-printable"),
        "the text is encoded",
    ),
    "an attachment out of text": refused(
        lambda: below(
            signed(text(crlf(SPEC)), names=OPEN), 'Content-Disposition: attachment; filename="spec.yaml"'
        ),
        "Content-Disposition",
    ),
    "words before the first delimiter": refused(
        lambda: signed(letter(f"Hello\r\n{BODY}"), names=OPEN), "Content-Type"
    ),
    "a blank line before the first delimiter": refused(
        lambda: signed(letter(f"\r\n{BODY}"), names=OPEN), "Content-Type"
    ),
    "words behind the last delimiter": refused(
        lambda: signed(letter(f"{BODY}Bye\r\n"), names=OPEN), "Content-Type"
    ),
    "a last delimiter that never comes": refused(
        lambda: signed(letter(BODY.replace(f"--{BOUNDARY}--", "")), names=OPEN), "Content-Type"
    ),
    "a first delimiter that is longer": refused(
        lambda: typed(signed(names=OPEN), f'multipart/mixed; boundary="{BOUNDARY[:-1]}"'), "Content-Type"
    ),
    "two boundaries": refused(
        lambda: typed(signed(names=OPEN), f'{MIXED}; boundary="inner"'), "Content-Type"
    ),
    "a boundary in pieces": refused(
        lambda: typed(signed(names=OPEN), 'multipart/mixed; boundary*0="=_f"; boundary*1="2a9"'),
        "Content-Type",
    ),
    "no boundary": refused(lambda: typed(signed(names=OPEN), "multipart/mixed"), "Content-Type"),
}

#: Content-Type is signed, what else decides about the bytes is not.
HALF_OPEN: dict[str, Case] = {
    "quoted-printable out of signed text": refused(
        lambda: below(
            signed(text(f"{TEXT}x=41\r\n"), names=TYPED), "Content-Transfer-Encoding: quoted-printable"
        ),
        "Content-Transfer-Encoding",
    ),
    "base64 out of signed text": refused(
        lambda: below(signed(text(), names=TYPED), "Content-Transfer-Encoding: base64"),
        "Content-Transfer-Encoding",
    ),
    "signed text out of base64": refused(
        lambda: signed(text(as_base64(TEXT)), names=TYPED), "Content-Transfer-Encoding"
    ),
    "an attachment out of signed text": refused(
        lambda: below(
            signed(text(crlf(SPEC)), names=TYPED), 'Content-Disposition: attachment; filename="spec.yaml"'
        ),
        "Content-Disposition",
    ),
    "base64 out of signed parts": refused(
        lambda: below(signed(names=TYPED), "Content-Transfer-Encoding: base64"), "Content-Transfer-Encoding"
    ),
}

#: What leaves the form open and is framed by its own, signed, first and last line.
CLOSED: dict[str, Case] = {
    "parts, as their sender framed them": accepted(lambda: signed(names=OPEN)),
    "parts, their boundary written otherwise": accepted(
        lambda: typed(signed(names=OPEN), f'Multipart/Mixed;\r\n\tBOUNDARY="{BOUNDARY}"')
    ),
    "alternatives": accepted(
        lambda: signed(letter(Content_Type=f'multipart/alternative; boundary="{BOUNDARY}"'), names=OPEN)
    ),
    "parts in 8 bits": accepted(lambda: signed(letter(Content_Transfer_Encoding="8bit"), names=OPEN)),
    "blank lines behind the last delimiter": accepted(lambda: signed(letter(f"{BODY}\r\n\r\n"), names=OPEN)),
    "text": accepted(lambda: signed(text(), names=OPEN)),
    "text, of no other type": accepted(lambda: signed(text(Content_Type=None), names=OPEN)),
    "a preamble, where the type is signed": accepted(
        lambda: signed(letter(f"This is MIME.\r\n{BODY}"), names=TYPED)
    ),
    "an epilogue, where the type is signed": accepted(lambda: signed(letter(f"{BODY}Bye\r\n"), names=TYPED)),
    "text in base64, which it can't help being": accepted(
        lambda: signed(text(as_base64(TEXT), Content_Transfer_Encoding="base64"), names=TYPED)
    ),
    "text in quoted-printable, which it can't help being": accepted(
        lambda: signed(
            text(TEXT.replace("tides", "t=\r\nides"), Content_Transfer_Encoding="quoted-printable"),
            names=TYPED,
        )
    ),
    "text in base64, where that is signed": accepted(
        lambda: signed(
            text(as_base64(TEXT), Content_Transfer_Encoding="base64"),
            names=f"{TYPED}:content-transfer-encoding",
        )
    ),
}


@pytest.mark.parametrize("name", OPENED)
def test_a_body_whose_form_nobody_signed_is_refused(gate: Gate, name: str) -> None:
    """The same signed bytes, read in another way, are another request."""
    gate.expect(OPENED[name])


@pytest.mark.parametrize("name", HALF_OPEN)
def test_an_unsigned_reading_of_a_signed_type_is_refused(gate: Gate, name: str) -> None:
    """A type says what the bytes are, not how they are packed."""
    gate.expect(HALF_OPEN[name])


@pytest.mark.parametrize("name", CLOSED)
def test_a_body_that_can_be_read_in_one_way_gets_in(gate: Gate, name: str) -> None:
    """Most people's mail has its type unsigned, and its parts begin and end it."""
    gate.expect(CLOSED[name])


def test_a_swapped_type_never_changes_what_is_built(gate: Gate) -> None:
    """A mail that is still accepted under another type is the same work: from one spec to the same."""
    raw = signed(names=OPEN)
    first = gate.take(accepted(lambda: raw))
    swapped = changed(raw, "multipart/mixed", "multipart/related")

    second = gate.take(accepted(lambda: swapped))

    assert second.spec_ids in ((), first.spec_ids)

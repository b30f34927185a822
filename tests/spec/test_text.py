"""Bytes become text without a guess that could go wrong in silence."""

from __future__ import annotations

import pytest

from daemon.spec.text import LARGEST, FaultyError, decode, position


@pytest.mark.parametrize(
    ("content", "charset", "text"),
    [
        ("été".encode(), None, "été"),
        (b"\xef\xbb\xbfa", None, "a"),
        (b"\xef\xbb\xbf\xc3\xa9", "iso-8859-1", "é"),
        ("été😀".encode("utf-16"), None, "été😀"),
        (b"\xfe\xff" + "é".encode("utf-16-be"), "utf-8", "é"),
        ("été".encode("latin-1"), "iso-8859-1", "été"),
        ("l\u2019été".encode("cp1252"), "iso-8859-1", "l\u2019été"),
        ("été".encode("latin-1"), "ISO-8859-15", "été"),
        ("été".encode(), "us-ascii", "été"),
        ("été".encode(), "x-unheard-of", "été"),
        ("été".encode(), "unicode_escape", "été"),
        ("été".encode(), "a\0b", "été"),
        ("日本".encode("shift_jis"), "shift_jis", "日本"),
    ],
)
def test_the_mark_the_declaration_and_utf_8_are_tried_in_this_order(
    content: bytes, charset: str | None, text: str
) -> None:
    """A wrong declaration is common and hurts nobody whose document is UTF-8."""
    assert decode(content, charset) == text


def test_bytes_in_no_declared_charset_are_a_problem_at_their_place() -> None:
    """Latin-1 without a declaration is not guessed."""
    with pytest.raises(FaultyError) as caught:
        decode("meta:\n  project: café".encode("latin-1"))

    (problem,) = caught.value.problems
    assert problem.text == "byte 20 (0xE9) is not UTF-8; save the document as UTF-8"
    assert (problem.line, problem.column) == (2, 15)


@pytest.mark.parametrize("character", ["\0", "\x07", "\x1b", "\x0c", "\x7f", "\x90", "\ufffe"])
def test_a_control_character_is_a_problem_at_its_place(character: str) -> None:
    """What PostgreSQL or a terminal can't take never gets that far."""
    with pytest.raises(FaultyError) as caught:
        decode(f"a\nb{character}".encode())

    (problem,) = caught.value.problems
    assert problem.text.startswith(f"the control character U+{ord(character):04X}")
    assert (problem.line, problem.column) == (2, 2)


def test_a_document_may_have_256_kib_and_no_byte_more() -> None:
    """The limit of bytes is exact."""
    assert len(decode(b"a" * LARGEST)) == 262_144
    with pytest.raises(FaultyError, match="262,145 bytes are more"):
        decode(b"a" * (LARGEST + 1))


@pytest.mark.parametrize(
    ("offset", "place"), [(0, (1, 1)), (1, (1, 2)), (3, (2, 1)), (4, (3, 1)), (5, (4, 1)), (6, (4, 2))]
)
def test_lines_end_as_editors_see_them(offset: int, place: tuple[int, int]) -> None:
    """CR LF is one line end, CR and LF are one each."""
    assert position("a\r\n\n\rb", offset) == place

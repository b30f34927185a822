"""Text from strangers comes out as one harmless line."""

from __future__ import annotations

import json
import unicodedata
from uuid import UUID

import pytest

from daemon.text import harmless, json_line, printable, redact

EVERYTHING = "".join(map(chr, range(0x110000)))
#: Controls, formats (directions, no widths), surrogates, private ones, separators of lines and paragraphs.
NO_TEXT = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
#: Letters and marks that Unicode says are to be ignored where nobody knows better.
IGNORABLE = "\u034f\u115f\u1160\u17b4\u180b\u2065\u3164\ufe00\uffa0\ufff0\U000e0001\U000e0100\U000e0fff"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Spécification prête 🚀", "Spécification prête 🚀"),
        ("Prêt\u202f? «\u00a0oui\u00a0»", "Prêt ? « oui »"),
        ("\x1b[2Jgone", r"\x1b[2Jgone"),
        ("a\r\nb\tc", r"a\r\nb\tc"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("zero\u200bwidth\ufeff", r"zero\u200bwidth\ufeff"),
        ("line\u2028end\x85", r"line\u2028end\x85"),
        ("\ud800", r"\ud800"),
        ("\x9b31m\x00\x7f", r"\x9b31m\x00\x7f"),
        ("\u3164a\u034f", r"\u3164a\u034f"),
        ("❤️ 👩🏽 e\u0301", "❤️ 👩🏽 e\u0301"),
        ("👩\u200d🚀", r"👩\u200d🚀"),
    ],
)
def test_what_a_terminal_would_obey_is_escaped_and_the_rest_stays(text: str, shown: str) -> None:
    """Escapes, line ends, bidirectional and zero-width characters show; accents, emoji and spaces stay."""
    assert printable(text) == shown


def test_every_character_comes_out_printable() -> None:
    """There is no character that gets through unless Python calls it printable."""
    shown = printable(EVERYTHING, 20_000_000)

    assert shown.isprintable()
    assert NO_TEXT.isdisjoint(map(unicodedata.category, shown))
    assert set(IGNORABLE).isdisjoint(shown)


def test_json_is_printable_too_and_loses_nothing() -> None:
    """A program reads what was there; a terminal that shows the line obeys none of it."""
    every = EVERYTHING[:0xD801] + EVERYTHING[0xE000:]  # one surrogate, for two may be a pair
    told = {"é🚀": [every, None, 1.5], "\u202e": "two\nlines"}
    line = json_line(told | {"id": UUID(int=1)})

    assert line.isprintable()
    assert set(IGNORABLE).isdisjoint(line)
    assert line.startswith('{"é🚀": ["')
    assert json.loads(line) == told | {"id": str(UUID(int=1))}


def test_of_what_is_harmless_all_can_be_seen() -> None:
    """But for tabs and line ends; accents, private letters and next year's emoji are not ours to take."""
    left = "".join(harmless(EVERYTHING[start : start + 1000]) for start in range(0, 0x110000, 1000))

    assert {char for char in left if unicodedata.category(char) in NO_TEXT - {"Co"}} == {"\n", "\t"}
    assert set(IGNORABLE).isdisjoint(left)
    assert set("é🚀\ufe0f\ue000\u0301\U0001fae9 ") <= set(left)


def test_harmless_keeps_the_shape_of_what_it_is_given() -> None:
    """Numbers, ids and lists are what they were; a long text is cut, and a text's own line ends stay."""
    ident = UUID(int=1)
    told = {"k\u200bey": ("a\x1b[31mb", ["\u202ec\r\n\td"]), "n": 1.5, "b": True, "none": None, "id": ident}

    assert harmless(told) == {
        "key": ["a[31mb", ["c\n\td"]],
        "n": 1.5,
        "b": True,
        "none": None,
        "id": ident,
    }
    assert harmless("é" * 2000) == "é" * 2000
    assert harmless("é" * 2001) == "é" * 1999 + "…"


@pytest.mark.parametrize(
    ("text", "limit"), [("a" * 400, 300), ("\x00" * 400, 300), ("é" * 11, 10), ("abc", 1)]
)
def test_long_text_is_cut_and_shows_it(text: str, limit: int) -> None:
    """The limit holds after escaping too."""
    shown = printable(text, limit)

    assert len(shown) == limit
    assert shown.endswith("…")


def test_text_at_the_limit_is_whole() -> None:
    """Nothing is lost that fits."""
    assert printable("a" * 300) == "a" * 300


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:geheim@db/x", "postgresql://me:***@db/x"),
        ("postgresql://me:ge@he/im@db/x?a=b", "postgresql://me:***@db/x?a=b"),
        ("at postgresql://:geheim@db: refused", "at postgresql://:***@db: refused"),
        ("postgresql://db/x?user=a&password=geheim&b=c", "postgresql://db/x?user=a&password=***&b=c"),
        ("host=db password='ge h\\'eim' user=a", "host=db password=*** user=a"),
        ("host=db PASSWORD = geheim", "host=db PASSWORD = ***"),
        ("sslpassword=geheim,", "sslpassword=***,"),
        ("smtp://127.0.0.1:25 and a@b", "smtp://127.0.0.1:25 and a@b"),
        ("postgresql://me@db:5432/x", "postgresql://me@db:5432/x"),
        ("the password of a@b is wrong", "the password of a@b is wrong"),
    ],
)
def test_passwords_of_connections_are_struck_out(text: str, shown: str) -> None:
    """In a URL or a connection string, escaped as it should be or not; all else is left."""
    assert redact(text) == shown

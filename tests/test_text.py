"""Text from strangers comes out as one harmless line."""

from __future__ import annotations

import pytest

from daemon.text import printable, redact


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
    ],
)
def test_what_a_terminal_would_obey_is_escaped_and_the_rest_stays(text: str, shown: str) -> None:
    """Escapes, line ends, bidirectional and zero-width characters show; accents, emoji and spaces stay."""
    assert printable(text) == shown


def test_every_character_comes_out_printable() -> None:
    """There is no character that gets through unless Python calls it printable."""
    assert printable("".join(map(chr, range(0x110000))), 20_000_000).isprintable()


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

"""Text from strangers, made safe to print on one line."""

from __future__ import annotations

import re

#: White space that French typography and word processors use; it reads as a space, so it becomes one.
_SPACES = dict.fromkeys([0xA0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000], " ")

#: ``user:password@`` of a URL. Greedy up to the last ``@``: a password that nobody escaped may hold one.
_URL_PASSWORD = re.compile(r"(://[^\s/@:]*:)[^\s]*(?=@)")

#: ``password=`` of a connection string or of a URL's query, quoted as libpq allows or not.
_NAMED_PASSWORD = re.compile(r"(password\s*=\s*)('(?:[^'\\]|\\.)*'?|[^\s&;,)]+)", re.IGNORECASE)


def printable(text: str, limit: int = 300) -> str:
    r"""``text`` as one line of at most ``limit`` characters that no terminal or reader is fooled by.

    Control, bidirectional, zero-width, unassigned and surrogate characters
    become the escapes Python writes (``\x1b``, ``\u202e``); what is cut
    off shows as ``…``. Accents and emoji stay.
    """
    if len(text) <= limit and text.isprintable():
        return text
    spaced = text[: limit + 1].translate(_SPACES)
    shown = "".join(char if char.isprintable() else _escaped(char) for char in spaced)
    return shown if len(shown) <= limit else shown[: max(limit - 1, 0)] + "…"


def redact(text: str) -> str:
    """``text`` with ``***`` for each password of a connection URL or connection string in it."""
    if "://" in text:
        text = _URL_PASSWORD.sub(r"\1***", text)
    if "password" in text.lower():
        text = _NAMED_PASSWORD.sub(r"\1***", text)
    return text


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")

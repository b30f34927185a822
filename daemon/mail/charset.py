"""From a stranger's bytes to text that can be stored: nothing is refused, nothing odd gets through."""

from __future__ import annotations

import codecs
import re

#: Python's codecs that are no charset of mail; ``idna`` and ``punycode`` take quadratic time besides.
_NO_CHARSETS = frozenset({"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape"})

#: No charset has a longer name, and Python remembers every name it was ever asked for.
_NAME_MAX = 40

#: PostgreSQL refuses NUL; lone surrogates can't be written as UTF-8; the others fool terminals.
_NO_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


def decode(octets: bytes, charset: str | None = None) -> str:
    """``octets`` as text: in ``charset``, else as UTF-8, else as Latin-1, which takes any byte."""
    for name in (charset, "utf-8"):
        text = _attempt(octets, name)
        if text is not None:
            return text
    return octets.decode("latin-1")


def clean(text: str) -> str:
    """``text`` with U+FFFD for controls and lone surrogates; tabs and line ends stay."""
    return text if text.isascii() and text.isprintable() else _NO_TEXT.sub("\ufffd", text)


def one_line(text: str) -> str:
    """``text``, clean and without line ends or tabs: a space each."""
    if text.isascii() and text.isprintable():  # nearly all is, and it is asked of each header of each part
        return text
    return clean(text).replace("\r", " ").replace("\n", " ").replace("\t", " ")


def _attempt(octets: bytes, charset: str | None) -> str | None:
    if not charset or len(charset) > _NAME_MAX:
        return None
    try:
        codec = codecs.lookup(charset)
        return None if codec.name in _NO_CHARSETS else octets.decode(codec.name)
    except (LookupError, ValueError):
        return None

"""Text from strangers, made safe for terminals, logs, and whoever reads what happened."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

#: White space that French typography and word processors use; it reads as a space, so it becomes one.
_SPACES = dict.fromkeys([0xA0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000], " ")

#: What doesn't show though it is a letter, a mark, or not assigned: Unicode's Default_Ignorable_Code_Point
#: outside of the category Cf. Not the two variation selectors that say whether an emoji is a picture.
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2065\u3164\ufe00-\ufe0d\uffa0\ufff0-\ufff8"
    "\U000e0000-\U000e0fff]"
)

#: Characters of one text in an event; the longest of a specification is as long.
_LONGEST = 2000
#: What has no place in an event: controls but for tabs and line ends, formats (zero width, direction),
#: surrogates, separators of lines and paragraphs. Unassigned ones stay: next year they are emoji.
_NO_TEXT = {"Cc", "Cf", "Cs", "Zl", "Zp"}

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
    if len(text) <= limit and _is_plain(text):
        return text
    shown = _escaped(text[: limit + 1].translate(_SPACES), _python_escape)
    return shown if len(shown) <= limit else shown[: max(limit - 1, 0)] + "…"


def json_line(value: object) -> str:
    """``value`` as one line of JSON, ids and times as text: nothing is lost, and nothing obeyed.

    What ``printable`` would escape is escaped too, as JSON does it, which
    the program that reads the line undoes.
    """
    return _escaped(json.dumps(value, default=str, ensure_ascii=False), _json_escape)


def harmless(value: Any) -> Any:  # noqa: ANN401 - JSON, and what becomes JSON
    """``value``, any JSON, with all its text cut and free of what can't be seen; line ends and tabs stay.

    For what others show or act on without knowing that a stranger wrote it:
    the metadata of events. A joined emoji comes apart, and a Persian word
    is joined where it needn't be.
    """
    if isinstance(value, str):
        return _seen(value)
    if isinstance(value, dict):
        return {harmless(key): harmless(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [harmless(each) for each in value]
    return value


def redact(text: str) -> str:
    """``text`` with ``***`` for each password of a connection URL or connection string in it."""
    if "://" in text:
        text = _URL_PASSWORD.sub(r"\1***", text)
    if "password" in text.lower():
        text = _NAMED_PASSWORD.sub(r"\1***", text)
    return text


def _is_plain(text: str) -> bool:
    return text.isprintable() and (text.isascii() or _INVISIBLE.search(text) is None)


def _escaped(text: str, escape: Callable[[str], str]) -> str:
    return text if _is_plain(text) else "".join(char if _is_plain(char) else escape(char) for char in text)


def _python_escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def _json_escape(char: str) -> str:
    return json.dumps(char)[1:-1]


def _seen(text: str) -> str:
    cut = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
    return cut if _is_plain(cut) else "".join(char for char in cut if char in "\n\t" or _shows(char))


def _shows(char: str) -> bool:
    return unicodedata.category(char) not in _NO_TEXT and not _INVISIBLE.match(char)

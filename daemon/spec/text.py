"""The characters of a document: from bytes to text, and from an offset to line and column."""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import lru_cache

from daemon.outcome import Problem

#: The largest document we read, in bytes.
LARGEST = 256 * 1024

_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")

#: Charsets a sender may declare. Python knows more, but some of those are no charsets
#: (unicode_escape), and some take quadratic time (punycode).
_CHARSET = re.compile(
    r"us-ascii|ascii|utf-?8|utf-?16(?:le|be)?|iso-?8859-?\d{1,2}|latin-?\d|(?:windows|cp)-?\d{3,4}"
    r"|koi8-[ru]|gb2312|gbk|gb18030|big5|shift_jis|euc-(?:jp|kr)|iso-2022-jp",
    re.IGNORECASE,
)

#: Mail that declares Latin-1 means windows-1252 (WHATWG Encoding Standard, "Names and labels").
_LATIN_1 = frozenset({"iso-8859-1", "iso8859-1", "latin1", "latin-1"})

#: What YAML 1.2 (5.1, c-printable) allows in no document, and PostgreSQL in part in no text.
UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_LINE_END = re.compile(r"\r\n?|\n")


class FaultyError(Exception):
    """A document says something its writer must change."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__(*map(str, problems))
        self.problems = problems


def position(text: str, offset: int) -> tuple[int, int]:
    """Line and column of a character, both from 1, as an editor counts them."""
    starts = _line_starts(text)
    line = bisect_right(starts, offset)
    return line, offset - starts[line - 1] + 1


@lru_cache(maxsize=1)
def _line_starts(text: str) -> list[int]:
    """Kept for the document at hand, so that a document with thousands of faults costs no more than one."""
    return [0, *(end.end() for end in _LINE_END.finditer(text))]


def fault(text: str, offset: int, words: str) -> FaultyError:
    """One Problem at one character, ready to be raised."""
    line, column = position(text, offset)
    return FaultyError(Problem(words, line=line, column=column))


def decode(content: bytes, charset: str | None = None) -> str:
    """The text of a document, without its byte order mark.

    A byte order mark decides (UTF-8, UTF-16), else the charset its sender
    declared, else UTF-8. Raises FaultyError when none of them fits, when the
    document is larger than LARGEST, or when it holds a control character.
    """
    if len(content) > LARGEST:
        raise FaultyError(
            Problem(f"{len(content):,} bytes are more than a specification may have ({LARGEST:,})")
        )
    text = _decoded(content, charset).removeprefix("\ufeff")
    if found := UNPRINTABLE.search(text):
        raise fault(
            text, found.start(), f"the control character U+{ord(found[0]):04X} can't be stored; remove it"
        )
    return text


def _decoded(content: bytes, charset: str | None) -> str:
    if content.startswith(_UTF16_MARKS):
        return _strictly(content, "utf-16")
    if charset and _CHARSET.fullmatch(charset) and not content.startswith(b"\xef\xbb\xbf"):
        try:
            return content.decode("cp1252" if charset.lower() in _LATIN_1 else charset)
        except (LookupError, UnicodeError):
            pass  # declared wrongly, which is common; most documents are UTF-8 all the same
    return _strictly(content, "utf-8")


def _strictly(content: bytes, charset: str) -> str:
    try:
        return content.decode(charset)
    except UnicodeDecodeError as error:
        before = content[: error.start].decode(charset, errors="replace")
        line, column = position(before, len(before))
        byte = f"byte {error.start} (0x{content[error.start]:02X})"
        words = f"{byte} is not {charset.upper()}; save the document as UTF-8"
        raise FaultyError(Problem(words, line=line, column=column)) from None

"""Header values: unfolding, encoded words, parameters.

Our own reading and not the standard library's, for two reasons: its result is
part of a mail's identity, which no update of Python may change, and on hostile
values the library raises half a dozen kinds of exception.
"""

from __future__ import annotations

import binascii
import re
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from daemon.mail.charset import clean, decode, one_line
from daemon.mail.transfer import base64

if TYPE_CHECKING:
    from collections.abc import Iterable
    from email.message import Message

#: Longest line of a message in characters (RFC 5322, 2.1.1); longer values of one-line fields are cut there.
LINE_MAX = 998

#: RFC 2047, section 2, with the language of RFC 2231, section 5, which is dropped.
_WORD = re.compile(r"=\?([^?*\s]+)(?:\*[^?\s]*)?\?([bBqQ])\?([^?]*)\?=")

#: One parameter (RFC 2045, 5.1). Unquoted values run to the semicolon: names with spaces are common.
_PARAMETER = re.compile(r';\s*+([^\s=;"]++)\s*+=\s*+("(?:[^"\\]|\\.)*+"|[^;]*+)', re.DOTALL)

#: A parameter's name in pieces: base name, number of the continuation, sign of an encoded value (RFC 2231).
_PIECE = re.compile(r"([^*]+)(?:\*([0-9]{1,3}))?(\*)?")

_MEDIA_TYPE = re.compile(r"\s*([\w!#$&^.+-]{1,64}/[\w!#$&^.+-]{1,64})", re.ASCII)


def fields(message: Message) -> tuple[tuple[str, str], ...]:
    """All headers in their order: names in lower case, values unfolded and not decoded."""
    return tuple((one_line(_text(name.lower())), unfold(value)) for name, value in message.raw_items())


def unfold(value: str) -> str:
    """A value as the parser keeps it, in one line (RFC 5322, 2.2.3), raw octets read as UTF-8 or Latin-1."""
    text = _text(str(value))
    if "\n" in text or "\r" in text:
        text = text.replace("\r", "").replace("\n", "")
    return one_line(text).strip()


def words(value: str) -> str:
    """``value`` with its encoded words decoded (RFC 2047), in one line.

    Neighbours in one charset are joined before they are decoded, since
    many mailers cut them in the middle of a character. What is broken
    stays as it is written.
    """
    if "=?" not in value:
        return one_line(value)
    return one_line("".join(decode(octets, charset) for charset, octets in _runs(value)))


def parameters(value: str) -> dict[str, str]:
    """The parameters of a Content-Type or Content-Disposition, names in lower case.

    RFC 2231 continuations are joined and decoded, and win over a plain
    parameter of the same name; in plain ones encoded words are decoded,
    which no standard allows and every mailer does.
    """
    plain: dict[str, str] = {}
    pieces: dict[str, dict[int, tuple[bool, str]]] = {}
    for name, text in _PARAMETER.findall(value):
        piece = _PIECE.fullmatch(name.lower())
        if piece and (piece[2] or piece[3]):
            pieces.setdefault(piece[1], {}).setdefault(int(piece[2] or 0), (bool(piece[3]), _unquote(text)))
        else:
            plain.setdefault(name.lower(), words(_unquote(text)))
    return plain | {name: _joined(numbered) for name, numbered in pieces.items()}


def media_type(value: str | None, default: str = "text/plain") -> str:
    """The type and subtype a Content-Type names, in lower case; ``default`` when it names none."""
    match = _MEDIA_TYPE.match(value or "")
    return match[1].lower() if match else default


def _text(raw: str) -> str:
    """The parser hides octets beyond ASCII in surrogates; nothing else puts surrogates there."""
    return raw if raw.isascii() else decode(raw.encode("utf-8", "surrogateescape"))


def _runs(value: str) -> Iterable[tuple[str, bytes]]:
    """``value`` as octets with their charset, white space between encoded words left out."""
    runs: list[tuple[str, bytearray]] = []
    end = 0
    for match in _WORD.finditer(value):
        gap = value[end : match.start()]
        if end == 0 or gap.strip():
            _extend(runs, "utf-8", gap.encode())
        _extend(runs, match[1].lower(), _octets(match[2], match[3]))
        end = match.end()
    _extend(runs, "utf-8", value[end:].encode())
    return ((charset, bytes(octets)) for charset, octets in runs)


def _extend(runs: list[tuple[str, bytearray]], charset: str, octets: bytes) -> None:
    if runs and runs[-1][0] == charset:
        runs[-1][1].extend(octets)
    else:
        runs.append((charset, bytearray(octets)))


def _octets(encoding: str, text: str) -> bytes:
    octets = text.encode()
    return base64(octets) if encoding in "bB" else binascii.a2b_qp(octets, header=True)


def _unquote(text: str) -> str:
    """Lone backslashes stay: Windows mailers put paths into quotes without escaping them."""
    text = text.strip()
    quoted = len(text) > 1 and text[0] == text[-1] == '"'
    return text[1:-1].replace("\\\\", "\\").replace('\\"', '"') if quoted else text


def _joined(numbered: dict[int, tuple[bool, str]]) -> str:
    """The pieces of one parameter in their order; the first says the charset (RFC 2231, 4.1)."""
    charset: str | None = None
    octets = bytearray()
    for position, (_, (encoded, text)) in enumerate(sorted(numbered.items())):
        if encoded and position == 0 and text.count("'") > 1:
            charset, _, text = text.split("'", 2)  # noqa: PLW2901 - what follows the language is the value
        octets += unquote_to_bytes(text) if encoded else text.encode()
    return clean(one_line(decode(bytes(octets), charset)))

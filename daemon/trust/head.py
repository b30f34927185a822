"""The head of a message: its header block as bytes, which DKIM signs and every parser should read alike."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: A header with its folded lines (RFC 5322, 2.2). No control characters: some parsers strip or end a line
#: at them. No folded line of white space alone (3.2.2): some parsers take it for the end of the head.
_FIELD = re.compile(
    rb"([!-9;-~]++):[^\x00-\x08\x0a-\x1f\x7f]*+\r\n"
    rb"(?:[ \t]++[^\x00-\x20\x7f][^\x00-\x08\x0a-\x1f\x7f]*+\r\n)*"
)

#: Headers that give a mail its meaning, by their names in lower case.
_MEANINGFUL = {
    name.lower(): name
    for name in (
        "From",
        "Subject",
        "Date",
        "Message-ID",
        "To",
        "Cc",
        "MIME-Version",
        "Content-Type",
        "Content-Transfer-Encoding",
    )
}
_COUNTS = {2: "two", 3: "three"}


def split(raw: bytes) -> tuple[bytes, bytes]:
    """Head and body, without the empty line between them; without one, all is head."""
    if raw.startswith(b"\r\n"):
        return b"", raw[2:]
    end = raw.find(b"\r\n\r\n")
    return (raw, b"") if end < 0 else (raw[: end + 2], raw[end + 4 :])


def doubts(headers: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """What makes a mail's headers mean one thing to one reader and another to the next, in words.

    Each header that gives it its meaning may stand once at most (RFC 5322,
    3.6): of two, some read the first and some the last, and a signature may
    be of either.
    """
    names = [name for name, _ in headers]
    counts = {name: names.count(name) for name in _MEANINGFUL}
    return tuple(
        f"{_COUNTS.get(count, str(count))} {_MEANINGFUL[name]} headers"
        for name, count in counts.items()
        if count > 1
    )


def oddities(head: bytes, headers: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Why some parser may find other headers in ``head`` than those, which ours found, in words."""
    names: list[str] = []
    position = 0
    while field := _FIELD.match(head, position):
        names.append(field[1].decode("ascii").lower())
        position = field.end()
    if position < len(head):
        line = head.count(b"\n", 0, position) + 1
        yield f"not every program reads its headers alike, from line {line} on"
    elif names != [name for name, _ in headers]:
        yield "not every program reads its headers alike"

"""Beyond these a message can't be judged: reading it would cost more than any honest one is worth.

``before`` looks at the bytes and bounds what parsing may cost; ``after`` looks
at the parsed message and is exact.
"""

from __future__ import annotations

import re
from email.utils import unquote
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import Message

#: Bytes of one header block, and of the Content- headers of all parts together.
HEADER_BYTES_MAX = 100 * 1024
#: Headers of one block.
HEADERS_MAX = 1000
#: Parts of a message, containers and forwarded messages counted too; and boundaries it may declare.
PARTS_MAX = 200
#: Containers and forwarded messages inside each other.
NESTING_MAX = 30

#: What the standard library's parser takes for a header block (email.feedparser).
_BLOCK = re.compile(rb"(?:(?:From |[!-9;-~]*+:|[ \t])[^\r\n]*+\r\n)*")
_FIELD = re.compile(rb"^[^ \t\r\n]", re.MULTILINE)
#: For a frame in lower case: a pattern that ignores case takes eight times as long.
_BOUNDARY = re.compile(rb"boundary(\*?)[0-9*]*+\s*+=\s*+(\"[^\"\r\n]*+\"|[^;\r\n]*+)")
_MESSAGE = re.compile(rb"^content-type:\s*+message/", re.IGNORECASE | re.MULTILINE)


class Unreadable(Exception):  # noqa: N818 - the mail's fate, and no error of ours
    """A message beyond a limit within which it can be judged; the text names limit, figure and bound."""


def before(frame: bytes) -> None:
    """Refuse a message that is dear to parse.

    Every nesting level takes a delimiter line of a declared boundary or a
    declared ``message/…``, so counting those bounds the parser's recursion
    as well as its parts.

    Raises:
        Unreadable: a header block or the number of parts is beyond its limit.
    """
    starts = list(islice(_openings(frame), PARTS_MAX + 1))
    check("parts", len(starts), PARTS_MAX)
    for start in (0, *starts):
        _check_block(frame, start)


def after(message: Message) -> None:
    """Refuse a message that parsed into more than any honest mail holds.

    Raises:
        Unreadable: parts, nesting, headers or their bytes are beyond the limit.
    """
    todo = [(message, 0)]
    parts = -1  # the message itself is none of its parts
    content_bytes = 0
    while todo:
        node, depth = todo.pop()
        parts += 1
        content_bytes += sum(
            len(value) for name, value in node.raw_items() if name.lower().startswith("content-")
        )
        check("headers", len(node), HEADERS_MAX)
        check("nesting", depth, NESTING_MAX)
        todo += [(child, depth + 1) for child in children(node)]
        check("parts", parts + len(todo), PARTS_MAX)
    check("bytes of content headers", content_bytes, HEADER_BYTES_MAX)


def head(frame: bytes) -> bytes:
    """Everything before the first blank line, whether the parser takes it for headers or not."""
    return frame[: _after(frame, b"\r\n\r\n", 0)]


def children(message: Message) -> list[Message]:
    """The parts right inside a multipart, or the message inside a forwarding one; none of a leaf."""
    payload = message.get_payload() if message.is_multipart() else []
    return [child for child in payload if not isinstance(child, str)]


def _openings(frame: bytes) -> Iterator[int]:
    """Where a part or a forwarded message begins. One count too many is possible, one too few is not."""
    lowered = frame.lower()
    for match in _MESSAGE.finditer(frame) if b"message/" in lowered else ():
        yield _after(frame, b"\r\n\r\n", match.end())
    declared = {(match[1], frame[match.start(2) : match.end(2)]) for match in _BOUNDARY.finditer(lowered)}
    check("boundaries", len(declared), PARTS_MAX)
    if any(star or b"\\" in value for star, value in declared):
        yield from _delimiters(frame, None)
        return
    boundaries = {form for _, value in declared for form in _forms(value)}
    for boundary in boundaries:
        yield from _delimiters(frame, boundary)


def _forms(value: bytes) -> tuple[bytes, bytes]:
    """What a boundary may stand for: itself, or what the parser strips of it."""
    text = value.decode("latin-1").strip()
    return text.encode("latin-1"), unquote(text).rstrip().encode("latin-1")


def _delimiters(frame: bytes, boundary: bytes | None) -> Iterator[int]:
    """The ends of the lines that open a part of ``boundary``, or of any when it is encoded and so unknown."""
    line = b"\n--" + (boundary or b"")
    at = frame.find(line)
    while at >= 0:
        end = _after(frame, b"\n", at + 1)
        if boundary is None or not frame[at + len(line) : end].strip():
            yield end
        at = frame.find(line, end - 1)


def _after(frame: bytes, what: bytes, start: int) -> int:
    at = frame.find(what, start)
    return len(frame) if at < 0 else at + len(what)


def _check_block(frame: bytes, start: int) -> None:
    match = _BLOCK.match(frame, start)
    block = match[0] if match else b""
    check("bytes of header", len(block), HEADER_BYTES_MAX)
    if len(block) > HEADERS_MAX:
        check("headers", len(_FIELD.findall(block)), HEADERS_MAX)


def check(limit: str, figure: int, bound: int) -> None:
    """Refuse a message whose ``figure`` is beyond ``bound``.

    Raises:
        Unreadable: it is.
    """
    if figure > bound:
        raise Unreadable(f"{limit}: {figure}, and no more than {bound} can be read")

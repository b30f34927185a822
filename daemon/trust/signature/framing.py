"""Framing: into which parts a body falls and how each is written, and what of that a signature fixes.

Gmail signs no Content-Type, Microsoft 365 no Content-Transfer-Encoding.
Whoever holds a copy of such a mail could add or change these headers, and so
turn the same signed body into another content. So where a header isn't signed,
the signed body must leave but one way to read it, and the header must say that
one. What our parser doesn't look at, such as MIME-Version, may be unsigned.
"""

from __future__ import annotations

import re
from email.message import Message
from typing import TYPE_CHECKING

from daemon.mail import header

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from collections.abc import Set as AbstractSet

#: The headers that decide how a body is read; whatever else is signed makes no difference here.
DECISIVE = frozenset({"content-type", "content-transfer-encoding", "content-disposition"})

#: Bytes of a text that counts without its Content-Type being signed. No specification is larger.
TEXT_MAX = 1 << 20

#: In ``multipart/digest`` parts are messages unless they say otherwise (RFC 2046, 5.1.5), so it would give
#: a body another meaning. These three mean the same to our parser.
_SUBTYPES = ("mixed", "alternative", "related")
#: One that is not quoted, or needs no unquoting; no spaces, since a relaxed signature doesn't fix how many
#: there are, and delimiters that no longer match would join two parts.
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=?-]{1,70}")
_MULTIPART = re.compile(rf"multipart/(?:{'|'.join(_SUBTYPES)})[ ]*+;.*+", re.IGNORECASE)
_TEXT = re.compile(r"text/plain[ ]*+(?:;.*+)?", re.IGNORECASE)
#: Charsets in which ASCII means ASCII, whatever shift sequences others know.
_ASCII_CHARSET = re.compile(r"us-ascii|utf-8|iso-8859-[0-9]{1,2}|windows-125[0-9]|", re.IGNORECASE)
_UTF8 = ("utf-8", "us-ascii", "")
#: Encodings that leave octets as they are (RFC 2045, 6.2).
_IDENTITY = ("", "7bit", "8bit", "binary")

_OPENING = re.compile(rb"^--([^\r\n]{1,200}+)\r?$", re.MULTILINE)
#: A part's headers, cut off by a line of white space where they should end with an empty one. To a relaxed
#: signature the two are alike; to a parser the former goes on with the headers, into a document.
_UNENDED = re.compile(
    rb"^(?:-{2,}+[^ \r\n-][^\r\n]*+|(?:Content|MIME|X)-[^\r\n]++(?:\r\n[ \t]++[^ \t\r\n][^\r\n]*+)*)"
    rb"\r\n[ \t]++\r\n",
    re.MULTILINE | re.IGNORECASE,
)
#: What no text has and every page: it may have been sent as one, and then never counts.
_HTML = re.compile(rb"<(?:!doctype html|/?(?:html|body|p|div|br|pre|table)\b)", re.IGNORECASE)
_WHITE_LINE = re.compile(rb"\n[ \t]++\r\n")
#: What stands nowhere in lines of Base64 (RFC 2045, 6.8): other letters, a pad within a line, an empty line.
_NO_BASE64 = re.compile(rb"[^A-Za-z0-9+/=\r\n]|=(?!=?\r\n)|(?:\A|\n)[=\r]|\r(?!\n)|(?<!\r)\n")
#: Quoted-printable as the standard has it (6.7), and what in it is no accident: an escaped ``=``, a line
#: that goes on, a letter of UTF-8.
_QUOTED = re.compile(rb"(?:[\t !-<>-~]++|=[0-9A-F]{2}|=\r\n|\r\n)*+\Z")
_SURELY_QUOTED = re.compile(rb"=(?:3D|\r\n|[C-F][0-9A-F]=[89AB][0-9A-F])")


def flaws(headers: Mapping[str, str], body: bytes, signed: AbstractSet[str]) -> Iterator[str]:
    """Why the body may be read otherwise than it was signed, in words.

    Args:
        headers: the headers of the mail, names in lower case, each once.
        body: what follows the head.
        signed: the names of the headers that are signed, whether or not they are there: a signed absence
            can't be undone.
    """
    disposition = headers.get("content-disposition", "inline").strip().lower()
    if "content-disposition" not in signed and disposition != "inline":
        yield "Content-Disposition is not signed, and might make an attachment of the text"
    if _WHITE_LINE.search(body) and _UNENDED.search(body):
        yield "the headers of a part don't end with an empty line"
    if "content-type" in signed:
        yield from _encoding_flaws(headers, body, signed)
    elif _is_multipart(headers):
        yield from _multipart_flaws(headers, body, signed)
    else:
        yield from _text_flaws(headers, body)
        yield from _encoding_flaws(headers, body, signed)


def _multipart_flaws(headers: Mapping[str, str], body: bytes, signed: AbstractSet[str]) -> Iterator[str]:
    """Why an unsigned multipart Content-Type isn't fixed by the body (the parts' own headers are signed)."""
    value = headers["content-type"]
    boundary = header.parameters(value).get("boundary", "")
    if not _MULTIPART.fullmatch(value) or not _is_read_alike(value, boundary):
        yield f"Content-Type is not signed, and is no multipart/{' or '.join(_SUBTYPES)} with plain boundary"
    elif not _is_framed(body, boundary.encode()):
        yield "Content-Type is not signed, and the body doesn't begin and end with its boundary"
    if "content-transfer-encoding" not in signed and _encoding(headers) not in _IDENTITY:
        yield "Content-Transfer-Encoding is not signed, and a body of parts has none"


def _text_flaws(headers: Mapping[str, str], body: bytes) -> Iterator[str]:
    """Why a body without parts, whose Content-Type is not signed, may be more than its text."""
    value = headers.get("content-type", "text/plain")
    parameters = header.parameters(value)
    charset = parameters.get("charset", "").lower()
    if not _TEXT.fullmatch(value) or "name" in parameters:
        yield "Content-Type is not signed, and is neither of parts nor plain text without a name"
    elif not _ASCII_CHARSET.fullmatch(charset) or not (charset in _UTF8 or body.isascii()):
        yield "Content-Type is not signed, and its charset would change the text"
    elif len(body) > TEXT_MAX:
        yield f"Content-Type is not signed, and its text is over {TEXT_MAX >> 20} MiB"
    elif _has_parts(body):
        yield "Content-Type is not signed, and the body looks as if it had parts"
    elif _HTML.search(body):
        yield "Content-Type is not signed, and the body looks like HTML"
    elif _encoding(headers) not in _IDENTITY:
        yield "Content-Type is not signed, and the text is encoded"


def _encoding_flaws(headers: Mapping[str, str], body: bytes, signed: AbstractSet[str]) -> Iterator[str]:
    """Why the body may be decoded in another way than it was encoded.

    Microsoft 365 signs the Content-Type of a text, but not that it is
    quoted-printable. So for each body there is exactly one encoding that is
    believed unsigned: Base64 where all of it is, quoted-printable where that
    can be no accident, else none. A body that has no ``=`` at all reads alike
    with and without the latter. A few honest texts are lost to this, such as
    one with ``=20`` at a line's end and no other mark; none gets another
    meaning.
    """
    if "content-transfer-encoding" in signed:
        return
    encoding = _encoding(headers)
    if encoding not in (_IDENTITY if _is_multipart(headers) else _fitting(body)):
        yield "Content-Transfer-Encoding is not signed, and the body might be meant otherwise"


def _fitting(body: bytes) -> tuple[str, ...]:
    """The encodings that a body without parts can be in."""
    if _is_base64(body):
        return ("base64",)
    if b"=" not in body:
        return (*_IDENTITY, "quoted-printable")
    surely = _SURELY_QUOTED.search(body) and _QUOTED.match(body)
    return ("quoted-printable",) if surely else _IDENTITY


def _is_base64(body: bytes) -> bool:
    lines = body.rstrip(b"\r\n") + b"\r\n"
    return not _NO_BASE64.search(lines) and len(lines.replace(b"\r\n", b"")) % 4 == 0


def _encoding(headers: Mapping[str, str]) -> str:
    return headers.get("content-transfer-encoding", "").strip().lower()


def _is_multipart(headers: Mapping[str, str]) -> bool:
    return headers.get("content-type", "").strip().lower().startswith("multipart/")


def _is_read_alike(value: str, boundary: str) -> bool:
    """Whether a Content-Type names its boundary once and plainly, and the standard library reads the same."""
    parsed = Message()
    parsed["Content-Type"] = value
    plain = re.search(rf';[ ]*+boundary=("?){re.escape(boundary)}\1[ ]*+(?:;|\Z)', value, re.IGNORECASE)
    once = value.lower().count("boundary") == 1
    return bool(once and plain and _BOUNDARY.fullmatch(boundary)) and parsed.get_boundary() == boundary


def _is_framed(body: bytes, boundary: bytes) -> bool:
    """Whether the first line is the opening delimiter and the last one the closing (RFC 2046, 5.1.1)."""
    return body.startswith(b"--%s\r\n" % boundary) and body.rstrip(b"\r\n").endswith(b"\r\n--%s--" % boundary)


def _has_parts(body: bytes) -> bool:
    """Whether anything opens and closes like a part: then it wasn't sent as a text."""
    lines = {line.rstrip(b" \t") for line in _OPENING.findall(body)}
    return any(
        line.endswith(b"--") and line[:-2] in lines and re.search(rb"[0-9A-Za-z]", line) for line in lines
    )

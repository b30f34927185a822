"""What chance and malice do to a mail: each a function of the mail and of a source of chances."""

from __future__ import annotations

import re
from random import Random
from typing import TYPE_CHECKING

from daemon.commands.posting import crlf
from tests.fix_daemon import REPO, SHARED
from tests.fix_house import a_mail, spec_for

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Mutation = Callable[[bytes, Random], bytes]

#: How many mails of other projects take part.
CORPUS = 25
#: What nobody who signs has asked for.
EVIL = spec_for("example/evil")

#: Headers that decide something, to be added, doubled or written otherwise.
FIELDS = (
    b"Content-Type: text/plain; charset=utf-16",
    b'Content-Type: multipart/mixed; boundary="=_f2a9"',
    b"Content-Type: multipart/digest; boundary==_f2a9",
    b"Content-Type: message/rfc822",
    b"Content-Transfer-Encoding: base64",
    b"Content-Transfer-Encoding: quoted-printable",
    b"Content-Disposition: attachment; filename=spec.yaml",
    b"MIME-Version: 1.0",
    b"From: eve@example.com",
    b"From : ana@example.com",
    b"Subject: [evil/repo]",
    b"Subject: =?utf-8?q?=5Bevil/repo=5D?= =?x?b?!!!?=",
    b"To: specs+evil=repo@example.net",
    b"Cc: specs+evil=repo@example.net",
    b"Delivered-To: specs+evil=repo@example.net",
    b"Date: Thu, 1 Jan 1970 00:00:00 +0000",
    b"Message-ID: <another@example.com>",
    b"Reply-To: eve@example.com",
    b"Received: from here by there",
    b"X-Anything: \xff\xfe\x80",
    b"Authentication-Results: mx.example.net; dkim=pass header.d=example.com",
    b"DKIM-Signature: v=1; a=rsa-sha256; d=example.com; s=rsa2048; h=from; bh=; b=",
    b"Auto-Submitted: auto-replied",
)
#: What parsers trip over.
ODDITIES = (
    b"\0",
    b"=?",
    b"?=",
    b"=?utf-8?b?",
    b"(",
    b")",
    b"<",
    b">",
    b'"',
    b"\\",
    b";",
    b":",
    b"@",
    b"--",
    b"\r\n\r\n",
    b"\r\n ",
    b"\r\n\t\r\n",
    b"begin 644 x\r\n",
    b"\xe2\x80\xae",
    b"\xff",
    b"*0*=",
    b"```yaml\r\n",
    b"\r\n---\r\n",
)


def cut(raw: bytes, random: Random) -> bytes:
    """Without a piece."""
    start, end = _span(raw, random)
    return raw[:start] + raw[end:]


def flip(raw: bytes, random: Random) -> bytes:
    """With some octets changed."""
    octets = bytearray(raw)
    for _ in range(random.randint(1, 8) if raw else 0):
        octets[random.randrange(len(octets))] = random.randrange(256)
    return bytes(octets)


def repeat(raw: bytes, random: Random) -> bytes:
    """With a piece again, and again."""
    start, end = _span(raw, random)
    return raw[:end] + raw[start:end] * random.choice([1, 2, 50]) + raw[end:]


def insert(raw: bytes, random: Random) -> bytes:
    """With something odd, once or often, somewhere."""
    at = random.randint(0, len(raw))
    return raw[:at] + random.choice(ODDITIES) * random.choice([1, 3, 200]) + raw[at:]


def add_field(raw: bytes, random: Random) -> bytes:
    """With a header more, of this mail or of another, above or below."""
    lines = _lines(raw)
    others = _lines(random.choice(PLAIN)) if random.random() < 0.3 else list(FIELDS)
    lines.insert(random.choice([0, len(lines)]), random.choice(others))
    return _joined(lines, raw)


def move_field(raw: bytes, random: Random) -> bytes:
    """With a header elsewhere among the others, or there twice."""
    lines = _lines(raw)
    line = random.choice(lines)
    if random.random() < 0.7:
        lines.remove(line)
    lines.insert(random.randint(0, len(lines)), line)
    return _joined(lines, raw)


def respell_field(raw: bytes, random: Random) -> bytes:
    """With a header as a relay might write it: other case, folds and white space."""
    lines = _lines(raw)
    at = random.randrange(len(lines))
    name, colon, value = lines[at].partition(b":")
    spaced = [b"\r\n ", b"  ", b" \t", b" ", b"\r\n\t "]
    folded = re.sub(rb"(?:\r\n)?[ \t]+", lambda _: random.choice(spaced), value)
    lines[at] = random.choice([name.upper(), name.lower(), name]) + colon + folded
    return _joined(lines, raw)


def respace(raw: bytes, random: Random) -> bytes:
    """With more, less or other white space in the body."""
    head, blank, body = raw.partition(b"\r\n\r\n")
    changes = [
        lambda body: body + b"\r\n" * random.randint(1, 3),
        lambda body: body.rstrip(b"\r\n"),
        lambda body: body.replace(b"\r\n", b" \t\r\n", random.randint(1, 5)),
        lambda body: re.sub(rb" ", b"  ", body, count=random.randint(1, 9)),
        lambda body: re.sub(rb"\r\n\r\n", b"\r\n \r\n", body, count=random.randint(1, 3)),
    ]
    return head + blank + random.choice(changes)(body)


def splice(raw: bytes, random: Random) -> bytes:
    """The beginning of this and the end of another."""
    other = random.choice(PLAIN)
    return raw[: random.randint(0, len(raw))] + other[random.randint(0, len(other)) :]


def rebound(raw: bytes, random: Random) -> bytes:
    """With a boundary that is another one in some place."""
    found = re.findall(rb'boundary="?([^";\r\n]+)', raw)
    old = random.choice(found) if found else b"--"
    new = random.choice([old + b" ", old[:-1], old * 2, b"", old.upper(), old + b"--"])
    return raw.replace(old, new, random.randint(1, 2))


def smuggle(raw: bytes, random: Random) -> bytes:
    """With a specification of somebody else's in front of, between or behind its parts."""
    boundary = random.choice(re.findall(rb'boundary="?([^";\r\n]+)', raw) or [b"=_f2a9"])
    part = b"Content-Type: application/yaml\r\n\r\n" + crlf(EVIL.encode())
    places = [found.start() for found in re.finditer(rb"^--|\Z|(?<=\r\n\r\n)", raw, re.MULTILINE)]
    at = random.choice(places)
    return raw[:at] + b"--" + boundary + b"\r\n" + part + raw[at:]


def nest(raw: bytes, random: Random) -> bytes:
    """In another mail, some levels deep."""
    for level in range(random.choice([1, 2, 29, 40])):
        opened = b"Content-Type: multipart/mixed; boundary=n%d\r\n\r\n--n%d\r\n" % (level, level)
        raw = random.choice([b"Content-Type: message/rfc822\r\n\r\n", opened]) + raw
    return b"From: ana@example.com\r\n" + raw


def retag(raw: bytes, random: Random) -> bytes:
    """With another value of a tag of its signature, or another tag."""
    tag = random.choice([b"v", b"a", b"c", b"d", b"s", b"h", b"bh", b"b", b"l", b"x", b"t", b"i", b"q"])
    values = [
        b"",
        b"1",
        b"0",
        b"example.com",
        b"simple/simple",
        b"rsa-sha1",
        b"from",
        b"dns/txt;l=10",
        b"=",
        b";",
    ]
    value = random.choice(values)
    if random.random() < 0.3:
        return raw.replace(b"DKIM-Signature: ", b"DKIM-Signature: %s=%s; " % (tag, value), 1)
    return re.sub(rb"\b%s=[^;]*" % tag, lambda _: b"%s=%s" % (tag, value), raw, count=1)


MUTATIONS: tuple[Mutation, ...] = (
    *(cut, flip, repeat, insert, splice, rebound, smuggle, nest),
    *(add_field, move_field, respell_field, retag, respace),
)


def _span(raw: bytes, random: Random) -> tuple[int, int]:
    start = random.randint(0, len(raw))
    return start, min(len(raw), start + random.choice([1, 2, 10, 100, 2000]))


def _lines(raw: bytes) -> list[bytes]:
    """The headers, each with its folds."""
    return re.split(rb"\r\n(?![ \t])", raw.partition(b"\r\n\r\n")[0])


def _joined(lines: Sequence[bytes], raw: bytes) -> bytes:
    """The mail with these headers."""
    _, blank, body = raw.partition(b"\r\n\r\n")
    return b"\r\n".join(lines) + blank + body


def changed(raw: bytes, changes: Sequence[tuple[Mutation, int]]) -> bytes:
    """The mail after all of them."""
    for mutation, seed in changes:
        raw = mutation(raw, Random(seed))
    return raw


def _plain() -> list[bytes]:
    """Mails of our own and some of other projects', if they are there."""
    corpus = sorted((SHARED / "mails").rglob("*.eml"))
    ours = sorted((REPO / "tests" / "mails").glob("*.eml"))
    chosen = [*ours, *corpus[:: max(1, len(corpus) // CORPUS)]]
    return [crlf(path.read_bytes()) for path in chosen] + [a_mail()]


PLAIN = _plain()

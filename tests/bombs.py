"""Mails that cost their sender nothing and are meant to cost us much; each kind just once."""

from __future__ import annotations

import io
import zipfile
from base64 import b64encode, encodebytes
from datetime import UTC, datetime
from email.utils import format_datetime
from itertools import pairwise

from tests.fix_house import SPEC, US

KIB, MIB = 1 << 10, 1 << 20

#: Who sends them.
EVE = "eve@bombs.example"
#: A Date with which a signature is worth a look; the same all day long.
TODAY = format_datetime(datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0))
#: Octets of headers that are just not too many, and of a message.
MOST, LARGEST = 98 * KIB, 24 * MIB
#: A signature with all that makes it worth a look, but for being genuine.
SIGNATURE = (
    "DKIM-Signature: v=1; a=rsa-sha256; c={method}; d=bombs.example; s={selector}; "
    "h={names}; bh={digest}; b=Zm9y\r\n"
)
NAMES = "from:to:subject:date:message-id"
TEXT = "Content-Type: text/plain; charset=utf-8\r\n"


def mail(body: bytes | str = "Boom.\r\n", *fields: str, **headers: str) -> bytes:
    """A message of Eve's; ``fields`` are more headers, each with its line end, ``headers`` other values.

    An octet that is no UTF-8 is written as the surrogate that Python hides it in (surrogateescape).
    """
    usual = {
        "From": f"Eve <{EVE}>",
        "To": US,
        "Subject": "[example/tides] boom",
        "Date": TODAY,
        "Message-ID": "<boom@bombs.example>",
    }
    given = usual | {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [*fields, *(f"{name}: {value}\r\n" for name, value in given.items()), "\r\n"]
    return octets("".join(lines)) + octets(body)


def octets(text: bytes | str) -> bytes:
    """What is written of a text."""
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")


def attached(content: str, name: str = "spec.yaml") -> bytes:
    """A message with a file."""
    return parts(file(content.encode(), name))


def file(data: bytes, name: str) -> bytes:
    """A part that is a file, in Base64."""
    about = f'Content-Disposition: attachment; filename="{name}"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
    return about.encode() + encodebytes(data).replace(b"\n", b"\r\n")


def section(about: str, content: bytes | str = "x") -> bytes:
    """A part with these headers, which come without their last line end."""
    return octets(f"{about}\r\n\r\n") + octets(content)


def single(about: str, content: bytes | str = "x") -> bytes:
    """A message that is itself what ``section`` makes a part."""
    return mail(content, f"{about}\r\n")


def parts(*each: bytes, after: bytes = b"") -> bytes:
    """A message that holds parts."""
    body = b"".join(b"--=_b\r\n" + part + b"\r\n" for part in each)
    return mail(body + b"--=_b--\r\n" + after, multipart("=_b"))


def folded(value: str, length: int, at: int = 900) -> str:
    """``value`` again and again, ``length`` characters in lines as a header has them."""
    whole = value * (length // len(value))
    return "\r\n ".join(whole[start : start + at] for start in range(0, len(whole), at))


def multipart(boundary: object) -> str:
    """The header that opens one."""
    return f'Content-Type: multipart/mixed; boundary="{boundary}"\r\n'


def nested(levels: int) -> bytes:
    """Multiparts in each other."""
    opened = [multipart(n) for n in range(levels)]
    body = "".join(f"--{n}\r\n{inner}\r\n" for n, inner in enumerate(opened[1:]))
    return mail(f"{body}--{levels - 1}\r\n\r\nin the midst\r\n", opened[0])


def forwarded(levels: int) -> bytes:
    """Mails in each other, and a specification in the last."""
    about = "Content-Type: message/rfc822\r\n"
    return mail(f"{about}\r\n" * (levels - 1) + "Subject: at last\r\n\r\n" + crlf(SPEC), about)


def fields(number: int, name: str = "X", value: str = "x") -> bytes:
    """A message with so many headers more."""
    return mail("Boom.\r\n", f"{name}: {value}\r\n" * number)


def signed(number: int, body: bytes | str = "Boom.\r\n", names: str = NAMES) -> bytes:
    """A message with signatures that take a hash of the body each."""
    methods = ["relaxed/simple", "simple/relaxed", "relaxed/relaxed", "simple/simple"]
    digest = b64encode(bytes(32)).decode()
    stamps = (
        SIGNATURE.format(method=methods[n % 4], selector=f"s{n}", names=names, digest=digest)
        for n in range(number)
    )
    return mail(body, TEXT, *stamps)


def coded(content: bytes, encoding: str, kind: str = "text/plain; charset=utf-8") -> bytes:
    """A message of one part, whose body is in ``encoding`` already."""
    return mail(content, f"Content-Type: {kind}\r\nContent-Transfer-Encoding: {encoding}\r\n")


def aliases() -> str:
    """A few hundred bytes that stand for a billion."""
    lines = [f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]" for old, new in pairwise("abcdefghij")]
    return "\n".join(["meta: {repo: example/tides}", "a: &a [x, x, x]", *lines, ""])


def zipped(data: bytes) -> bytes:
    """An archive of one file."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("spec.zip", data)
    return archive.getvalue()


def archive() -> bytes:
    """50 MiB in a few kB, seven archives deep."""
    bomb = zipped(bytes(50 * MIB))
    for _ in range(6):
        bomb = zipped(bomb)
    return bomb


def backticks() -> str:
    """Fences of all lengths, none of which is closed."""
    return "".join(f"{'`' * n}yaml\nmeta:\n" for n in range(3, 690))


def continued(number: int) -> bytes:
    """A specification whose file name comes in pieces (RFC 2231)."""
    pieces = "".join(f";\r\n filename*{n}*=%41" for n in range(number))
    return parts(f"Content-Disposition: attachment{pieces}\r\n\r\n{crlf(SPEC)}".encode())


def crlf(text: str) -> str:
    """``text`` with the line ends of mail."""
    return text.replace("\n", "\r\n")


def sprints(number: int) -> str:
    """A specification of so many sprints, each as short as can be."""
    each = ", ".join(f"{{id: S{n}, goals: [g]}}" for n in range(number))
    return f"meta: {{repo: example/tides}}\nplanning: {{epics: [{{id: E, sprints: [{each}]}}]}}\n"

"""Base64, quoted-printable and uuencode, damaged in all the ways that mail is damaged in."""

from __future__ import annotations

import binascii
import quopri
from base64 import b64encode, encodebytes, urlsafe_b64encode
from random import Random
from typing import TYPE_CHECKING

from tests.bombs import SPEC, coded, crlf, parts, section

if TYPE_CHECKING:
    from collections.abc import Iterator

LINES = encodebytes(SPEC.encode()).replace(b"\n", b"\r\n")
LINE = b64encode(SPEC.encode())
QUOTED = quopri.encodestring(crlf(SPEC).encode()).replace(b"\n", b"\r\n").replace(b"=0D\r\n", b"\r\n")


def _uu(content: bytes) -> bytes:
    lines = [binascii.b2a_uu(content[at : at + 45]) for at in range(0, len(content), 45)]
    return b"begin 644 spec.yaml\r\n" + b"".join(line[:-1] + b"\r\n" for line in lines) + b"`\r\nend\r\n"


UU = _uu(SPEC.encode())

BASE64 = {
    "empty": b"",
    "pads alone": b"=" * 76 + b"\r\n",
    "one letter": b"A",
    "no pad": LINE.rstrip(b"="),
    "pads too many": LINE + b"=====",
    "a pad in each line": LINES.replace(b"\r\n", b"=\r\n"),
    "a pad in the middle": LINE[:100] + b"==" + LINE[100:],
    "4n+1 letters": LINE[: len(LINE) // 4 * 4] + b"A",
    "for URLs": urlsafe_b64encode(SPEC.encode() + b"# \xc3\xbf\xc3\xbe\xc3\xbb"),
    "blanks between all letters": b" ".join(LINE[n : n + 1] for n in range(len(LINE))),
    "a letter a line": b"\r\n".join(LINE[n : n + 1] for n in range(len(LINE))),
    "blank lines between": LINES.replace(b"\r\n", b"\r\n\r\n"),
    "in one line of 60,000": b64encode(SPEC.encode() + b"#" * 40_000),
    "junk in each line": LINES.replace(b"\r\n", b"!?\x80\r\n"),
    "NUL in each line": LINES.replace(b"\r\n", b"\0\r\n"),
    "text before it": b"This is a file:\r\n\r\n" + LINES,
    "a signature behind it": LINES + b"-- \r\nsent by a list\r\n",
    "headers in it": b"Content-Type: text/plain\r\n\r\n" + LINES,
    "an end and a start": LINES + LINES,
    "of Base64": encodebytes(LINES).replace(b"\n", b"\r\n"),
    "no Base64 at all": crlf(SPEC).encode(),
    "in UTF-16": LINE.decode().encode("utf-16-le"),
    "quoted": b"".join(b"> " + line + b"\r\n" for line in LINES.splitlines()),
}
QP = {
    "a lone sign": b"=",
    "signs alone": b"=" * 60_000,
    "no digits": QUOTED.replace(b"=", b"=G"),
    "one digit": QUOTED.replace(b"=C3", b"=C"),
    "small digits": QUOTED.lower(),
    "a line end encoded": QUOTED.replace(b"\r\n", b"=0D=0A"),
    "half a line end encoded": QUOTED.replace(b"\r\n", b"=0A\r\n"),
    "a lone CR encoded": QUOTED.replace(b"\r\n", b"=0D"),
    "NUL encoded": QUOTED.replace(b"tides", b"=00"),
    "soft line ends alone": b"=\r\n" * 20_000,
    "a soft line end after each letter": b"=\r\n".join(
        SPEC.encode()[n : n + 1].replace(b"=", b"=3D").replace(b"\n", b"=0A") for n in range(len(SPEC) - 8)
    ),
    "blanks behind soft line ends": QUOTED.replace(b"\r\n", b"= \t\r\n"),
    "blanks behind each line": QUOTED.replace(b"\r\n", b" " * 900 + b"\r\n"),
    "a line of 60,000": QUOTED + b"#" * 60_000,
    "a line of blanks": b" " * 60_000 + b"x",
    "every octet": b"".join(b"=%02X" % n for n in range(256)) * 40,
    "of quoted-printable": quopri.encodestring(QUOTED).replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"),
    "raw octets": bytes({*range(256)} - {10, 13}),
    "a soft line end at the end": QUOTED + b"=\r\n",
    "a soft line end at the very end": QUOTED + b"=",
}
UUENCODE = {
    "whole": UU,
    "no end": UU.removesuffix(b"end\r\n"),
    "no begin": UU.partition(b"\r\n")[2],
    "nothing between": b"begin 644 spec.yaml\r\nend\r\n",
    "no name": UU.replace(b"spec.yaml", b""),
    "a path for a name": UU.replace(b"spec.yaml", b"/etc/passwd"),
    "no ASCII in its name": UU.replace(b"spec", b"sp\xe9c"),
    "a name of 60,000": UU.replace(b"spec", b"spec" * 15_000),
    "a mode of nine": UU.replace(b"644", b"999"),
    "lines too short": b"\r\n".join(line[:-5] for line in UU.split(b"\r\n")),
    "lines too long": UU.replace(b"\r\n", b"AAAA\r\n"),
    "lengths that lie": UU.replace(b"\r\nM", b"\r\n\x7f"),
    "in Base64": b"begin-base64 644 spec.yaml\r\n" + LINES + b"====\r\n",
    "one in the other": UU.replace(b"end\r\n", UU + b"end\r\n"),
    "150 of them": b"begin 644 x\r\n`\r\nend\r\n" * 150,
    "begin alone": b"begin 644 x\r\n" * 4000,
    "a text that begins": b"begin 644 and so on with the work\r\n" + crlf(SPEC).encode(),
}
#: What other ages and clients have put files into.
FOREIGN = {
    "yEnc": b"=ybegin line=128 size=999999999999 name=spec.yaml\r\n"
    + bytes((42 + n) % 256 for n in b"meta: {}" * 40)
    + b"\r\n=yend size=1 crc32=00000000\r\n",
    "yEnc without end": b"=ybegin part=1 total=1000000 line=128 size=1 name=\r\n=ypart begin=1 end=9\r\n",
    "TNEF": b"\x78\x9f\x3e\x22" + Random(1).randbytes(3000),
    "TNEF of huge lengths": b"\x78\x9f\x3e\x22\x00\x00" + b"\x01\x06\x90\x08\x00\xff\xff\xff\x7f" * 300,
    "BinHex": b"(This file must be converted with BinHex 4.0)\r\n\r\n:$f*TEQKPH#jdC`d!:\r\n" * 300,
    "a gzip that lies": b"\x1f\x8b\x08\x00" + Random(2).randbytes(3000),
    "a PDF of no end": b"%PDF-1.7\r\n1 0 obj << /Length 999999999 >> stream\r\n" * 300,
    "S/MIME": b"0\x80\x06\x09*\x86H\x86\xf7\r\x01\x07\x02" + Random(3).randbytes(3000),
}
TYPES = ("application/ms-tnef", "application/pkcs7-mime", "application/octet-stream", "application/yaml")


def mails() -> Iterator[tuple[str, bytes]]:
    """As a file, and some as the whole mail."""
    for encoding, table in (("base64", BASE64), ("quoted-printable", QP), ("x-uuencode", UUENCODE)):
        about = (
            f"Content-Transfer-Encoding: {encoding}\r\nContent-Disposition: attachment; filename=spec.yaml"
        )
        for name, body in table.items():
            yield f"{encoding}: {name}", parts(section(about, body))
    for name, body in UUENCODE.items():
        yield f"uuencode in a text: {name}", coded(body, "7bit")
    for name, body in (BASE64 | QP).items():
        if name[0] in "abno":
            yield f"a whole mail: {name}", coded(body, "base64" if name in BASE64 else "quoted-printable")
    for number, (name, body) in enumerate(FOREIGN.items()):
        about = f"Content-Type: {TYPES[number % 4]}; name=winmail.dat\r\nContent-Transfer-Encoding: base64"
        yield f"a file: {name}", parts(section(about, encodebytes(body).replace(b"\n", b"\r\n")))
    for encoding in (
        "binary",
        "8bit",
        "x-unheard-of",
        "base64 base64",
        '"base64"',
        "\udcff",
        "b" * 5000,
        "gzip",
    ):
        about = (
            f"Content-Transfer-Encoding: {encoding}\r\nContent-Disposition: attachment; filename=spec.yaml"
        )
        yield f"encoding {encoding[:20]!r}", parts(section(about, LINES))

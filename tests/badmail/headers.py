"""Header blocks: floods, doubles, what is no header, and octets that have no place there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.bombs import EVE, SPEC, TEXT, US, crlf, fields, folded, mail, multipart, section

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Headers that decide something, each of them there twice, with two meanings.
DOUBLES = {
    "From": "ana@example.org",
    "Subject": "[evil/repo]",
    "To": "specs+evil=repo@example.net",
    "Date": "Thu, 1 Jan 1970 00:00:00 +0000",
    "Message-ID": "<another@example.com>",
    "Content-Type": "application/yaml",
    "Content-Transfer-Encoding": "base64",
    "Content-Disposition": "attachment; filename=spec.yaml",
    "MIME-Version": "7.3",
    "Auto-Submitted": "auto-replied",
    "Delivered-To": "specs+evil=repo@example.net",
    "X-Loop": US,
}

#: Lines among the headers that are none, or hardly.
LINES = {
    "no colon": "this is no header\r\n",
    "no name": ": nothing before the colon\r\n",
    "a blank before the colon": "Subject : [evil/repo]\r\n",
    "a tab before the colon": "From\t: ana@example.org\r\n",
    "a fold with nothing to fold": " folded\r\n",
    "a fold of blanks": "X:\r\n \r\n \t\r\n x\r\n",
    "a From of mbox": "From eve@bombs.example Thu Jan  1 00:00:00 1970\r\n",
    "a quoted From of mbox": ">From eve@bombs.example\r\n",
    "a name of 900 letters": f"{'X' * 900}: x\r\n",
    "a name of 60,000 letters": f"{'X' * 60_000}: x\r\n",
    "a value of 60,000 letters": f"X: {'x' * 60_000}\r\n",
    "a name in UTF-8": "Ünïcøde: x\r\n",
    "a name in Latin-1": "Caf\udce9: x\r\n",
    "a value in Latin-1": "X: caf\udce9 \udcff\udcfe\r\n",
    "a value of every octet": "X: " + "".join(chr(0xDC00 + n) for n in range(128, 256)) + "\r\n",
    "NUL in a name": "X\0Y: x\r\n",
    "NUL in a value": "X: a\0b\r\n",
    "controls in a value": "X: " + "".join(map(chr, [1, 7, 8, 11, 12, 27, 127])) + "\r\n",
    "other line ends in a value": "X: a\x85b\u2028c\u2029d\vE: f\fG: h\x1cI: j\r\n",
    "a name of punctuation": "!#$%&'*+-.^_`|~: x\r\n",
    "a name of one hyphen": "-: x\r\n",
    "names that methods have": "__class__: x\r\nget: x\r\nfrom_: x\r\nheaders: x\r\nmail: x\r\n",
    "a format string": "X-%s%n: {0.__class__} %(x)s ${jndi:ldap://x.example/a}\r\n",
}


def mails() -> Iterator[tuple[str, bytes]]:
    """What a parser of headers trips over."""
    for name, value in DOUBLES.items():
        yield f"two of {name}", mail("Boom.\r\n", f"{name}: x\r\n", f"{name}: {value}\r\n")
    for name, line in LINES.items():
        yield name, mail("Boom.\r\n", line)
    yield "as many headers as may be", fields(990)
    yield "too many headers", fields(1001)
    yield "as many empty ones", fields(990, "X", "")
    yield "990 Subjects", fields(990, "Subject", "[example/tides]")
    yield "31 hops", fields(31, "Received", "from a by b; Thu, 1 Jan 1970 00:00:00 +0000")
    yield "500 hops", fields(500, "Received", "from [" * 10)
    yield "a References of 98 kB", mail("", f"References: {folded('<a@b> ', 98 << 10)}\r\n")
    yield "a References of half ids", mail("", f"References: {folded('<a@b<', 98 << 10)}\r\n")
    yield "a Message-ID without end", mail(**{"Message-ID": "<" + "x" * 5000})
    yield "no Message-ID", mail(**{"Message-ID": ""})
    yield "a Message-ID of blanks", mail(**{"Message-ID": "<a b@c d>"})
    yield "all of it headers", mail()[: -len("\r\nBoom.\r\n")]
    yield "no headers", b"\r\n" + crlf(SPEC).encode()
    yield "headers after the body began", b"\r\n" + mail(crlf(SPEC), TEXT)
    yield "only a From", f"From: {EVE}\r\n\r\n".encode()
    yield (
        "a part with 990 headers",
        mail(
            b"--=_b\r\n" + section("\r\n".join("X: x" for _ in range(990)), SPEC) + b"\r\n--=_b--\r\n",
            multipart("=_b"),
        ),
    )
    yield "a null sender's report", mail("", "Auto-Submitted: auto-replied\r\n", From="<>")

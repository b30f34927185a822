"""Lines: giant, empty, of dots, of NUL, with half an end, and messages that hardly have any."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.bombs import MIB, SPEC, TEXT, crlf, mail

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The longest line that is taken (smtp.line_length).
LONGEST = 64 << 10

BODIES = {
    "a bare LF": b"a\nb\r\n",
    "a bare CR": b"a\rb\r\n",
    "a LF before a CR": b"a\n\rb\r\n",
    "two CRs": b"a\r\r\nb\r\n",
    "all bare LFs": SPEC.encode(),
    "a bare CR at the end": b"a\r",
    "a bare LF at the end": b"a\n",
    "a smuggled end by LF": b"a\n.\nMAIL FROM:<eve@bombs.example>\nRCPT TO:<x@example.com>\nDATA\n",
    "a smuggled end by CR": b"a\r.\rMAIL FROM:<eve@bombs.example>\r",
    "a smuggled end, half": b"a\r\n.\nMAIL FROM:<eve@bombs.example>\r\n",
    "a smuggled end, the other half": b"a\n.\r\nMAIL FROM:<eve@bombs.example>\r\n",
    "a smuggled end by NUL": b"a\r\n\0.\r\nMAIL FROM:<eve@bombs.example>\r\n",
    "dots": b".\r\n" * 500,
    "two dots": b"..\r\n" * 500,
    "a million dots": (b"." * 1000 + b"\r\n") * 1000,
    "NUL": b"\0" * 900 + b"\r\n",
    "NUL alone in lines": b"\0\r\n" * 5000,
    "line ends alone": b"\r\n" * 100_000,
    "blanks alone": b" \t \r\n" * 50_000,
    "a line of 998": b"x" * 998 + b"\r\n",
    "a line of 1,001": b"x" * 1001 + b"\r\n",
    "the longest line": b"x" * LONGEST + b"\r\n",
    "a line too long": b"x" * (LONGEST + 1) + b"\r\n",
    "a line of 1 MiB": b"x" * MIB + b"\r\n",
    "a line of 1 MiB of NUL": bytes(MIB) + b"\r\n",
    "no line end": b"x",
    "an end of file": b"a\x1ab\r\n",
    "form feeds": b"a\x0cb\x0bc\x1cd\x1de\x1ef\r\n",
    "telnet": b"\xff\xf4\xff\xfd\x06\r\n",
    "a terminal": b"\x1b]0;owned\x07\x1b[2J\x1b[8m\r\n",
    "From of mbox": b"From eve@bombs.example Thu Jan  1 00:00:00 1970\r\n\r\nFrom x\r\n",
    "every octet": bytes({*range(256)} - {10, 13}) + b"\r\n",
    "SMTP": b"QUIT\r\nRSET\r\nDATA\r\nBDAT 1000000\r\n",
    "format=flowed without end": b"x \r\n" * 50_000,
    "quotes in quotes": b"> " * 400 + b"x\r\n" + b">" * 60_000 + b"\r\n",
    "flowed quotes": b"".join(b">" * n + b" x\r\n" for n in range(400)),
}
#: Messages that are hardly one.
WHOLE = {
    "nothing": b"",
    "one line end": b"\r\n",
    "one octet": b"x",
    "one NUL": b"\0",
    "a colon": b":",
    "a blank": b" ",
    "only a fold": b" \r\n \r\n\r\n",
    "two blank lines": b"\r\n\r\n",
    "every octet": bytes({*range(256)} - {10, 13}),
    "a specification and no mail": crlf(SPEC).encode(),
    "a page": b"<html><body>" + b"<div>" * 5000,
    "a request": b"GET / HTTP/1.1\r\nHost: x.example\r\n\r\n",
    "an image": b"\x89PNG\r\n\x1a" + bytes(500),
    "MIME without headers": b"--=_b\r\nContent-Type: application/yaml\r\n\r\n" + crlf(SPEC).encode(),
    "two mails": mail("one\r\n") + mail("two\r\n"),
}


def mails() -> Iterator[tuple[str, bytes]]:
    """In the body, and for the whole of it."""
    for name, body in BODIES.items():
        yield name, mail(body, TEXT)
    for name, raw in WHOLE.items():
        yield f"all of it: {name}", raw
    yield "a bare LF in a header", mail("", "X: a\nBcc: x@example.com\r\n")
    yield "a bare CR in a header", mail("", "X: a\rBcc: x@example.com\r\n")
    yield "a header too long", mail("", f"X: {'x' * LONGEST}\r\n")

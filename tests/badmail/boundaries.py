"""Boundaries: missing, alike, endless, and in other places than they belong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.bombs import SPEC, crlf, file, mail, multipart, parts, single

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE = file(SPEC.encode(), "spec.yaml").decode()
ONE = f"--=_b\r\n{FILE}\r\n--=_b--\r\n"

#: What Content-Type says, where the body is divided by ``=_b``.
DECLARED = {
    "none": "",
    "empty": "; boundary=",
    "empty in quotes": '; boundary=""',
    "of blanks": '; boundary="   "',
    "open quotes": '; boundary="=_b',
    "single quotes": "; boundary='=_b'",
    "a blank behind": '; boundary="=_b "',
    "a blank within": '; boundary="=_b x"',
    "a comment": "; boundary==_b (really)",
    "two": "; boundary==_b; boundary=other",
    "two, the other first": "; boundary=other; boundary==_b",
    "encoded": "; boundary*=us-ascii''%3D_b",
    "encoded, of no charset": "; boundary*=x-none''%3D_b%ff",
    "in pieces": '; boundary*0="="; boundary*1=_b',
    "in pieces from 1": '; boundary*1="="; boundary*2=_b',
    "in pieces without end": "".join(f"; boundary*{n}=a" for n in range(300)),
    "an encoded word": "; boundary==?utf-8?q?=3D=5Fb?=",
    "folded": ';\r\n\tboundary\r\n =\r\n "=_b"',
    "in capitals": '; BOUNDARY="=_b"',
    "no semicolon": " boundary==_b",
    "escaped": '; boundary="\\=\\_b"',
    "of 71 letters": f'; boundary="{"b" * 71}"',
    "of 5,000 letters": f'; boundary="{"b" * 5000}"',
    "of a pattern": '; boundary="(.*)+$[^"',
    "of hyphens": '; boundary="--"',
    "NUL in it": '; boundary="=_b\0"',
    "no ASCII": '; boundary="=_b\udcff"',
    "in UTF-8": '; boundary="=_bé"',
}

#: Bodies of a multipart whose boundary is ``=_b``.
BODIES = {
    "nothing": "",
    "no delimiter": crlf(SPEC),
    "no end": ONE.removesuffix("--=_b--\r\n"),
    "the end first": f"--=_b--\r\n{ONE}",
    "only the end": "--=_b--\r\n",
    "only a delimiter": "--=_b",
    "an end without a line end": ONE.removesuffix("\r\n"),
    "delimiters alone": "--=_b\r\n" * 150,
    "ends alone": "--=_b--\r\n" * 150,
    "blanks behind a delimiter": ONE.replace("--=_b\r\n", "--=_b \t \r\n"),
    "blanks before a delimiter": ONE.replace("--=_b\r\n", " --=_b\r\n"),
    "text behind a delimiter": ONE.replace("--=_b\r\n", "--=_bx\r\n"),
    "half an end": ONE.replace("--=_b--", "--=_b-"),
    "three hyphens": ONE.replace("--=_b", "---=_b"),
    "a delimiter in a header": f"--=_b\r\nX: x\r\n--=_b\r\n{FILE}\r\n--=_b--\r\n",
    "a delimiter in Base64": f"{ONE[:200]}\r\n--=_b\r\n{ONE[200:]}",
    "no blank line": "--=_b\r\nContent-Type: application/yaml\r\nmeta: {repo: example/tides}\r\n--=_b--\r\n",
    "no headers": f"--=_b\r\n{crlf(SPEC)}\r\n--=_b--\r\n",
    "a preamble of a specification": f"{crlf(SPEC)}\r\n{ONE}",
    "an epilogue of a specification": f"{ONE}{crlf(SPEC)}",
    "a part after the end": f"{ONE}--=_b\r\n{FILE}\r\n--=_b--\r\n",
    "100 parts after the end": ONE + "--=_b\r\n\r\nx\r\n--=_b--\r\n" * 100,
    "a megabyte of preamble": f"{'x' * 1000}\r\n" * 1000 + ONE,
}


def mails() -> Iterator[tuple[str, bytes]]:
    """What the header says, what the body does, and both at odds."""
    for name, declared in DECLARED.items():
        yield f"declared: {name}", single(f"Content-Type: multipart/mixed{declared}", ONE)
    for name, body in BODIES.items():
        yield f"body: {name}", mail(body, multipart("=_b"))
    for inner in ("=_b", "=_bx", "=_b--", "=_", "=_B"):
        opened = f"{multipart(inner)}\r\n--{inner}\r\n{FILE}\r\n--{inner}--\r\n"
        yield f"{inner} within =_b", parts(opened.encode(), file(SPEC.encode(), "two.yaml"))
    yield "199 declared", mail(ONE * 3, *(multipart(n) for n in range(190)), multipart("=_b"))
    yield "declared by a text", single("Content-Type: text/plain; boundary==_b", ONE)
    yield "not declared but there", mail(ONE)

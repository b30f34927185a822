"""Encoded words: nested, cut, of no charset, and of very many."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

from tests.bombs import MOST, SPEC, file, folded, mail, parts, section

if TYPE_CHECKING:
    from collections.abc import Iterator

WORDS = {
    "nested": "=?utf-8?q?=3D=3Futf-8=3Fq=3Fa=3F=3D?=",
    "nested five times": "=?utf-8?b?PT91dGYtOD9iP1BUOTFkR1l0T0Q5eFAyRS9QVDA9Pz0=?=",
    "a word in a word": "=?utf-8?q?=?utf-8?q?a?=?=",
    "not closed": "=?utf-8?q?abc",
    "not opened": "utf-8?q?abc?=",
    "empty": "=?utf-8?q??=",
    "no charset": "=?" + "?q?abc?=",
    "no encoding": "=?utf-8??abc?=",
    "an encoding that is none": "=?utf-8?x?abc?=",
    "broken Base64": "=?utf-8?b?!!!A?= =?utf-8?b?A?= =?utf-8?b?====?=",
    "Base64 of 4n+1 letters": "=?utf-8?b?YWJjZ?=",
    "broken quoted-printable": "=?utf-8?q?=G1=?= =?utf-8?q?=?= =?utf-8?q?=0?=",
    "half a character": "=?utf-8?q?=F0=9F?= =?utf-8?q?=8C=8A?=",
    "half a character for ever": "=?utf-8?q?=F0=9F?=",
    "line ends": "=?utf-8?q?a=0D=0ABcc:_victim@example.com=0D=0A=0D=0Abody?=",
    "NUL": "=?utf-8?q?a=00b?=",
    "a surrogate": "=?utf-16?b?2ADYAA==?= =?utf-7?q?+2AA-?=",
    "directions": "=?utf-8?q?=E2=80=AE=E2=81=A6[oper/live]?=",
    "a language": "=?utf-8*en-GB?q?abc?= =?utf-8*?q?abc?=",
    "blanks in it": "=?utf-8?q?a b c?=",
    "raw octets in it": "=?utf-8?q?\udcff\udcfe?=",
    "no blank between": "=?utf-8?q?a?==?utf-8?q?b?=",
    "a repository": "=?utf-8?q?=5Bevil/repo=5D?=",
    "half a repository": "[evil/=?utf-8?q?repo=5D?=",
}
#: Codecs of Python's that are no charsets, charsets that have states, and names that are neither.
CHARSETS = (
    *("zlib", "bz2", "hex", "base64", "rot13", "uu", "quopri", "idna", "punycode", "unicode_escape"),
    *("raw_unicode_escape", "undefined", "mbcs", "oem", "utf-8-sig", "utf-7", "utf-16", "utf-32", "utf_8"),
    *("iso-2022-jp", "iso-2022-kr", "hz", "cp037", "unknown-8bit", "default", "\0", "../../etc/passwd"),
    *("x" * 400, "utf-8" * 9, "encodings.aliases", "é"),
)


def mails() -> Iterator[tuple[str, bytes]]:
    """In Subject, in From and in names; one by one, and as many as go into a header."""
    for name, word in WORDS.items():
        yield f"Subject: {name}", mail(Subject=f"{word} [example/tides]")
    for name, word in WORDS.items():
        yield f"From: {name}", mail(From=f"{word} <eve@bombs.example>")
    for charset in CHARSETS:
        words = " ".join(f"=?{charset}?{encoding}?eJxLBAAA+2AA-?=" for encoding in "qb")
        yield f"charset {charset[:20]!r}", mail(Subject=words)
    for name in ("nested", "line ends", "NUL", "half a character for ever", "raw octets in it", "not closed"):
        about = f'Content-Type: application/yaml; name="{WORDS[name]}"'
        yield f"a name: {name}", parts(section(about, SPEC))
    for header in ("Subject", "From", "Reply-To", "Message-ID", "Date"):
        flood = folded("=?utf-8?q?=F0=9F=92=A3?= ", MOST - 2000)
        yield f"98 kB of {header}", mail(**{header: flood})
        yield f"98 kB of {header}, open", mail(**{header: folded("=?utf-8?q?", MOST - 2000)})
    many = "\r\n ".join(f"=?x{n}?q?a?=" for n in range(5500))
    yield "5,500 charsets", mail(Subject=many)
    long = b64encode("🌊".encode() * 17_000).decode()
    yield "a word of 90 kB", mail(Subject="=?utf-8?b?" + folded(long, len(long)) + "?=")
    yield (
        "names of 199 parts",
        parts(
            *(file(b"x", f"=?utf-8?q?=F0=9F=92=A3{n}?=") for n in range(199)),
        ),
    )

"""Charsets: specifications in all that a mailer might write, and in what none should."""

from __future__ import annotations

import codecs
from base64 import encodebytes
from typing import TYPE_CHECKING

from tests.bombs import SPEC, coded, parts, section, single

if TYPE_CHECKING:
    from collections.abc import Iterator

MARK = codecs.BOM_UTF8
PLAIN = SPEC.replace("à", "a").replace("🌊", "~")

#: The content of a specification, and the charset that is declared of it.
DOCUMENTS: dict[str, tuple[bytes, str]] = {
    "UTF-16 without a mark": (SPEC.encode("utf-16-le"), "utf-16"),
    "UTF-16 that says it is little": (SPEC.encode("utf-16-be"), "utf-16le"),
    "UTF-16 of odd length": (SPEC.encode("utf-16") + b"x", "utf-16"),
    "UTF-16 of a lone surrogate": (codecs.BOM_UTF16_LE + b"\x00\xd8" + SPEC.encode("utf-16-le"), "utf-16"),
    "UTF-32": (SPEC.encode("utf-32"), "utf-32"),
    "UTF-7": (PLAIN.encode().replace(b"a", b"+AGE-"), "utf-7"),
    "UTF-8 with a mark": (MARK + SPEC.encode(), "utf-8"),
    "UTF-8 with two marks": (MARK * 2 + SPEC.encode(), "utf-8"),
    "UTF-8 with 1,000 marks": (MARK * 1000 + SPEC.encode(), "utf-8"),
    "a mark of the other kind": (codecs.BOM_UTF16_BE + SPEC.encode("utf-16-le"), "utf-8"),
    "a mark alone": (MARK, "utf-8"),
    "half a mark": (MARK[:2] + SPEC.encode(), "utf-8"),
    "overlong UTF-8": (SPEC.encode().replace(b"/", b"\xc0\xaf"), "utf-8"),
    "UTF-8 of surrogates": (SPEC.encode().replace(b"tide,", b"\xed\xa0\xbd\xed\xb8\x80"), "utf-8"),
    "UTF-8 beyond Unicode": (SPEC.encode().replace(b"tide,", b"\xf4\x90\x80\x80"), "utf-8"),
    "UTF-8 cut short": (SPEC.encode().replace(b"tide,", b"\xf0\x9f"), "utf-8"),
    "Latin-1 that says UTF-8": (PLAIN.replace("~", "é").encode("latin-1"), "utf-8"),
    "UTF-8 that says ASCII": (SPEC.encode(), "us-ascii"),
    "UTF-8 that says Shift JIS": (SPEC.encode(), "shift_jis"),
    "EBCDIC": (PLAIN.encode("cp037"), "cp037"),
    "ISO-2022-JP without end": (PLAIN.encode() + b"\x1b$B$", "iso-2022-jp"),
    "ISO-2022-JP of escapes": (b"\x1b$B\x1b(B" * 20_000 + PLAIN.encode(), "iso-2022-jp"),
    "HZ": (PLAIN.encode() + b"~{~}~~", "hz"),
    "GB 18030 cut short": (SPEC.encode("gb18030") + b"\x81\x30\x81", "gb18030"),
    "Big5 of lead octets": (PLAIN.encode() + b"\xfe" * 5000, "big5"),
    "punycode": (b"-a9=" * 50_000, "punycode"),
    "escapes": (b"\\u0041\\N{BULLET}\\x00" + PLAIN.encode(), "unicode_escape"),
    "zlib": (codecs.encode(PLAIN.encode(), "zlib"), "zlib"),
    "a charset of 5,000 letters": (SPEC.encode(), "x" * 5000),
    "a charset with NUL": (SPEC.encode(), "utf\0-8"),
    "a charset in no ASCII": (SPEC.encode(), "\udcff\udcfe"),
    "a path for a charset": (SPEC.encode(), "../../../../dev/zero"),
    "NUL in it": (SPEC.encode().replace(b"tide,", b"ti\0de,"), "utf-8"),
    "NUL alone": (bytes(100_000), "utf-8"),
    "every octet": (bytes(range(256)) * 40, "utf-8"),
    "other line ends": (SPEC.replace("\n", "\x85").encode(), "utf-8"),
    "line and paragraph separators": (SPEC.replace("\n", "\u2028").encode(), "utf-8"),
    "no characters": (SPEC.replace("tide,", "\ufffe\uffff\ufdd0").encode(), "utf-8"),
    "private characters": (SPEC.replace("tide,", "\ue000\U000f0000").encode(), "utf-8"),
    "directions": (SPEC.replace("tide,", "\u202e\u2066tide\u2069").encode(), "utf-8"),
    "tags and no widths": (SPEC.replace("tide,", "\U000e0041\u200b\u200d\ufeff").encode(), "utf-8"),
    "5,000 marks on a letter": (SPEC.replace("tide,", "a" + "\u0301" * 5000).encode(), "utf-8"),
    "letters that grow when normalised": (SPEC.replace("tide,", "\ufdfa" * 600).encode(), "utf-8"),
    "letters of other cases": (SPEC.replace("tides", "\u0130\u0131\u017f\u212a").encode(), "utf-8"),
    "keys that look alike": (SPEC.replace("meta", "m\u0435ta").encode(), "utf-8"),
    "1,900 emoji": (SPEC.replace("tide,", "👩\u200d🚀" * 400).encode(), "utf-8"),
}


def mails() -> Iterator[tuple[str, bytes]]:
    """Attached as a specification, and some as the text of the mail."""
    for name, (content, charset) in DOCUMENTS.items():
        about = (
            f'Content-Type: application/yaml; charset="{charset}"; name=spec.yaml\r\n'
            "Content-Transfer-Encoding: base64"
        )
        yield name, parts(section(about, encodebytes(content).replace(b"\n", b"\r\n")))
    for name in list(DOCUMENTS)[::3]:
        content, charset = DOCUMENTS[name]
        body = encodebytes(content).replace(b"\n", b"\r\n")
        yield f"a text: {name}", coded(body, "base64", f'text/plain; charset="{charset}"')
    yield (
        "every octet in 8bit",
        single("Content-Type: application/yaml; charset=utf-8", bytes({*range(256)} - {10, 13})),
    )

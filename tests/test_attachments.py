"""Attachments by real SMTP, from the wire to storage: what lies there is what was attached, octet by octet.

That is: in Base64, quoted-printable and uuencode, the octets that were
encoded. In 7bit, 8bit and binary, those on the wire from the blank line up to
the line end before the delimiter, which is the delimiter's (RFC 2046, 5.1.1):
so a text's lines end in CRLF there, as it was sent, whatever its writer's
editor ends them with. The text of the mail itself, and a forwarded mail as a
whole, lie in the message alone, which is kept as it came.
"""

from __future__ import annotations

import binascii
import json
from base64 import b64encode, encodebytes
from functools import partial
from hashlib import sha256
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from tests.bombs import SPEC, crlf, file, mail, multipart, section
from tests.fix_posting import Session

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fix_target import Target

#: Every octet, and what looks like structure.
ODD = bytes(range(256)) * 3 + b"\r\n.\r\n--=_b\r\nFrom \xe9\r\n\r\n"
LINES = "Meeres\u00adh\u00f6he, gez\u00e4hlt\r\n..\r\n  und so weiter  \r\n".encode()
NAMED = "Content-Disposition: attachment; filename=x.bin"

numbers = count(1)


def wrapped(octets: bytes, length: int, end: bytes = b"\r\n") -> bytes:
    """In lines of one length."""
    return b"".join(octets[at : at + length] + end for at in range(0, len(octets), length))


def uuencoded(content: bytes, about: bytes = b"begin 644 x.bin\r\n", *, backtick: bool = True) -> bytes:
    """As a uuencode program writes it, of either habit."""
    lines = (binascii.b2a_uu(content[at : at + 45], backtick=backtick) for at in range(0, len(content), 45))
    return about + b"".join(line[:-1] + b"\r\n" for line in lines) + b"`\r\nend\r\n"


def quoted(content: bytes, form: str = "=%02X") -> bytes:
    """Every octet as quoted-printable may write it, in lines of 72."""
    return wrapped(b"".join((form % octet).encode() for octet in content), 72, b"=\r\n").removesuffix(
        b"=\r\n"
    )


B64 = b64encode(ODD + b"x")
#: The same octets in a transfer encoding, and how it is named.
ENCODED: dict[str, tuple[str, bytes]] = {
    **{f"base64, lines of {n}": ("base64", wrapped(B64, n)) for n in (1, 3, 4, 57, 72, 75, 76, 77, 998)},
    "base64, one line": ("base64", B64),
    "base64, no pad": ("base64", B64.rstrip(b"=")),
    "base64, pads too many": ("base64", B64 + b"=="),
    "base64, blanks behind its lines": ("base64", wrapped(B64, 76, b" \t\r\n")),
    "base64, blanks before its lines": ("base64", wrapped(B64, 76, b"\r\n  ")),
    "base64, blanks within": ("base64", wrapped(B64, 4, b" ")),
    "base64, blank lines between": ("base64", wrapped(B64, 76, b"\r\n\r\n")),
    "base64, blank lines before": ("base64", b"\r\n\r\n" + wrapped(B64, 76)),
    "base64, blank lines behind": ("base64", wrapped(B64, 76) + b"\r\n\r\n"),
    "base64, a footer behind": ("base64", wrapped(B64, 76) + b"\r\n-- \r\na list\r\n"),
    "base64, in capitals": ("BASE64", wrapped(B64, 76)),
    "base64, in quotes": ('"base64"', wrapped(B64, 76)),
    "base64, with a comment": ("base64 (RFC 2045)", wrapped(B64, 76)),
    "base64, with a semicolon": ("base64;", wrapped(B64, 76)),
    "base64, folded": ("\r\n base64", wrapped(B64, 76)),
    "quoted-printable": ("quoted-printable", quoted(ODD + b"x")),
    "quoted-printable, small digits": ("quoted-printable", quoted(ODD + b"x", "=%02x")),
    "quoted-printable, one line": ("quoted-printable", quoted(ODD + b"x").replace(b"=\r\n", b"")),
    "quoted-printable, a soft line end a letter": (
        "quoted-printable",
        wrapped(quoted(ODD + b"x"), 3, b"=\r\n"),
    ),
    "quoted-printable, blanks behind soft ends": (
        "quoted-printable",
        quoted(ODD + b"x").replace(b"=\r\n", b"= \t\r\n"),
    ),
    "quoted-printable, a soft end at the end": ("quoted-printable", quoted(ODD + b"x") + b"=\r\n"),
    "quoted-printable, in capitals": ("Quoted-Printable", quoted(ODD + b"x")),
    **{
        f"{name}, uuencoded": (name, uuencoded(ODD + b"x"))
        for name in ("x-uuencode", "uuencode", "x-uue", "uue")
    },
    "uuencoded with blanks": ("x-uuencode", uuencoded(ODD + b"x", backtick=False)),
    "uuencoded, a mode of four": ("x-uuencode", uuencoded(ODD + b"x", b"begin 0644 a b.bin\r\n")),
    "uuencoded, a text before": ("x-uuencode", uuencoded(ODD + b"x", b"Here:\r\n\r\nbegin 644 x\r\n")),
}
LATIN = "été: naïve\r\n\r\n- à\r\n".encode("latin-1")
#: Octets that stand on the wire as they are.
PLAIN: dict[str, tuple[str, bytes]] = {
    "7bit": ("7bit", b"a\r\nb\r\n"),
    "8bit": ("8bit", LATIN),
    "binary": ("binary", bytes({*range(256)} - {10, 13}) * 9),
    "named in capitals": ("8BIT", LATIN),
    "unheard of": ("x-unheard-of", LATIN),
    "no name": ("", LATIN),
    "empty": ("7bit", b""),
    "one octet": ("7bit", b"x"),
    "one NUL": ("8bit", b"\0"),
    "no line end": ("7bit", b"a\r\nb"),
    "one line end": ("7bit", b"\r\n"),
    "three line ends": ("7bit", b"\r\n\r\n\r\n"),
    "line ends before": ("7bit", b"\r\n\r\nx"),
    "line ends behind": ("7bit", b"x\r\n\r\n"),
    "blanks at line ends": ("7bit", b"a \r\nb\t\r\n \r\n"),
    "dots": ("7bit", b".\r\n..\r\n...x\r\n"),
    "what looks like a delimiter": ("7bit", b"--\r\n--=_bx\r\n --=_b\r\n--=_\r\n"),
    "what looks like a header": ("7bit", b"From: x\r\nContent-Type: message/rfc822\r\n\r\nFrom x\r\n"),
    "what looks encoded": ("7bit", b"=C3=A9 =?utf-8?q?x?= QUJD=\r\n"),
    "UTF-8 with a mark": ("8bit", b"\xef\xbb\xbf" + LINES),
    "lines of 60,000": ("8bit", (b"x" * 60_000 + b"\r\n") * 3),
    "a text around what is cut out": ("8bit", (b"y" * 70 + b"\r\n") * 9),
}

#: What a part says about itself, and the name that is recorded.
NAMES: dict[str, tuple[str, str | None]] = {
    "filename": ("Content-Disposition: attachment; filename=a.bin", "a.bin"),
    "filename in quotes": ('Content-Disposition: attachment; filename="a b;c.bin"', "a b;c.bin"),
    "filename with escapes": ('Content-Disposition: attachment; filename="a\\"b.bin"', 'a"b.bin'),
    "filename encoded": ("Content-Disposition: attachment; filename*=utf-8''%C3%A9.bin", "é.bin"),
    "filename in Latin-1": ("Content-Disposition: attachment; filename*=iso-8859-1'fr'%E9.bin", "é.bin"),
    "filename in pieces": (
        'Content-Disposition: attachment;\r\n filename*0="a";\r\n filename*1=".bin"',
        "a.bin",
    ),
    "filename in encoded pieces": (
        "Content-Disposition: attachment; filename*0*=utf-8''%C3;\r\n filename*1*=%A9; filename*2=.bin",
        "é.bin",
    ),
    "filename both ways": (
        "Content-Disposition: attachment; filename=e.bin; filename*=utf-8''%C3%A9.bin",
        "é.bin",
    ),
    "filename in a word": ('Content-Disposition: attachment; filename="=?utf-8?q?=C3=A9=2Ebin?="', "é.bin"),
    "filename in Base64": ('Content-Disposition: attachment; filename="=?utf-8?b?w6kuYmlu?="', "é.bin"),
    "filename in two words": (
        'Content-Disposition: attachment; filename="=?utf-8?b?w6k=?=\r\n =?utf-8?b?LmJpbg==?="',
        "é.bin",
    ),
    "filename in Shift JIS": ('Content-Disposition: attachment; filename="=?shift_jis?b?k/o=?="', "日"),
    "filename in raw UTF-8": ('Content-Disposition: attachment; filename="é.bin"', "é.bin"),
    "filename in raw Latin-1": ('Content-Disposition: attachment; filename="\udce9.bin"', "é.bin"),
    "filename of a path": ('Content-Disposition: attachment; filename="../a.bin"', "../a.bin"),
    "filename in capitals": ("Content-Disposition: ATTACHMENT; FILENAME=A.BIN", "A.BIN"),
    "name": ("Content-Type: application/x-thing; name=a.bin", "a.bin"),
    "name encoded": ("Content-Type: application/x-thing; name*=utf-8''%C3%A9.bin", "é.bin"),
    "name in pieces": ("Content-Type: application/x-thing; name*0=a; name*1=.bin", "a.bin"),
    "name and filename": (
        "Content-Type: application/x-thing; name=b.bin\r\nContent-Disposition: attachment; filename=a.bin",
        "a.bin",
    ),
    "none": ("Content-Disposition: attachment", None),
    "none, and no disposition": ("Content-Type: application/x-thing", None),
    "none, inline": ("Content-Type: image/png\r\nContent-Disposition: inline", None),
    "inline": ("Content-Disposition: inline; filename=a.bin", "a.bin"),
    "an odd disposition": ("Content-Disposition: x-unheard-of; filename=a.bin", "a.bin"),
    "form-data": ('Content-Disposition: form-data; name="f"; filename="a.bin"', "a.bin"),
    "an empty disposition": ("Content-Disposition: ; filename=a.bin", "a.bin"),
    "more parameters": (
        'Content-Disposition: attachment; size=9; creation-date="Mon, 1 Jan 2024"; filename=a.bin',
        "a.bin",
    ),
    "a Content-ID": ("Content-Type: image/png\r\nContent-ID: <a@b>", None),
    "text/plain": ("Content-Type: text/plain; name=a.txt", "a.txt"),
    "text/html": ("Content-Type: text/html; name=a.html", "a.html"),
    "text/csv in UTF-16": ("Content-Type: text/csv; charset=utf-16", None),
    "text/calendar": ("Content-Type: text/calendar; method=REQUEST", None),
    "no type that there is": ("Content-Type: x\r\nContent-Disposition: attachment; filename=a.bin", "a.bin"),
    "a report's fields": ("Content-Type: message/delivery-status", None),
    "a receipt's fields": ("Content-Type: message/disposition-notification", None),
    "a complaint's fields": ("Content-Type: message/feedback-report; name=a.txt", "a.txt"),
    "a piece of a message": ('Content-Type: message/partial; id="a@b"; number=1; total=2', None),
    "a message elsewhere": ("Content-Type: message/external-body; access-type=URL", None),
}

#: Charsets that a specification may be written in, with words that need them.
WRITTEN = {
    "utf-8": "日本 🌊 é",
    "us-ascii": "tides",
    "utf-16": "日本 🌊 é",
    "iso-8859-1": "été",
    "windows-1252": "été … €",
    "iso-8859-15": "été €",
    "iso-8859-2": "příliv",
    "iso-8859-7": "παλίρροια",
    "windows-1251": "прилив",
    "koi8-r": "прилив",
    "koi8-u": "приплив ї",
    "shift_jis": "日本の潮",
    "euc-jp": "日本の潮",
    "iso-2022-jp": "日本の潮",
    "gb2312": "潮汐",
    "gbk": "潮汐",
    "gb18030": "潮汐 🌊",
    "big5": "潮汐",
    "euc-kr": "조수",
}


def stored(target: Target, *parts: bytes, raw: bytes | None = None) -> dict[str, tuple[str | None, bytes]]:
    """Mail these parts behind a specification; name and octets of all that is stored, by their places."""
    number = next(numbers)
    body = b"".join(b"--=_b\r\n" + part + b"\r\n" for part in (file(SPEC.encode(), "spec.yaml"), *parts))
    whole = raw or mail(
        body + b"--=_b--\r\n", multipart("=_b"), **{"Message-ID": f"<{number}@bombs.example>"}
    )
    sender = f"{number}@attachments.example"
    with Session(target.daemon.smtp, number) as session:
        answer = session.hand_in(whole, sender)
    assert answer.code == 250, answer
    assert " mail=" in answer.text
    return {place: (name, content) for place, name, content in _rows(target, sender)}


def _rows(target: Target, sender: str) -> list[tuple[str, str | None, bytes]]:
    with target.database.connect() as conn:
        rows: list[Any] = conn.execute(
            "select p.place, p.name, p.key, p.size, p.sha256 from intake.parts p"
            " join intake.arrivals a on a.mail_id = p.mail_id where a.mail_from = %s",
            [sender],
        ).fetchall()
    found = []
    for place, name, key, size, digest in rows:
        content = (target.daemon.state_dir / "storage" / key).read_bytes()
        assert (len(content), sha256(content).hexdigest()) == (size, digest)
        found.append((place, name, content))
    return found


open_to_all = pytest.mark.parametrize("target", ["open"], indirect=True)


def test_there_are_as_many_as_we_say() -> None:
    """README says: over 100, each another one."""
    tables = (ENCODED, PLAIN, NAMES, PLACES, LARGE, SENT)

    assert sum(map(len, tables)) > 100
    assert len(
        set(map(repr, (*ENCODED.values(), *PLAIN.values(), *NAMES.values(), *PLACES.values())))
    ) == sum(map(len, tables[:4]))


@open_to_all
@pytest.mark.parametrize("how", ENCODED)
def test_an_encoded_file_is_what_was_encoded(target: Target, how: str) -> None:
    """Whatever lines, blanks, pads and footers its transport has added."""
    encoding, body = ENCODED[how]

    found = stored(target, section(f"{NAMED}\r\nContent-Transfer-Encoding: {encoding}", body))

    assert found["2"] == ("x.bin", ODD + b"x")


@open_to_all
@pytest.mark.parametrize("how", PLAIN)
def test_a_plain_file_is_what_stood_on_the_wire(target: Target, how: str) -> None:
    """Neither its line ends nor its charset are touched, nor what looks like structure in it."""
    encoding, body = PLAIN[how]

    found = stored(target, section(f"{NAMED}\r\nContent-Transfer-Encoding: {encoding}", body), b"\r\nlast")

    assert found["2"] == ("x.bin", body)


@open_to_all
@pytest.mark.parametrize("how", NAMES)
def test_a_file_is_kept_whatever_it_is_called(target: Target, how: str) -> None:
    """By any disposition, with any name or none; the name is the one its sender meant."""
    about, name = NAMES[how]
    fields = b"Reporting-MTA:dns;x\r\n\r\nAction:\tfailed\r\n folded\r\n\r\n"

    plain = stored(target, section(about, fields), b"\r\nlast")
    encoded = stored(
        target,
        section(f"{about}\r\nContent-Transfer-Encoding: base64", encodebytes(ODD).replace(b"\n", b"\r\n")),
    )

    assert plain["2"] == (name, fields)
    assert encoded["2"] == (name, ODD)


def inside(*parts: bytes, boundary: str = "=_i", kind: str = "mixed") -> bytes:
    """A part that holds parts."""
    opened = b"".join(f"--{boundary}\r\n".encode() + part + b"\r\n" for part in parts)
    about = f'Content-Type: multipart/{kind}; boundary="{boundary}"\r\n\r\n'
    return about.encode() + opened + f"--{boundary}--\r\n".encode()


THING = file(ODD, "x.bin")
FORWARDED = b"Content-Type: message/rfc822\r\n\r\nFrom: x@example.com\r\nSubject: x\r\n"
PLACES: dict[str, tuple[bytes, str]] = {
    "in a multipart": (inside(b"\r\nHi", THING), "2.2"),
    "related": (inside(b"\r\nHi", THING, kind="related"), "2.2"),
    "in three multiparts": (inside(inside(inside(THING, boundary="=_k"), boundary="=_j")), "2.1.1.1"),
    "in a multipart of a like boundary": (inside(THING, b"\r\nHi", boundary="=_bx"), "2.1"),
    "in a mail": (FORWARDED + inside(b"\r\nHi", THING), "2.2"),
    "as a mail": (FORWARDED + THING, "2.1"),
    "in a mail in a mail": (FORWARDED + FORWARDED + inside(THING), "2.1.1"),
    "in a mail in a multipart": (inside(FORWARDED + inside(THING, boundary="=_j")), "2.1.1"),
}


@open_to_all
@pytest.mark.parametrize("where", PLACES)
def test_a_file_is_kept_wherever_it_lies(target: Target, where: str) -> None:
    """In any container, in mails that are forwarded, and after the last delimiter."""
    part, place = PLACES[where]

    assert stored(target, part)[place] == ("x.bin", ODD)


@open_to_all
def test_a_file_after_the_end_is_kept(target: Target) -> None:
    """Broken mailers add parts there."""
    late = b"--=_b--\r\n--=_b\r\n" + THING

    assert stored(target, b"\r\nHi", b"\r\nHo\r\n" + late)["4"] == ("x.bin", ODD)


LARGE: dict[str, Callable[[], tuple[str, bytes, bytes]]] = {
    "base64": lambda: (
        "base64",
        wrapped(b64encode(bytes(range(256)) * 20_480), 76),
        bytes(range(256)) * 20_480,
    ),
    "8bit": lambda: ("8bit", LINES * 80_000, LINES * 80_000),
    "quoted-printable": lambda: ("quoted-printable", quoted(ODD * 2200), ODD * 2200),
    **{
        f"base64 of {n} octets": partial(
            lambda n: ("base64", wrapped(b64encode(b"\xff" * n), 76), b"\xff" * n), n
        )
        for n in range(47_887, 47_893)  # about as many as are cut out before parsing (mail.skeleton.CUT_MIN)
    },
}


@open_to_all
@pytest.mark.parametrize("how", LARGE)
def test_a_large_file_is_no_different(target: Target, how: str) -> None:
    """Up to five megabytes, between others."""
    encoding, body, content = LARGE[how]()
    about = f"{NAMED}\r\nContent-Transfer-Encoding: {encoding}"

    found = stored(target, section(about, body), THING, section(about, body))

    assert [sha256(found[place][1]).digest() for place in "234"] == [
        sha256(octets).digest() for octets in (content, ODD, content)
    ]


#: Not UTF-16 in 8bit: half of its line ends stand alone, and no server takes those.
SENT = [(charset, "base64") for charset in WRITTEN] + [
    (charset, "8bit") for charset in WRITTEN if charset != "utf-16"
]


@open_to_all
@pytest.mark.parametrize(("charset", "encoding"), SENT)
def test_a_specification_is_read_and_kept_in_its_charset(target: Target, charset: str, encoding: str) -> None:
    """What is planned is what it says, and what is stored is the file as it was."""
    content = crlf(SPEC.replace("the tide, à l'heure 🌊", WRITTEN[charset])).encode(charset)
    body = encodebytes(content).replace(b"\n", b"\r\n") if encoding == "base64" else content
    about = (
        f"Content-Type: application/yaml; charset={charset}; name=spec.yaml\r\n"
        f"Content-Transfer-Encoding: {encoding}\r\n"
    )

    found = stored(target, raw=mail(body, about, **{"Message-ID": f"<{charset}-{encoding}@bombs.example>"}))

    assert found["1"] == ("spec.yaml", content)
    assert json.loads(found["plan-1"][1])["sprints"][0]["goals"] == [WRITTEN[charset]]

"""What parse finds in a message, down to the byte, and what it refuses to read."""

from __future__ import annotations

import base64
import binascii
import email
import json
import pickle
import quopri
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.mail import Unreadable, crlf, mime, skeleton
from tests.fix_mails import HEADERS, multipart, part, read, single

if TYPE_CHECKING:
    from collections.abc import Callable
    from email.message import Message

    from daemon.mail import Mail


def breaks(raw: bytes) -> str | None:
    """Who is to blame when reading ``raw`` raises: ``libraries``, a function of ours, or nobody."""
    try:
        read(raw)
    except Unreadable:
        return None
    except Exception as error:  # noqa: BLE001 - whatever it is, somebody raised it
        trace = traceback.extract_tb(error.__traceback__)
        ours = [frame for frame in trace if "daemon" in Path(frame.filename).parts]
        return (
            "libraries" if ours[-1].name in {"parse", "_message"} and trace[-1] != ours[-1] else ours[-1].name
        )
    return None


MAILS = sorted((Path(__file__).parent / "mails").glob("*.eml"))
#: Every byte and what looks like mail; a multiple of three, so that its Base64 needs no pad.
ODD_BYTES = bytes(range(256)) * 3 + b"\r\n.\r\n--\r\nFrom \xe9"
PADDED = ODD_BYTES + b"."


def seen(mail: Mail) -> dict[str, object]:
    """A mail as the files beside ``mails/*.eml`` tell it."""
    return {
        "sender": mail.sender,
        "subject": mail.subject,
        "message_id": mail.message_id,
        "references": list(mail.references),
        "sent_at": mail.sent_at.isoformat() if mail.sent_at else None,
        "body": mail.body,
        "parts": [[part.place, part.name, part.media_type] for part in mail.parts],
    }


@pytest.mark.parametrize("path", MAILS, ids=lambda path: path.stem)
def test_a_mail_reads_as_the_file_beside_it_says(path: Path) -> None:
    """Structure, names, text, sender and dates of each kind of mail are what its writer meant."""
    expected = json.loads(path.with_suffix(".json").read_text())

    found = seen(read(path.read_bytes()))

    assert expected == {key: found[key] for key in expected}


@pytest.mark.parametrize("path", MAILS, ids=lambda path: path.stem)
def test_a_mail_reads_the_same_twice(path: Path) -> None:
    """Nothing random gets into a mail, names of nameless parts least of all."""
    assert read(path.read_bytes()) == read(path.read_bytes())


def uuencoded(content: bytes) -> bytes:
    """``content`` as a uuencode program writes it."""
    lines = [binascii.b2a_uu(content[at : at + 45]) for at in range(0, len(content), 45)]
    return b"begin 644 x\r\n" + b"".join(line[:-1] + b"\r\n" for line in lines) + b"`\r\nend\r\n"


def qp(content: bytes) -> bytes:
    """``content`` in quoted-printable, its line ends encoded."""
    return binascii.b2a_qp(content, istext=False).replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


BASE64 = base64.b64encode(PADDED)
LINES = base64.encodebytes(PADDED).replace(b"\n", b"\r\n")
ENCODED = {
    "base64 in one line": (b"base64", BASE64),
    "base64 in lines": (b"base64", LINES),
    "base64 named with a space behind": (b"base64 ", LINES),
    "base64 named in capitals with a comment": (b"BASE64 (of course)", LINES),
    "base64 without its pad": (b"base64", BASE64.rstrip(b"=")),
    "base64 of 4n+1 letters": (b"base64", base64.b64encode(ODD_BYTES) + b"A"),
    "base64 with junk in it": (b"base64", b"!" + BASE64[:8] + b"\xff*\t" + BASE64[8:]),
    "base64 with text behind its pad": (b"base64", BASE64 + b"\r\n-- \r\nsent by a list"),
    "quoted-printable": (b"quoted-printable", qp(PADDED)),
    "quoted-printable with white space added": (b"quoted-printable", qp(PADDED).replace(b"\r\n", b" \t\r\n")),
    "x-uuencode": (b"x-uuencode", uuencoded(PADDED)),
}


@pytest.mark.parametrize("how", ENCODED)
def test_an_attachment_arrives_to_the_byte(how: str) -> None:
    """Whatever bytes a file holds, every transfer encoding that mailers write gives them back."""
    encoding, body = ENCODED[how]

    mail = read(multipart(part(body, b"Content-Transfer-Encoding: " + encoding)))

    assert (ODD_BYTES if "4n+1" in how else PADDED) == mail.parts[0].content


@pytest.mark.parametrize("encoding", [b"8bit", b"binary", b"7bit", b"x-unheard-of", b""])
def test_a_body_without_an_encoding_we_know_stays_as_it_is(encoding: bytes) -> None:
    """A latin-1 document in 8bit arrives as it was sent, not as somebody's idea of UTF-8."""
    content = "été: naïve\r\n\r\n- x".encode("latin-1")

    mail = read(
        multipart(part(content, b"Content-Type: application/yaml", b"Content-Transfer-Encoding: " + encoding))
    )

    assert content == mail.parts[0].content


@pytest.mark.parametrize("body", [b"meta", b"meta: x\r\nsoft =\r\nbreak", b"=", b"=ZZ", b"\xff"])
def test_quoted_printable_is_read_as_the_standard_library_does(body: bytes) -> None:
    """Broken quoted-printable is not worse for us than for others."""
    mail = read(multipart(part(body, b"Content-Transfer-Encoding: quoted-printable")))

    assert quopri.decodestring(body) == mail.parts[0].content


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=400), st.sampled_from(["base64", "qp", "uu"]))
def test_any_bytes_survive_any_encoding(content: bytes, how: str) -> None:
    """No content is special to the transfer encodings."""
    encode = {"base64": base64.encodebytes, "qp": qp, "uu": uuencoded}[how]
    name = {"base64": b"base64", "qp": b"quoted-printable", "uu": b"x-uuencode"}[how]

    mail = read(multipart(part(encode(content), b"Content-Transfer-Encoding: " + name)))

    assert content == mail.parts[0].content


@pytest.mark.parametrize("tail", [b"", b"\r\nBack to text."])
@pytest.mark.parametrize("encoding", [b"base64", b"8bit"])
def test_a_large_attachment_is_no_different(encoding: bytes, tail: bytes) -> None:
    """What is cut out before parsing comes back whole, in its own place, with its neighbours."""
    first, second = (base64.encodebytes(letter * 150_000).replace(b"\n", b"\r\n") for letter in (b"a", b"bc"))
    fields = b"Content-Transfer-Encoding: " + encoding

    mail = read(multipart(part(b"Hi"), part(first + tail, fields), part(second, fields)))

    plain = encoding == b"8bit"
    assert (first + tail if plain else b"a" * 150_000) == mail.parts[1].content[: None if plain else 150_000]
    assert (second if plain else b"bc" * 150_000) == mail.parts[2].content


def test_a_large_message_of_one_part_is_no_different() -> None:
    """A mail that is itself the file comes through like an attached one."""
    content = ODD_BYTES * 300

    mail = read(single(base64.encodebytes(content), b"Content-Transfer-Encoding: base64"))

    assert content == mail.parts[0].content


def test_a_large_text_is_no_different() -> None:
    """A text that can't be cut out is fed to the parser in pieces, and no line end is lost between them."""
    content = b"\r\n".join(b"\xe9" * (n % 7) for n in range(200_000))

    assert content == read(multipart(part(content))).parts[0].content


CHARSETS = {
    "its charset": (b"iso-8859-15", "10 €".encode("iso-8859-15"), "10 €"),
    "a wrong charset": (b"us-ascii", "été".encode(), "été"),
    "no charset at all": (b"x-none", "été".encode("latin-1"), "été"),
    "a codec that is no charset": (b"idna", b"xn--a", "xn--a"),
    "a codec of bytes": (b"zlib", b"abc", "abc"),
    "a name that breaks codecs": (b"a\x00b", b"abc", "abc"),
    "surrogates out of a codec": (b"utf-7", b"+2AA-x", "\ufffdx"),
    "a byte order mark": (b"utf-8", b"\xef\xbb\xbf---", "---"),
    "controls": (b"utf-8", b"a\x00b\x1bc\td\r\ne", "a\ufffdb\ufffdc\td\ne"),
}


@pytest.mark.parametrize("case", CHARSETS)
def test_a_body_is_text_whatever_its_charset_claims(case: str) -> None:
    """Text is decoded by its charset, else as UTF-8, else as Latin-1, and can always be stored."""
    charset, octets, expected = CHARSETS[case]

    mail = read(multipart(part(octets, b'Content-Type: text/plain; charset="' + charset + b'"')))

    assert expected == mail.body


def test_no_text_of_a_mail_breaks_the_database() -> None:
    """NUL and lone surrogates are refused by PostgreSQL and by UTF-8: no field of a mail holds one."""
    mail = read(
        b"From: a\x00 <a@b.c>\r\nSubject: =?utf-8?q?a=00b=0D=0ABcc=3A_x?= \x00\xff\r\n"
        b"Message-ID: <a\x00b@c>\r\nReferences: <\x00@x>\r\nX-Y: \x00\xe9\r\n"
        b'Content-Type: text/plain; charset="u\xff"; name="\x00\xed\xa0\x80.md"\r\n\r\n\x00'
    )

    texts = [mail.subject, mail.body, mail.message_id or "", *mail.references, *mail.defects]
    texts += [text for pair in mail.headers for text in pair]
    texts += [text or "" for each in mail.parts for text in (each.name, each.charset, each.disposition)]
    assert not [text for text in texts if "\x00" in text or "\n" in text]
    assert "".join(texts).encode()


BOMBS = {
    "20,000 parts": (multipart(*[b"\r\nx"] * 20_000), "parts"),
    "20,000 parts of an encoded boundary": (
        multipart(*[b"\r\nx"] * 20_000).replace(b'boundary="=_b"', b"boundary*=us-ascii''%3D_b"),
        "parts",
    ),
    "10,000 multiparts in each other": (
        b"".join(
            b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(10_000)
        ),
        "boundaries",
    ),
    "31 multiparts in each other": (
        b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(31)),
        "nesting",
    ),
    "10,000 messages in each other": (b"Content-Type: message/rfc822\r\n\r\n" * 10_000, "parts"),
    "31 messages in each other": (b"Content-Type: message/rfc822\r\n\r\n" * 31, "nesting"),
    "a megabyte of encoded words": (
        b"Subject: " + b"=?utf-8?q?a?= " * 70_000 + b"\r\n\r\n",
        "bytes of header",
    ),
    "1,001 headers": (b"".join(b"X-%d: y\r\n" % n for n in range(1001)) + b"\r\n", "headers"),
    "a megabyte of a part's header": (multipart(b"X: " + b"y" * 10**6 + b"\r\n\r\nx"), "bytes of header"),
    "150 parts with long names": (
        multipart(*[b"Content-Disposition: a; filename=" + b"y" * 1000 + b"\r\n\r\nx"] * 150),
        "bytes of content headers",
    ),
    "201 uuencoded files": (single(b"begin 644 x\r\n`\r\nend\r\n" * 201), "parts"),
}


@pytest.mark.parametrize("case", BOMBS)
def test_a_bomb_is_refused_for_its_limit(case: str) -> None:
    """What is beyond a limit is held, and the operator is told which limit, how far, and its bound."""
    raw, limit = BOMBS[case]

    with pytest.raises(Unreadable, match=rf"^{limit}: \d+, and no more than \d+ can be read$") as refused:
        read(raw)

    assert str(pickle.loads(pickle.dumps(refused.value))) == str(refused.value)  # noqa: S301 - as a child hands it over


def test_mails_within_the_limits_are_read() -> None:
    """The limits leave room for every mail that people send: 200 parts, 30 levels, 1,000 headers."""
    deep = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(30)
    )

    assert len(read(multipart(*[b"\r\nx"] * 200)).parts) == 200
    assert [each.place for each in read(deep + b"\r\nx").parts] == ["1" + ".1" * 29]
    assert len(read(b"".join(b"X-%d: y\r\n" % n for n in range(1000)) + b"\r\n").headers) == 1000


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                b"Content-Type: ",
                b"multipart/mixed",
                b"message/rfc822",
                b"text/plain",
                b"; boundary=b",
                b"\r\n",
                b"--b",
                b"--b--",
                b"begin 644 x",
                b"end",
                b"=?utf-8?q?",
                b"?=",
                b'"',
                b"\xff",
                b"\x00",
                b"filename*0*=",
                b"''%e9",
                b"Content-Disposition: ",
                b"attachment",
                b"; ",
                b"name=",
                b"charset=",
                b"base64",
                b"From: ",
                b"<a@b>",
                b"Content-Transfer-Encoding: ",
                b"quoted-printable",
                b"\r\n\r\n",
                b" ",
                b"To: specs+",
                b"(",
                b"@",
                b"\\",
            ]
        ),
        max_size=60,
    ).map(b"".join)
)
def test_odd_mails_break_nothing_of_ours(raw: bytes) -> None:
    """Whatever a stranger sends, an exception is a refusal by limit or comes out of the libraries."""
    assert breaks(raw) in {None, "libraries"}


def test_what_mail_parser_complains_about_is_kept() -> None:
    """The operator sees what was wrong with a mail's form, briefly."""
    mail = read(HEADERS + b"Content-Type: multipart/mixed\r\n\r\nx")

    assert [text for text in mail.defects if text.startswith("multipart/mixed: NoBoundaryInMultipartDefect")]
    assert all(len(text) <= 200 for text in mail.defects)


SHARED = Path(__file__).resolve().parents[1].parent / "shared" / "mails"


@pytest.mark.long
@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the folder shared/mails beside the checkout")
def test_collected_mails_break_nothing_of_ours() -> None:
    """Real mail of twenty projects is read, and so is what was found to break the libraries."""
    paths = [path for path in SHARED.rglob("*") if path.is_file() and path.suffix != ".md"]
    broken = {path.name: blamed for path in paths if (blamed := breaks(path.read_bytes()))}

    assert broken == {}


#: Pieces that structure is made of, and that look like it.
PIECES = [
    *(
        b"\r\n\r\n",
        b"\r\n",
        b"--b\r\n",
        b"--b--\r\n",
        b"--c\r\n",
        b"--c--\r\n",
        b"--c \r\n",
        b"-- \r\n",
        b"--\r\n",
    ),
    *(
        b"x" * 30 + b"\r\n",
        b"text\r\n" * 5,
        b"a: b\r\n",
        b" fold\r\n",
        b"no end",
        b"From x\r\n",
        b"\xff\xfe" * 20 + b"\r\n",
    ),
    b"Content-Type: text/plain\r\n",
    b"Content-Type: message/rfc822\r\n",
    b"Content-Type:\r\n message/rfc822\r\n",
    b"Content-Type: multipart/digest; boundary=c\r\n",
    b'Content-Type: multipart/mixed; boundary="c"\r\n',
    b"Content-Transfer-Encoding: base64\r\n",
    b"QUJD" * 10 + b"\r\n",
    b"Content-Transfer-Encoding: quoted-printable\r\n",
    b"=C3=A9=\r\n" * 6,
]


def structure(message: Message, restore: Callable[[bytes], bytes]) -> list[object]:
    """All that is made of a parsed message."""
    mime.adopt_late_parts(message)
    nodes = [(node.get_content_type(), node.items(), list(map(str, node.defects))) for node in message.walk()]
    return [nodes, list(mime.leaves(message, restore))]


@settings(max_examples=500, deadline=None)
@given(
    st.lists(st.sampled_from(PIECES), max_size=40),
    st.sampled_from([b"mixed; boundary=b", b"digest; boundary=c"]),
)
def test_a_message_without_its_texts_is_built_alike(pieces: list[bytes], kind: bytes) -> None:
    """What is cut out before parsing changes nothing: not a part, a header, a defect, or an octet."""
    raw = crlf(b"From: a@b.c\r\nContent-Type: multipart/" + kind + b"\r\n" + b"".join(pieces))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(skeleton, "TEXT_MIN", 8)
        trimmed = skeleton.trim(skeleton.cut(raw, "0123456789abcdef" * 2))

    whole = structure(email.message_from_bytes(raw), bytes)

    assert structure(email.message_from_bytes(trimmed.frame), trimmed.restore) == whole

"""A signature that proves nothing: another's, too weak, too narrow, too old, or of another mail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.entitled.case import Case, refused
from tests.entitled.letter import TEXT, above, ago, below, changed, letter, signed, spoiled, stamp_time, text
from tests.fix_house import US
from tests.fix_signers import ALL, Stamp, by_perl

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fix_gate import Gate

#: What has to be signed whatever else is.
NEEDED = ("From", "Subject", "Date", "Message-ID")


def without(name: str) -> str:
    """What a careful signer signs, but for one header."""
    return ":".join(each for each in ALL.split(":") if each != name)


def of(sender: str, **stamp: Any) -> bytes:
    """A letter from ``sender``, signed."""
    return signed(letter(From=sender), **stamp)


def letter_with_signature_of(other: bytes) -> bytes:
    """A letter under the signature of another one."""
    return other[: other.index(b"From:")] + letter()


def six_signatures() -> bytes:
    """Five by a stranger, and Ana's below them."""
    raw = signed()
    for _ in range(5):
        raw = signed(raw, domain="evil.example")
    return raw


ANOTHERS: dict[str, Case] = {
    "nobody's": refused(letter, "no DKIM"),
    "a stranger's": refused(lambda: signed(domain="evil.example"), "not aligned"),
    "a domain's that ends alike": refused(lambda: signed(domain="notexample.com"), "not aligned"),
    "the top domain's": refused(lambda: signed(domain="com"), "not aligned"),
    "the public suffix's": refused(lambda: of("ana@example.co.uk", domain="co.uk"), "not aligned"),
    "a sibling's below the public suffix": refused(
        lambda: of("ana@example.co.uk", domain="sibling.co.uk"), "not aligned"
    ),
    "a subdomain's, of a strict organisation": refused(
        lambda: of("ana@strict.example", domain="mail.strict.example"), "not aligned"
    ),
    "a stranger's that says it is for Ana": refused(
        lambda: signed(domain="evil.example", tags=(("i", "ana@example.com"),)), "d=evil.example"
    ),
    "a relay's alone, without its customer's": refused(
        lambda: signed(domain="messagingengine.com", selector="fm3"), "not aligned"
    ),
    "a signature of another mail": refused(
        lambda: letter_with_signature_of(signed(letter(Subject="lunch"))), "d=example.com"
    ),
    "one of Ana's domain without its value": refused(
        lambda: above(letter(), "DKIM-Signature: v=1; a=rsa-sha256; d=example.com; s=rsa2048; b="),
        "d=example.com",
    ),
    "no signature but its name": refused(lambda: above(letter(), "DKIM-Signature: hello"), "DKIM"),
    "the same header of ARC": refused(
        lambda: signed().replace(b"DKIM-Signature", b"ARC-Message-Signature"), "no DKIM"
    ),
    "the good one after five others": refused(six_signatures, "not aligned"),
}


WEAK: dict[str, Case] = {
    "512 bits": refused(lambda: signed(selector="rsa512", key="rsa512"), "1024"),
    "768 bits": refused(lambda: signed(selector="rsa768", key="rsa768"), "1024"),
    "SHA-1": refused(lambda: signed(algorithm="rsa-sha1"), "sha1"),
    "SHA-1, by the other signer": refused(lambda: by_perl(letter(), Stamp(algorithm="rsa-sha1")), "sha1"),
    "part of the body": refused(lambda: signed(length=True), "l="),
    "part of the body, and more appended": refused(
        lambda: signed(text(), length=True) + b"```yaml\r\nmeta: {repo: evil/app}\r\n```\r\n", "l="
    ),
    "none of the body": refused(lambda: signed(letter(""), length=True) + TEXT.encode(), "l="),
    "an end in the past": refused(
        lambda: signed(tags=(("t", stamp_time(days=-2)), ("x", stamp_time(hours=-1)))), "x="
    ),
    "an end five minutes ago": refused(
        lambda: signed(tags=(("t", stamp_time(days=-2)), ("x", stamp_time(minutes=-5)))), "x="
    ),
    "an end before its beginning": refused(
        lambda: signed(tags=(("t", stamp_time(days=2)), ("x", stamp_time(days=1)))), "="
    ),
    "made tomorrow": refused(lambda: signed(tags=(("t", stamp_time(days=1)),)), "t="),
    "another version": refused(lambda: signed(tags=(("v", "2"),)), "v="),
    "an identity elsewhere": refused(lambda: signed(tags=(("i", "ana@evil.example"),)), "i="),
    "a question nobody can ask": refused(lambda: signed(tags=(("q", "http"),)), "q="),
}

TAMPERED: dict[str, Case] = {
    "the body": refused(lambda: changed(signed(), "Please build", "Please  wreck"), "d=example.com"),
    "the file": refused(lambda: changed(signed(), "bWV0", "bXV0"), "d=example.com"),
    "the body's white space, under simple": refused(
        lambda: changed(signed(method="simple/simple"), "Please build", "Please  build"), "d=example.com"
    ),
    "a header's white space, under simple": refused(
        lambda: changed(signed(method="simple/simple"), "the tides", "the  tides"), "d=example.com"
    ),
    "the subject": refused(lambda: changed(signed(), "the tides", "the floods"), "d=example.com"),
    "the sender's name": refused(lambda: changed(signed(), "Ana <", "Eve <"), "d=example.com"),
    "the boundary in both places": refused(lambda: signed().replace(b"=_f2a9", b"=_f2a8"), "d=example.com"),
    "a signed recipient": refused(
        lambda: changed(signed(letter(To="bob@example.com")), "bob@example.com", US), "d=example.com"
    ),
    "the signature": refused(lambda: spoiled(signed()), "d=example.com"),
    "the domain in the signature": refused(
        lambda: changed(signed(domain="evil.example"), "d=evil.example", "d=example.com"), "d=example.com"
    ),
    "what the signature covers": refused(
        lambda: changed(
            signed(names="from:to:subject:date:message-id:content-type"), "from : to", "from : cc"
        ),
        "d=example.com",
    ),
    "a list's words at the end": refused(
        lambda: signed(text()) + b"-- \r\nspecs mailing list\r\n", "d=example.com"
    ),
    "a type where its absence was signed": refused(
        lambda: below(signed(text(Content_Type=None)), "Content-Type: text/html"), "d=example.com"
    ),
    "a mailbox's first line": refused(
        lambda: above(signed(), "From ana@example.com Sun Nov 22 10:00:00 2026"), "alike"
    ),
    "a line in the head that is no header": refused(lambda: below(signed(), "Hello"), "alike"),
    "a header without a name": refused(lambda: below(signed(), ": hello"), "alike"),
    "a header folded with nothing": refused(lambda: below(signed(), "X-A: b\r\n \r\n c"), "alike"),
    "bytes behind the end": refused(lambda: signed() + b"x\r\n", "d=example.com"),
}


@pytest.mark.parametrize("name", ANOTHERS)
def test_anothers_signature_is_refused(gate: Gate, name: str) -> None:
    """Only the sender's own organisation speaks for the sender."""
    gate.expect(ANOTHERS[name])


@pytest.mark.parametrize("name", WEAK)
def test_a_signature_that_covers_too_little_is_refused(gate: Gate, name: str) -> None:
    """However genuine it is."""
    gate.expect(WEAK[name])


@pytest.mark.parametrize("name", TAMPERED)
def test_what_was_changed_after_signing_is_refused(gate: Gate, name: str) -> None:
    """A signature is of these very words."""
    gate.expect(TAMPERED[name])


@pytest.mark.parametrize("name", NEEDED)
def test_an_unsigned_header_that_matters_is_refused(gate: Gate, name: str) -> None:
    """Else whoever holds a copy writes it anew. What signs no From is no signature at all (RFC 6376, 5.4)."""
    gate.expect(refused(lambda: signed(names=without(name)), name))


MEANINGFUL = {
    "From": "eve@evil.example",
    "Subject": "[evil/app] the floods",
    "Date": ago(minutes=2),
    "Message-ID": "<forged@example.com>",
    "To": "specs+evil=app@example.net",
    "Cc": "specs+evil=app@example.net",
    "MIME-Version": "1.0",
    "Content-Type": "text/plain",
    "Content-Transfer-Encoding": "base64",
}
#: Signs each once: a careless signer, to whom one more can be added unnoticed.
ONCE = ":".join(MEANINGFUL)


@pytest.mark.parametrize("add", [above, below])
@pytest.mark.parametrize("name", MEANINGFUL)
def test_a_header_that_gives_meaning_stands_once(
    gate: Gate, name: str, add: Callable[[bytes, str], bytes]
) -> None:
    """A second one is read by some instead of the signed one, be it above or below that."""
    careful = letter(Cc="bob@example.com", Content_Transfer_Encoding="8bit")
    gate.expect(refused(lambda: add(signed(careful, names=ONCE), f"{name}: {MEANINGFUL[name]}"), name))


@pytest.mark.parametrize(
    "date",
    [ago(days=8), ago(days=-8), None, "yesterday", "Mon, 99 Nov 2026 10:00:00 +0000", ""],
    ids=["8 days old", "8 days ahead", "none", "a word", "no such day", "empty"],
)
def test_a_date_that_is_not_of_this_week_is_refused(gate: Gate, date: str | None) -> None:
    """A copy is worth nothing a week later."""
    gate.expect(refused(lambda: signed(letter(Date=date)), "Date"))

"""What a DKIM signature proves, and what it doesn't."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.mail import Addresses, parse
from daemon.names import Answers, Question
from daemon.trust.findings import Case, Delivery, Dkim
from daemon.trust.head import doubts
from daemon.trust.signature import SIGNATURES_MAX, Letter, signatures, verify
from tests.entitled.letter import above, below, changed, letter, signed, stamp_time, text
from tests.fix_house import US, an_envelope
from tests.fix_signers import ALL, Stamp, by_dkimpy, key

if TYPE_CHECKING:
    from collections.abc import Mapping

#: As Gmail signs, and as Microsoft 365 does.
GMAIL = "to:subject:message-id:date:from:mime-version:from:to:cc:subject:date:message-id:reply-to"
MICROSOFT = "From:Date:Subject:Message-ID:Content-Type:MIME-Version:X-MS-Exchange-SenderADCheck"

OUTLOOK = "198.51.100.7"
#: Rounds that nobody needs.
TOO_MANY = 12

Zone = dict[tuple[str, str], tuple[str, ...] | None]


def zone(**more: tuple[str, ...] | None) -> Zone:
    """What the DNS has; further TXT records by names whose dots are written ``__``."""
    record = key("rsa2048").record
    known: Zone = {
        ("rsa2048._domainkey.example.com", "TXT"): (record,),
        ("rsa2048._domainkey.mail.example.com", "TXT"): (record,),
        ("rsa2048._domainkey.evil.example", "TXT"): (record,),
        ("rsa1024._domainkey.example.com", "TXT"): (key("rsa1024").record,),
        ("ed25519._domainkey.example.com", "TXT"): (key("ed25519").record,),
        ("example.com", "TXT"): ("some words", "v=spf1 include:spf.example.net -all"),
        ("spf.example.net", "TXT"): ("v=spf1 ip4:198.51.100.0/24 -all",),
    }
    return known | {(name.replace("__", "."), "TXT"): records for name, records in more.items()}


def a_case(raw: bytes, **changes: Any) -> Case:
    """A mail as it came over the wire, and what it brings forward."""
    envelope = an_envelope(raw, **({"peer": "203.0.113.9", "mail_from": "ana@example.com"} | changes))
    ours = Addresses.of([US])
    return Case.of(envelope, parse(envelope, ours), None, ours)


def a_letter(raw: bytes, **changes: Any) -> Letter:
    """The same, taken apart."""
    return Letter.of(a_case(raw, **changes))


def resolved(
    case: Case, known: Mapping[tuple[str, str], tuple[str, ...] | None]
) -> tuple[Dkim, list[set[str]]]:
    """The end of it, and what was asked in each round."""
    answers: dict[Question, tuple[str, ...] | None] = {}
    rounds: list[set[str]] = []
    for _ in range(TOO_MANY):
        found = verify(Letter.of(case), Answers(answers))
        if not found.questions:
            return found, rounds
        rounds.append({str(question) for question in found.questions})
        answers |= {question: known.get((question.name, question.kind), ()) for question in found.questions}
    raise AssertionError(rounds)


def found(raw: bytes, known: Zone | None = None, **changes: Any) -> Dkim:
    """What the signatures of a mail come to."""
    return resolved(a_case(raw, **changes), zone() if known is None else known)[0]


def refusal(raw: bytes, known: Zone | None = None, **changes: Any) -> str:
    """Why they prove nothing."""
    dkim = found(raw, known, **changes)
    assert dkim.evidence is None
    return "; ".join(dkim.why)


def test_a_mail_that_its_sender_signed_is_proven() -> None:
    """The evidence says by which signature, how strong, how aligned, and why it is for us."""
    evidence = found(signed()).evidence

    assert evidence is not None
    assert evidence.pop("letter")
    assert evidence == {
        "proof": "dkim",
        "d": "example.com",
        "s": "rsa2048",
        "a": "rsa-sha256",
        "key_bits": 2048,
        "alignment": "exact",
        "to_us": "signed To",
    }


@pytest.mark.parametrize(
    ("stamp", "bits"), [({"selector": "rsa1024", "key": "rsa1024"}, 1024), ({"selector": "ed25519"}, 256)]
)
def test_every_good_kind_of_key_counts(stamp: dict[str, Any], bits: int) -> None:
    """RSA from 1024 bits on, and Ed25519 (RFC 8463)."""
    ed: dict[str, Any] = {"key": "ed25519", "algorithm": "ed25519-sha256"} if bits == 256 else {}
    dkim = found(signed(**stamp, **ed))

    assert dkim.evidence is not None
    assert dkim.evidence["key_bits"] == bits


@pytest.mark.parametrize("method", ["simple/simple", "relaxed/simple", "simple/relaxed", "relaxed"])
def test_every_canonical_form_counts(method: str) -> None:
    """RFC 6376, 3.4; the second half may be left out."""
    assert found(signed(method=method)).evidence


def test_all_questions_of_a_signature_are_asked_at_once() -> None:
    """Key, both policies and the first record of SPF; then only what that one leads to."""
    raw = signed(letter(From="ana@mail.example.com"), names=MICROSOFT)

    dkim, rounds = resolved(a_case(raw, peer=OUTLOOK), zone())

    assert dkim.evidence is not None
    assert rounds == [
        {
            "rsa2048._domainkey.example.com TXT",
            "_dmarc.mail.example.com TXT",
            "_dmarc.example.com TXT",
            "example.com TXT",
        },
        {"spf.example.net TXT"},
    ]


def test_a_mail_that_is_proven_asks_no_more() -> None:
    """Whatever other signatures it has: neither the ones before nor the ones after hold it up."""
    raw = signed(signed(), selector="slow", domain="mail.example.com")

    dkim, rounds = resolved(a_case(raw), zone(slow___domainkey__mail__example__com=None))

    assert dkim.evidence is not None
    assert dkim.evidence["d"] == "example.com"
    assert len(rounds) == 1


def test_nothing_is_asked_for_a_signature_that_proves_nothing_anyway() -> None:
    """A stranger can't have us ask the DNS by signing what is of no use."""
    assert verify(a_letter(signed(domain="evil.example")), Answers()).questions == frozenset()
    assert verify(a_letter(signed() + b"more\r\n"), Answers()).questions == frozenset()


def test_a_mail_whose_key_is_out_of_reach_comes_again() -> None:
    """It is neither proven nor refused, and the other signatures' reasons are kept."""
    raw = signed(signed(), domain="evil.example")

    dkim = found(raw, zone(rsa2048___domainkey__example__com=None))

    assert dkim.evidence is None
    assert dkim.unavailable == (Question("rsa2048._domainkey.example.com", "TXT"),)
    assert dkim.why == ("d=evil.example s=rsa2048: not aligned with example.com",)


def test_what_is_out_of_reach_does_not_matter_where_the_rest_fails() -> None:
    """A mail that no answer can prove is refused now."""
    raw = signed(letter(From="ana@mail.example.com"))

    dkim = found(raw, zone(_dmarc__mail__example__com=None, rsa2048___domainkey__example__com=()))

    assert dkim.unavailable == ()
    assert "no key" in dkim.why[0]


def test_a_mail_without_signatures_says_so() -> None:
    """In words, and without questions."""
    assert verify(a_letter(letter()), Answers()) == Dkim(why=("no DKIM-Signature",))


@pytest.mark.parametrize(
    ("stamp", "why"),
    [
        ({"domain": "evil.example"}, "not aligned with example.com"),
        ({"domain": "com"}, "not aligned with example.com"),
        ({"algorithm": "rsa-sha1"}, "rsa-sha1"),
        ({"length": True}, "l="),
        ({"tags": (("v", "2"),)}, "v="),
        ({"tags": (("q", "http"),)}, "q="),
        ({"tags": (("i", "ana@evil.example"),)}, "i="),
        ({"tags": (("i", "ana@notexample.com"),)}, "i="),
        ({"tags": (("t", stamp_time(hours=2)),)}, "t="),
        ({"tags": (("x", stamp_time(seconds=-30)),)}, "x="),
        ({"tags": (("t", stamp_time()), ("x", stamp_time(seconds=-1)))}, "x="),
        ({"tags": (("t", "soon"),)}, "t="),
        ({"names": ALL.replace("Date:", "")}, "doesn't sign Date"),
        ({"names": ALL.replace("Subject:", "")}, "doesn't sign Subject"),
        ({"names": ALL.replace("Message-ID:", "")}, "doesn't sign Message-ID"),
    ],
)
def test_a_genuine_signature_that_says_too_little_is_refused(stamp: dict[str, Any], why: str) -> None:
    """However well it verifies; and the reason names it."""
    said = refusal(signed(**stamp))

    assert said.startswith(f"d={stamp.get('domain', 'example.com')} s=rsa2048: ")
    assert why in said


@pytest.mark.parametrize(
    ("record", "why"),
    [
        ("v=DKIM1; p=", "revoked"),
        ("v=DKIM2; p={}", "no key"),
        ("p={}; v=DKIM1", "no key"),
        ("v=DKIM1; k=ed25519; p={}", "kind ed25519"),
        ("v=DKIM1; h=sha1; p={}", "SHA-256"),
        ("v=DKIM1; s=tlsrpt; p={}", "not for mail"),
        ("v=DKIM1; t=y; p={}", "tested"),
        ("v=DKIM1; p=AAAA", "can't be read"),
        ("v=DKIM1; p=%%%", "can't be read"),
        ("v=DKIM1; n=\xff; p={}", ""),
        ("v=spf1 -all", "no key"),
        ("", "no key"),
        ("v=DKIM1; p=" + "A" * 5000, "no key"),
    ],
)
def test_a_key_that_is_not_for_this_is_none(record: str, why: str) -> None:
    """By its own record (RFC 6376, 3.6.1); only a note may be in any language."""
    public = key("rsa2048").record.partition("p=")[2]
    known = zone(rsa2048___domainkey__example__com=(record.format(public),))

    dkim = found(signed(), known)

    assert (dkim.evidence is None) == bool(why)
    assert why in "; ".join(dkim.why)


@pytest.mark.parametrize("kind", ["rsa512", "rsa768"])
def test_a_short_key_is_refused(kind: str) -> None:
    """RFC 8301: below 1024 bits nothing counts."""
    known = zone(rsa2048___domainkey__example__com=(key(kind).record,))

    assert "1024" in refusal(signed(key=kind), known)


def test_a_key_with_which_anybody_can_sign_is_refused() -> None:
    """With 1 as its exponent the signature is the digest itself; dkimpy takes it."""
    modulus = b"\x02\x81\x81\x00" + b"\xff" * 128
    body = modulus + b"\x02\x01\x01"
    der = b"\x30\x81" + bytes([len(body)]) + body
    known = zone(rsa2048___domainkey__example__com=(f"v=DKIM1; p={b64encode(der).decode()}",))

    assert "no RSA key" in refusal(signed(), known)


def test_of_two_keys_neither_counts() -> None:
    """RFC 6376, 3.6.2.2, leaves open which does. What is no key doesn't count as one."""
    record, other = key("rsa2048").record, key("rsa1024").record

    assert "2 keys" in refusal(signed(), zone(rsa2048___domainkey__example__com=(record, other)))
    assert found(signed(), zone(rsa2048___domainkey__example__com=("v=spf1 -all", record))).evidence


def test_a_key_for_one_domain_alone_is_not_for_those_below() -> None:
    """The flag ``t=s``, which dkimpy doesn't look at."""
    record = key("rsa2048").record.replace("k=rsa", "t=s; k=rsa")
    known = zone(rsa2048___domainkey__example__com=(record,))

    assert "t=s" in refusal(signed(tags=(("i", "ana@mail.example.com"),)), known)
    assert found(signed(tags=(("i", "ana@example.com"),)), known).evidence


def test_a_subdomain_speaks_for_its_organisation_unless_that_says_no() -> None:
    """DMARC's alignment: relaxed, or strict where the sender's policy has it so."""
    raw = signed(domain="mail.example.com")

    dkim = found(raw)

    assert dkim.evidence is not None
    assert dkim.evidence["alignment"] == "relaxed"
    assert "adkim=s" in refusal(raw, zone(_dmarc__example__com=("v=DMARC1; p=none; adkim=s",)))
    assert found(raw, zone(_dmarc__example__com=None)).unavailable


@pytest.mark.parametrize("name", ["From", "Subject", "Date", "Message-ID", "To", "Cc", "MIME-Version"])
@pytest.mark.parametrize("add", [above, below])
def test_a_header_that_gives_meaning_stands_once(name: str, add: Any) -> None:
    """The other one is what the next program reads."""
    raw = add(signed(letter(Cc="bob@example.com"), names=ALL.replace("Cc:Cc:", "")), f"{name}: x")
    case = replace(a_case(raw), sender="ana@example.com")

    assert doubts(case.headers) == (f"two {name} headers",)
    assert resolved(case, zone())[0].evidence is None


@pytest.mark.parametrize(
    "line",
    [
        "From eve@evil.example",
        "Subject : x",
        "no header",
        ": x",
        "X: a\x0cb",
        "X: a\0",
        "X: a\r\n \t",
        "X\xe9: a",
    ],
)
def test_a_head_that_not_every_program_reads_alike_is_refused(line: str) -> None:
    """Where one ends the head, another goes on; dkimpy and the standard library among them."""
    raw = below(signed(), line)
    case = replace(a_case(raw), sender="ana@example.com")

    dkim = resolved(case, zone())[0]

    assert dkim.evidence is None
    assert "alike" in dkim.why[0]


def test_headers_that_are_not_those_of_the_head_are_doubted() -> None:
    """What is judged and what is verified must be the same."""
    case = a_case(signed())

    dkim = resolved(replace(case, headers=case.headers[:-1]), zone())[0]

    assert "alike" in dkim.why[0]


@pytest.mark.parametrize(("days", "fits"), [(6.9, True), (7.1, False), (-6.9, True), (-7.1, False)])
def test_the_date_is_of_this_week(days: float, fits: bool) -> None:  # noqa: FBT001 - a row of the table
    """In either direction."""
    case = a_case(signed())
    case = replace(case, received_at=case.received_at + timedelta(days=days))

    dkim = resolved(case, zone())[0]

    assert (dkim.evidence is not None) == fits


def test_a_week_old_end_is_held_to_the_second() -> None:
    """Not with the ten hours that dkimpy allows."""
    case = a_case(signed(tags=(("x", stamp_time(seconds=5)),)))

    assert resolved(case, zone())[0].evidence
    late = replace(case, received_at=case.received_at + timedelta(seconds=6))
    assert "x=" in resolved(late, zone())[0].why[0]


@pytest.mark.parametrize(
    ("headers", "names_us"),
    [
        ({"To": US}, True),
        ({"To": "bob@example.com", "Cc": f"Us <{US.upper()}>"}, True),
        ({"To": f'"{US}" <bob@example.com>'}, False),
        ({"To": f"bob@example.com ({US})"}, False),
        ({"To": f'"bob, {US}, all" <bob@example.com>'}, False),
        ({"To": f'"Us, team" <{US}>'}, True),
        ({"To": f"{US} <bob@example.com>"}, False),
        ({"To": "bob@example.com"}, False),
        ({"To": "specs+example=app@example.net"}, True),
        ({"To": f"team: bob@example.com, {US};"}, True),
    ],
)
def test_a_signature_names_us_by_a_signed_recipient(headers: dict[str, str], names_us: bool) -> None:  # noqa: FBT001
    """An address, and no display name or comment."""
    (signature,) = signatures(a_letter(signed(letter(**headers))))

    assert signature.names_us == names_us


def test_a_tag_that_is_not_signed_makes_it_another_mail() -> None:
    """Else whoever holds a copy could have it taken again, for another repository."""
    raw = above(signed(), "Delivered-To: specs+evil=app@example.net")

    assert not signatures(a_letter(raw))[0].names_us
    assert "names us" in refusal(raw)


def test_an_unsigned_recipient_does_not_name_us() -> None:
    """Whoever holds a copy can add it."""
    raw = signed(letter(To="bob@example.com"), names=ALL.replace("Cc:Cc:", ""))

    assert "names us" in refusal(above(raw, f"Cc: {US}"))


def test_without_a_signed_recipient_the_delivery_must_be_the_senders() -> None:
    """By SPF, for the domain of MAIL FROM, aligned with From; and the evidence names it."""
    raw = signed(names=MICROSOFT)

    dkim = found(raw, peer=OUTLOOK)

    assert dkim.evidence is not None
    assert dkim.evidence["to_us"] == f"SPF of example.com for {OUTLOOK}"
    assert found(raw, peer=f"::ffff:{OUTLOOK}").evidence
    assert "says fail" in refusal(raw)


@pytest.mark.parametrize(
    ("arrival", "why"),
    [
        ({"peer": "unix"}, "asked for unix"),
        ({"peer": "127.0.0.1"}, "asked for 127.0.0.1"),
        ({"peer": "::1"}, "asked for ::1"),
        ({"peer": "::ffff:127.0.0.1"}, "asked for ::ffff:127.0.0.1"),
        ({"peer": OUTLOOK, "mail_from": None}, "no sender in the envelope"),
        ({"peer": OUTLOOK, "mail_from": "eve@evil.example"}, "of evil.example, is not aligned"),
        ({"peer": OUTLOOK, "mail_from": "eve@stra\xdfe.example.com"}, "no sender in the envelope"),
        ({"peer": OUTLOOK, "mail_from": f"{'a' * 65}@example.com"}, "no sender in the envelope"),
        ({"peer": OUTLOOK, "mail_from": "eve"}, "of eve, is not aligned"),
    ],
)
def test_what_spf_can_not_be_asked_for_proves_nothing(arrival: dict[str, Any], why: str) -> None:
    """And says so."""
    assert why in refusal(signed(names=MICROSOFT), **arrival)


def test_the_envelope_may_be_of_a_subdomain_unless_the_policy_says_no() -> None:
    """``aspf=s`` asks for the very domain of From."""
    raw, bounces = signed(names=MICROSOFT), "b@bounces.example.com"
    record = ("v=spf1 ip4:198.51.100.0/24 -all",)

    assert found(raw, zone(bounces__example__com=record), peer=OUTLOOK, mail_from=bounces).evidence
    strict = zone(bounces__example__com=record, _dmarc__example__com=("v=DMARC1; p=none; aspf=s",))
    assert "not aligned" in refusal(raw, strict, peer=OUTLOOK, mail_from=bounces)


def test_our_relay_may_say_what_spf_said_to_it() -> None:
    """Then the peer is the relay; a domain that isn't aligned is of no use."""
    case = a_case(signed(names=MICROSOFT))
    said = replace(case, delivery=Delivery("unix", "b@bounces.example.com", "bounces.example.com"))
    other = replace(case, delivery=Delivery("unix", "eve@evil.example", "evil.example"))

    dkim = resolved(said, zone())[0]

    assert dkim.evidence is not None
    assert dkim.evidence["to_us"] == "SPF of bounces.example.com, says our relay"
    assert resolved(other, zone())[0].evidence is None


def test_spf_alone_never_suffices() -> None:
    """A delivery that is the sender's own, with a signature of nobody's."""
    assert found(signed(domain="evil.example"), peer=OUTLOOK).evidence is None


def test_no_more_signatures_than_a_few_are_looked_at() -> None:
    """The topmost; the good one below them is not seen."""
    raw = signed()
    for _ in range(SIGNATURES_MAX):
        raw = signed(raw, domain="evil.example")

    assert [signature.domain for signature in signatures(a_letter(raw))] == ["evil.example"] * SIGNATURES_MAX
    assert "not aligned" in refusal(raw)


@pytest.mark.parametrize(
    ("value", "domain"),
    [
        ("hello", ""),
        ("v=1; a=rsa-sha256; d=example.com; s=x; b=", "example.com"),
        ("v=1; v=1; d=example.com", ""),
        ("v=1; a=rsa-sha256; d=example.com; s=x; h=from; bh=AAAA; b=AAAA", "example.com"),
        ("v=1; a=rsa-sha256; d=exa\x1bmple.com; s=x", ""),
        ("v=1; d=example.com; s=" + "s" * 5000, ""),
        ("", ""),
    ],
)
def test_a_signature_that_is_none_proves_nothing_in_words(value: str, domain: str) -> None:
    """Printable ones, and no crash."""
    raw = above(letter(), f"DKIM-Signature: {value}")

    said = refusal(raw)

    assert said.startswith(f"d={domain}")
    assert said.isprintable()
    assert len(said) <= 300


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Subject: the tides", "Subject: the floods"),
        ("From: Ana <", "From: Eve <"),
        (f"To: {US}", "To: specs+evil=app@example.net"),
        ("@example.com>\r\nMIME", "@evil.example>\r\nMIME"),
        ("MIME-Version: 1.0", "MIME-Version: 1.1"),
        ("multipart/mixed", "multipart/digest"),
        ("MIME-Version: 1.0", "MIME-Version: 1.0\r\nCc: bob@example.com"),
        ("a=rsa-sha256", "a=rsa-sha256; x=99999999999"),
        ("c=relaxed/relaxed", "c=simple/relaxed"),
        ("d=example.com", "d=Example.com"),
    ],
)
def test_a_signed_header_can_not_be_changed(old: str, new: str) -> None:
    """Nor one that is signed as absent, nor the signature's own tags."""
    assert "not the ones it signs" in refusal(changed(signed(), old, new))


def test_a_signature_by_another_key_proves_nothing() -> None:
    """Though that key is as good as any."""
    assert "another" in refusal(signed(), zone(rsa2048___domainkey__example__com=(key("rsa1024").record,)))


def test_copies_that_differ_in_white_space_are_the_same_letter() -> None:
    """A relaxed signature passes for all of them, so the evidence has what they share."""
    raw = signed(text())
    copy = changed(raw, "meta:\r\n  project", "meta:\r\n          project")

    one, other = found(raw).evidence, found(copy).evidence

    assert raw != copy
    assert one is not None
    assert one == other
    assert found(signed(text(Subject="other"))).evidence["letter"] != one["letter"]  # type: ignore[index]


def test_a_large_mail_is_verified_in_time() -> None:
    """25 MB, of whatever its sender likes: no step takes more than a pass over it."""
    for filling in (b"ab ", b"\t", b"\r\n", b" \r\n", b"QUJD" * 18 + b"\r\n"):
        body = filling * ((1 << 20) // len(filling)) + b"x\r\n"
        raw = by_dkimpy(letter("", Content_Type="text/plain") + b"x\r\n", Stamp()).replace(
            b"\r\n\r\nx\r\n", b"\r\n\r\n" + body
        )

        assert "body" in refusal(raw)


#: The headers that the signature below covers.
COVERED = {name.lower().encode() for name in ALL.split(":")}


@cache
def original() -> bytes:
    """The mail that is mutated, signed once."""
    return signed(letter(Content_Transfer_Encoding="7bit"))


def meant(raw: bytes) -> tuple[object, ...]:
    """What a signature fixes of a mail, but for white space."""
    head, _, body = raw.partition(b"\r\n\r\n")
    lines = re.sub(rb"\r\n[ \t]+", b" ", head).split(b"\r\n")
    fields = [line.partition(b":") for line in lines]
    covered = [
        (name.lower(), b" ".join(value.split())) for name, _, value in fields if name.lower() in COVERED
    ]
    text = [re.sub(rb"[ \t]+", b" ", line).rstrip(b" ") for line in body.split(b"\r\n")]
    return tuple(covered), b"\n".join(text).rstrip(b"\n")


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 2200),
            st.integers(0, 3),
            st.one_of(
                st.binary(max_size=3),
                st.sampled_from([b" ", b"\r\n", b"\t", b"--=_f2a9\r\n", b"\r\nTo: x", b";", b"l=1;", b"=3D"]),
            ),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_no_mutation_of_a_signed_mail_is_proven_unless_it_is_the_same(
    cuts: list[tuple[int, int, bytes]],
) -> None:
    """Nor does any raise."""
    raw = original()
    for at, length, put in cuts:
        raw = raw[:at] + put + raw[at + length :]
    raw = re.sub(rb"\r\n|\r|\n", b"\r\n", raw)
    case = replace(a_case(raw), sender="ana@example.com")

    dkim = resolved(case, zone())[0]

    assert dkim.evidence is None or meant(raw) == meant(original())

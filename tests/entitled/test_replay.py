"""Who holds a copy of somebody's mail can't send it again, nor anywhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from daemon.outcome import Verdict
from tests.entitled.case import Case, accepted, refused
from tests.entitled.letter import MODEST, above, attached, below, changed, letter, signed, text
from tests.entitled.providers import MICROSOFT, OUTLOOK, microsofts, outlook
from tests.fix_gate import DEFAULTS, RELAY
from tests.fix_house import PATIENCE, US, an_envelope, new_house

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from daemon.readers import Readers
    from tests.fix_database import Database
    from tests.fix_dns import DnsServer
    from tests.fix_gate import Gate

TAGGED = "specs+example=app@example.net"
ELSEWHERE = "specs+example=other@example.net"

NAMELESS = "it signs no To or Cc that names us"


def homeless(to: str = US) -> bytes:
    """A letter whose repository is in its address alone."""
    return letter(attached(MODEST), To=to)


NOT_TO_US: dict[str, Case] = {
    "a To that is unsigned": refused(
        lambda: signed(names="from:subject:date:message-id:content-type"), NAMELESS
    ),
    "a To that was added": refused(
        lambda: below(
            signed(letter(To=None), names="from:subject:date:message-id:content-type"), f"To: {US}"
        ),
        NAMELESS,
    ),
    "a Cc that is unsigned": refused(
        lambda: signed(
            letter(To="bob@example.com", Cc=US), names="from:to:subject:date:message-id:content-type"
        ),
        NAMELESS,
    ),
    "Bcc": refused(lambda: signed(letter(To="bob@example.com", Bcc=US)), NAMELESS),
    "the envelope": refused(lambda: signed(letter(To="bob@example.com")), NAMELESS),
    "Reply-To": refused(lambda: signed(letter(To="bob@example.com", Reply_To=US)), NAMELESS),
    "Delivered-To": refused(
        lambda: above(signed(letter(To="bob@example.com")), f"Delivered-To: {US}"), NAMELESS
    ),
    "a display name": refused(lambda: signed(letter(To=f'"{US}" <bob@example.com>')), NAMELESS),
    "a comment": refused(lambda: signed(letter(To=f"bob@example.com ({US})")), NAMELESS),
    "an address that begins alike": refused(lambda: signed(letter(To=f"{US}.evil.example")), NAMELESS),
    "nobody": refused(lambda: signed(letter(To=None)), NAMELESS),
}

#: Delivered to us by whom?
SPF: dict[str, Case] = {
    "another peer": refused(microsofts, "SPF", peer="203.0.113.9"),
    "another sender's server": refused(
        microsofts, "of notexample.com, is not aligned", peer=OUTLOOK, mail_from="eve@notexample.com"
    ),
    "another sender, of a domain without a policy": refused(
        microsofts, "of evil.example, is not aligned", peer=OUTLOOK, mail_from="eve@evil.example"
    ),
    "a domain without a policy": refused(
        lambda: signed(outlook(From="ana@example.co.uk"), domain="example.co.uk", names=MICROSOFT),
        "SPF of example.co.uk",
        peer=OUTLOOK,
        mail_from="ana@example.co.uk",
    ),
    "a policy that goes in circles": refused(
        microsofts, "SPF", peer=OUTLOOK, mail_from="b@endless.example.com"
    ),
    "this machine": refused(microsofts, "SPF", peer="127.0.0.1"),
    "a socket of this machine": refused(microsofts, "SPF", peer="unix"),
    "a strict organisation's subdomain": refused(
        lambda: signed(outlook(From="ana@strict.example"), domain="strict.example", names=MICROSOFT),
        "of mail.strict.example, is not aligned",
        peer=OUTLOOK,
        mail_from="b@mail.strict.example",
    ),
    "the right server and no signature": refused(outlook, "DKIM", peer=OUTLOOK),
    "the right server and a stranger's signature": refused(
        lambda: signed(outlook(), domain="evil.example"), "not aligned", peer=OUTLOOK
    ),
    "the right server and a signature for another": refused(
        lambda: changed(microsofts(), "the tides", "the floods"), "d=example.com", peer=OUTLOOK
    ),
}

TAGS: dict[str, Case] = {
    "a header on the way": refused(lambda: above(signed(homeless()), f"Delivered-To: {ELSEWHERE}"), NAMELESS),
    "a header below": refused(lambda: below(signed(homeless()), f"X-Original-To: {ELSEWHERE}"), NAMELESS),
    "the envelope": refused(lambda: signed(homeless()), NAMELESS, rcpt_to=ELSEWHERE),
    "a Cc, beside a signed To": refused(
        lambda: below(
            signed(homeless(), names="from:to:subject:date:message-id:content-type"), f"Cc: {ELSEWHERE}"
        ),
        NAMELESS,
    ),
    "a To, beside a signed Cc": refused(
        lambda: below(
            signed(
                letter(attached(MODEST), To=None, Cc=US),
                names="from:cc:subject:date:message-id:content-type",
            ),
            f"To: {ELSEWHERE}",
        ),
        NAMELESS,
    ),
    "a header, beside a signed tag": refused(
        lambda: above(signed(homeless(TAGGED)), f"Delivered-To: {ELSEWHERE}"), NAMELESS
    ),
}


@pytest.mark.parametrize("name", NOT_TO_US)
def test_a_mail_that_its_sender_didnt_address_to_us_is_refused(gate: Gate, name: str) -> None:
    """A signed mail to somebody else is no request to us, whoever brings it."""
    gate.expect(NOT_TO_US[name])


@pytest.mark.parametrize("name", SPF)
def test_who_may_not_send_for_a_domain_may_not_bring_its_mail(gate: Gate, name: str) -> None:
    """Where no recipient is signed, SPF must name this delivery; and SPF alone is no proof."""
    gate.expect(SPF[name])


@pytest.mark.parametrize("name", TAGS)
def test_a_tag_that_the_sender_didnt_sign_is_refused(gate: Gate, name: str) -> None:
    """Else a copy would be work for another repository."""
    gate.expect(TAGS[name])


def test_a_signed_tag_decides_whatever_the_envelope_says(gate: Gate) -> None:
    """What Ana wrote and signed counts."""
    case = accepted(lambda: signed(homeless(TAGGED)), rcpt_to=ELSEWHERE)
    outcome = gate.take(case)

    assert gate.repos(outcome) == ["example/app"]


def test_a_tag_that_microsofts_server_brings_is_taken(gate: Gate) -> None:
    """Whoever may send for the domain may say for where."""
    gate.expect(accepted(lambda: microsofts(To=TAGGED), peer=OUTLOOK))


def test_a_copy_of_a_mail_that_names_us_is_a_duplicate(gate: Gate) -> None:
    """Sent by anybody, from anywhere: nothing new comes of it."""
    raw = signed()
    first = gate.take(accepted(lambda: raw))
    before = gate.counts()

    again = gate.take(
        accepted(lambda: above(raw, "Received: x"), peer="192.0.2.99", mail_from="eve@evil.example")
    )

    assert (again.verdict, again.spec_ids) == (Verdict.DUPLICATE, first.spec_ids)
    assert gate.counts() == before | {"arrivals": before["arrivals"] + 1}


#: What a relaxed signature allows to be done to a copy, so that it is another mail and still genuine.
LOOSE: dict[str, Callable[[bytes], bytes]] = {
    "a wider space in the text": lambda raw: changed(raw, "Please build", "Please   build"),
    "a space at a line's end": lambda raw: changed(raw, "build this.", "build this. "),
    "a blank line more at the end": lambda raw: raw + b"\r\n",
    "a wider space in the subject": lambda raw: changed(raw, "the tides", "the\t tides"),
    "a name of a header in capitals": lambda raw: changed(raw, "Subject:", "SUBJECT:"),
    "another type, of the same meaning": lambda raw: changed(raw, "multipart/mixed", "multipart/related"),
}


@pytest.mark.parametrize("write", [letter, text], ids=["a file", "text"])
@pytest.mark.parametrize("name", LOOSE)
def test_a_copy_with_other_white_space_makes_no_second_specification(
    gate: Gate, name: str, write: Callable[[], bytes]
) -> None:
    """A relaxed signature says nothing of it, so whoever holds a copy can change it and sign nothing."""
    raw = signed(write(), names="from:to:subject:date:message-id")
    if name.startswith("another type"):
        raw = signed(names="from:to:subject:date:message-id")
    gate.expect(accepted(lambda: raw))
    before = gate.counts()["specs"]

    gate.take(accepted(lambda: LOOSE[name](raw), peer="192.0.2.99", mail_from="eve@evil.example"))

    assert gate.counts()["specs"] == before


def test_of_two_copies_that_come_at_once_one_makes_a_specification(gate: Gate) -> None:
    """Whichever is first; the other is told what that one came to, and neither has to come again."""
    raw = signed(letter(), names="from:to:subject:date:message-id")
    before = gate.counts()["specs"]
    coming = [
        gate.house.intake.take(an_envelope(each, peer="192.0.2.99", mail_from="eve@evil.example"))
        for each in (raw, *(change(raw) for name, change in LOOSE.items() if name.startswith("a ")))
    ]
    outcomes = [each.result(PATIENCE) for each in coming]

    assert gate.counts()["specs"] == before + 1
    assert {each.verdict for each in outcomes} == {Verdict.ACCEPTED, Verdict.DUPLICATE}
    assert len({(each.mail_id, each.spec_ids) for each in outcomes}) == 1


def test_a_copy_that_can_no_longer_be_read_is_still_one(gate: Gate) -> None:
    """Its indentation is gone, and that tells who sends it nothing of what is wrong with it."""
    raw = signed(text(), names="from:to:subject:date:message-id:content-type")
    first = gate.expect(accepted(lambda: raw))
    flat = changed(raw, "    - id: E1", " - id: E1")
    before = gate.counts()["status_events"]

    assert first["letter"]
    gate.expect(Case(mail=lambda: flat, peer="192.0.2.99", verdict=Verdict.DUPLICATE))
    assert gate.counts()["status_events"] == before


def test_copies_that_come_to_two_services_at_once_are_one(
    gate: Gate, gate_readers: Readers, gate_database: Database, published: DnsServer, tmp_path: Path
) -> None:
    """The database knows which was first; the other service hears of it in time, and nobody comes again."""
    with new_house(
        gate_readers, gate_database, tmp_path, defaults=DEFAULTS, dns=[published.address]
    ) as other:
        for _ in range(5):
            raw = signed(names="from:to:subject:date:message-id")
            wider = LOOSE["a wider space in the text"](raw)
            coming = [
                house.intake.take(an_envelope(each, peer="192.0.2.99"))
                for house, each in ((gate.house, raw), (other, wider))
            ]
            outcomes = [each.result(PATIENCE) for each in coming]

            assert {each.verdict for each in outcomes} == {Verdict.ACCEPTED, Verdict.DUPLICATE}
            assert outcomes[0].spec_ids == outcomes[1].spec_ids


def test_a_relays_word_makes_no_second_specification_of_a_copy(gate: Gate) -> None:
    """What it found a signature to pass for may have other white space, too."""
    ana = "ana@relayed.example"
    raw = signed(letter(From=ana), domain="relayed.example", names="from:to:subject:date:message-id")
    believed = "Authentication-Results: mx.example.net; dkim=pass header.d=relayed.example"
    gate.expect(Case(mail=lambda: above(raw, believed), peer=RELAY, verdict=Verdict.ACCEPTED))

    wider = LOOSE["a wider space in the text"](raw)
    gate.expect(Case(mail=lambda: above(wider, believed), peer=RELAY, verdict=Verdict.DUPLICATE))


def test_a_copy_of_microsofts_mail_is_refused_even_after_it_was_accepted(gate: Gate) -> None:
    """It is not told to be a duplicate, so who holds the copy doesn't learn that the mail came here."""
    raw = microsofts()
    gate.expect(accepted(lambda: raw, peer=OUTLOOK))

    gate.expect(refused(lambda: raw, "SPF", peer="192.0.2.99"))
    gate.expect(Case(mail=lambda: raw, peer=OUTLOOK, verdict=Verdict.DUPLICATE))

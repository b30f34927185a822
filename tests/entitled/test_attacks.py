"""What a stranger tried who holds a copy of Ana's mail, or only knows her name, and what came of it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from daemon.outcome import Verdict
from tests.entitled.case import Case, accepted, refused
from tests.entitled.letter import above, changed, crlf, letter, signed, text
from tests.fix_house import US

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fix_gate import Gate

#: From where, and as whom, a stranger brings a copy.
EVE: dict[str, Any] = {"peer": "192.0.2.99", "mail_from": "eve@evil.example"}
PLAN = "# Tides\n\n- [ ] the next four tides\n"

#: What makes a copy an echo, and that is never signed.
ECHOES: dict[str, Callable[[bytes], bytes]] = {
    "an automatic reply": lambda raw: above(raw, "Auto-Submitted: auto-replied"),
    "our own mail": lambda raw: above(raw, "X-Loop: specpost"),
    "a mail that went in circles": lambda raw: b"Received: x\r\n" * 31 + raw,
}

#: Where our address stands and is no recipient.
NO_RECIPIENT = {
    "a route": f"<@{US}:eve@evil.example>",
    "a route of ours": f"<@x:{US}> eve@evil.example",
    "a word behind an address": f"eve@evil.example {US}",
    "an address behind an address": f"eve@evil.example <{US}>",
    "a name in quotes that hold a quote": f'"a\\", {US}, \\"b" <eve@evil.example>',
    "a literal": f"eve@[{US}]",
}

#: Bytes that stop or split a text somewhere between the wire, a log and a database.
NASTY = (
    b"\0",
    b"\xff",
    b"\xed\xa0\x80",  # a surrogate
    b"\xf0\x9f\x8c\x8a",
    b"\x1b[2J",
    b"\xe2\x80\xae",  # right to left
    b"=?utf-16?b?2AA=?=",
    b"=?utf-8?q?=00?=",
    b"%s{}'\\",
    b"\x85\x0b",
)


@pytest.mark.parametrize("name", ECHOES)
def test_an_ignored_copy_never_shadows_the_real_mail(gate: Gate, name: str) -> None:
    """Who comes first with a copy that nobody looks at has kept nothing from being looked at."""
    raw = signed()
    gate.expect(Case(mail=lambda: ECHOES[name](raw), verdict=Verdict.IGNORED, **EVE))

    gate.expect(accepted(lambda: raw))


def test_a_copy_without_a_return_path_never_shadows_the_real_mail(gate: Gate) -> None:
    """The null sender is in the envelope, so the copy is the very same bytes."""
    raw = signed()
    gate.expect(Case(mail=lambda: raw, verdict=Verdict.IGNORED, mail_from=None))

    gate.expect(accepted(lambda: raw))
    gate.expect(Case(mail=lambda: raw, verdict=Verdict.IGNORED, mail_from=None))
    gate.expect(Case(mail=lambda: raw, verdict=Verdict.DUPLICATE))


def test_a_copy_that_was_made_a_reply_never_shadows_the_real_mail(gate: Gate) -> None:
    """No plan is taken from a reply, and a header that makes one needs no signature: the copy is rejected."""
    names = "from:to:subject:date:message-id:content-type"
    raw = signed(text(crlf(PLAN), Subject="[example/app] tides"), names=names)
    reply = above(changed(raw, "- [ ]", "-   [ ]"), "In-Reply-To: <eves@evil.example>")
    gate.expect(Case(mail=lambda: reply, verdict=Verdict.REJECTED, **EVE))

    gate.expect(accepted(lambda: raw))


@pytest.mark.parametrize("name", NO_RECIPIENT)
def test_a_signed_to_that_only_looks_as_if_it_named_us_is_refused(gate: Gate, name: str) -> None:
    """What Eve calls herself gets into the To of whoever answers her, and is signed there."""
    gate.expect(refused(lambda: signed(letter(To=NO_RECIPIENT[name])), "it signs no To or Cc that names us"))


def test_no_bytes_of_a_stranger_keep_a_mail_from_being_answered(gate: Gate) -> None:
    """Whatever stands in a head or an envelope can be stored and told, so nobody's batch fails of it."""
    chance = random.Random(20261122)
    whole = {Verdict.REFUSED, Verdict.IGNORED, Verdict.REJECTED, Verdict.ACCEPTED, Verdict.DUPLICATE}
    senders = (None, "eve@evil.example", "é\u202e@evil.example", f"{'a' * 250}@example.com")
    for number in range(60):
        raw = bytearray(signed(letter(From="ana@example.com" if number % 2 else "eve@nobody.example")))
        for _ in range(3):
            at = chance.randrange(raw.find(b"\r\n\r\n"))
            raw[at:at] = chance.choice(NASTY)
        outcome = gate.house.take(bytes(raw), peer="192.0.2.99", mail_from=chance.choice(senders))
        assert outcome.verdict in whole, (outcome, bytes(raw))

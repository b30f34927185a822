"""A look-alike that came first, or a Message-ID that is taken, costs the real mail nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daemon.outcome import Verdict
from tests.entitled.case import Case, accepted, refused
from tests.entitled.letter import SPEC, above, attached, letter, signed, spoiled
from tests.entitled.providers import OUTLOOK, microsofts

if TYPE_CHECKING:
    from tests.fix_gate import Gate


def test_a_refused_look_alike_never_shadows_the_real_mail(gate: Gate) -> None:
    """Word for word the same, but unsigned, or changed after signing, and first."""
    raw = letter()
    real = signed(raw)
    gate.expect(refused(lambda: raw, "no DKIM"))
    gate.expect(refused(lambda: spoiled(real), "d=example.com"))

    gate.expect(accepted(lambda: real))
    gate.expect(refused(lambda: raw, "no DKIM"))


def test_the_real_mail_is_accepted_after_it_was_refused_itself(gate: Gate) -> None:
    """By a peer who may not bring it first, and by the one who may then."""
    raw = microsofts()

    gate.expect(refused(lambda: raw, "SPF"))
    gate.expect(accepted(lambda: raw, peer=OUTLOOK))


def test_a_forged_message_id_suppresses_nobody(gate: Gate) -> None:
    """Not Eve's under Ana's, which is another mail, nor two of Ana's own under one."""
    taken = {"Message_ID": "<the-same@example.com>"}
    eves = signed(
        letter(attached(SPEC), From="eve@xn--bcher-kva.example", **taken), domain="xn--bcher-kva.example"
    )
    gate.expect(accepted(lambda: eves, evidence={"rule": "books", "d": "xn--bcher-kva.example"}))

    gate.expect(accepted(lambda: signed(letter(**taken))))
    gate.expect(accepted(lambda: signed(letter(Subject="the ebb", **taken))))


def test_a_forger_of_an_accepted_mail_is_told_nothing(gate: Gate) -> None:
    """Who has the whole mail but not its signature is refused as for any other forgery."""
    raw = letter()
    real = gate.take(accepted(lambda: signed(raw)))
    before = gate.counts()

    outcome = gate.take(refused(lambda: raw, "no DKIM"))

    assert outcome.verdict is Verdict.REFUSED
    assert outcome.mail_id != real.mail_id
    assert outcome.spec_ids == ()
    assert {name: count for name, count in gate.counts().items() if before[name] != count} == {
        "mails": before["mails"] + 1,
        "arrivals": before["arrivals"] + 1,
    }


def test_an_accepted_mail_that_is_forged_again_stays_accepted(gate: Gate) -> None:
    """No later look-alike changes the row of the real one."""
    raw = letter()
    real = gate.take(accepted(lambda: signed(raw)))

    gate.take(refused(lambda: raw, ""))
    gate.take(refused(lambda: above(raw, "Received: x"), ""))

    assert gate.house.rows("select verdict from intake.mails where id = %s", real.mail_id) == [("accepted",)]
    gate.expect(Case(mail=lambda: signed(raw), verdict=Verdict.DUPLICATE))

"""Ways by which a stranger once got in, or made others pay: each stays shut."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from daemon.mail import Login
from daemon.outcome import Verdict
from tests.entitled.case import Case, accepted, refused
from tests.entitled.letter import SPEC, above, attached, changed, crlf, letter, signed, text
from tests.entitled.providers import MICROSOFT, OUTLOOK, microsofts, outlook
from tests.fix_gate import RELAY
from tests.fix_house import US

if TYPE_CHECKING:
    from tests.fix_gate import Gate

EVE: dict[str, Any] = {"peer": "192.0.2.99", "mail_from": "eve@evil.example"}
UNREADABLE = SPEC.replace("epics:", "epic:")
FENCED = "\n\n```yaml\n" + SPEC.replace("à l'heure 🌊", "in time") + "```\n"

#: What mailers write above a mail that they quote without marking its lines.
QUOTES = {
    "Outlook": "________________________________\nFrom: Eve <eve@evil.example>\nSent: Sunday\nTo: Ana\n",
    "Outlook without a line": "From: Eve <eve@evil.example>\nSent: Sunday\nTo: Ana <ana@example.com>\n",
    "Outlook in German": "Von: Eve <eve@evil.example>\nGesendet: Sonntag\nAn: Ana\n",
    "Outlook in bold": "*From:* Eve <eve@evil.example>\n*Sent:* Sunday\n",
    "Gmail": "---------- Forwarded message ---------\nFrom: Eve\n",
    "Thunderbird": "-------- Weitergeleitete Nachricht --------\n",
    "in Spanish": "-----Mensaje original-----\n",
    "in Italian": "-----Messaggio originale-----\n",
    "in French": "-----Message d'origine-----\n",
}

#: Where our address stands in a signed To that its sender did not write to us.
DISGUISED = {
    "a comment in a comment": f"eve@evil.example (x (y) , {US}, (z) w)",
    "a comment with a quoted bracket": f"(a\\), {US}, (b) eve@evil.example",
    "a name in an encoded word": f"=?utf-8?q?a,{US},b?= <eve@evil.example>",
}


def test_a_relay_does_not_pass_spf_in_the_senders_name(gate: Gate) -> None:
    """It may be the sender's own server too: what it says of whom it had the mail from is what counts."""
    raw = signed(outlook(To="bob@partner.example"), selector="selector2", names=MICROSOFT)
    failed = "Authentication-Results: mx.example.net; spf=fail smtp.mailfrom=example.com"

    for source, peer in (("smtp", RELAY), ("lmtp", OUTLOOK)):
        outcome = gate.house.take(above(raw, failed), source=source, peer=peer, mail_from="eve@example.com")
        assert outcome.verdict is Verdict.REFUSED
        assert "doesn't say that SPF passed" in outcome.reason

    passed = failed.replace("fail", "pass")
    gate.expect(accepted(lambda: above(microsofts(), passed), peer=RELAY))


@pytest.mark.parametrize("name", QUOTES)
def test_what_an_answer_quotes_is_not_its_writers(gate: Gate, name: str) -> None:
    """Ana answers a stranger who put us in Cc: her mailer signs the stranger's words."""
    answer = text(crlf(f"Who are you?\n\n{QUOTES[name]}{FENCED}"), Subject="Re: hello", Cc=US)

    gate.expect(Case(mail=lambda: signed(answer), verdict=Verdict.REJECTED))


def test_a_specification_that_names_a_person_is_no_quote(gate: Gate) -> None:
    """Its keys look like headers, but for their first letter."""
    mine = text(
        crlf("---\nrepo: example/app\nowner: ana@example.com\nteam: tides\n---\n# Tides\n- [ ] a page\n")
    )

    gate.expect(accepted(lambda: signed(mine)))


@pytest.mark.parametrize("name", DISGUISED)
def test_an_address_in_a_name_or_comment_is_no_recipient(gate: Gate, name: str) -> None:
    """A stranger's display name comes into the To of who answers them."""
    raw = signed(letter(To=DISGUISED[name]))

    gate.expect(refused(lambda: raw, "it signs no To or Cc that names us", **EVE))


def test_a_mail_that_came_with_a_login_is_not_taken_again_by_its_signature(gate: Gate) -> None:
    """A copy of it with a space more is still that mail."""
    ana = "ana@pair.example"
    raw = signed(letter(From=ana), domain="pair.example", names="from:to:subject:date:message-id")
    taken = Case(mail=lambda: raw, login=Login("ana", (ana,)), verdict=Verdict.ACCEPTED)
    wider = changed(raw, "Please build", "Please   build")

    gate.expect(taken)

    gate.expect(Case(mail=lambda: wider, verdict=Verdict.DUPLICATE, **EVE))


def test_copies_of_a_rejected_mail_are_told_of_and_kept_once(gate: Gate) -> None:
    """Each header that nobody signed makes another copy, as many as a stranger likes."""
    raw = signed(letter(attached(UNREADABLE)))
    before = gate.counts()
    for number in range(4):
        copy = above(raw, f"X-Junk: {number}")
        gate.take(Case(mail=lambda copy=copy: copy, verdict=Verdict.REJECTED, **EVE))
    after = gate.counts()

    assert after["status_events"] == before["status_events"] + 1
    assert after["parts"] == before["parts"] + 1


def test_a_refused_copy_does_not_take_away_what_the_sender_was_told(gate: Gate) -> None:
    """The problems stay with the mail, and its sender's next try is no new failure."""
    raw = microsofts(UNREADABLE)
    told = gate.take(Case(mail=lambda: raw, peer=OUTLOOK, verdict=Verdict.REJECTED))
    before = gate.counts()["status_events"]
    copy = gate.take(refused(lambda: raw, "", peer="192.0.2.99"))
    again = gate.take(Case(mail=lambda: raw, peer=OUTLOOK, verdict=Verdict.REJECTED))

    assert copy.verdict is Verdict.REFUSED
    assert again.problems == told.problems
    assert gate.counts()["status_events"] == before
    query = "select verdict, jsonb_array_length(problems) from intake.mails where id = %s"
    assert gate.house.rows(query, told.mail_id) == [("rejected", 1)]


def test_a_page_is_no_text_by_another_name(gate: Gate) -> None:
    """What was sent as HTML never counts, and its type is not signed here."""
    page = crlf("<html><body><p>hi</p><pre>" + FENCED + "</pre></body></html>\n")
    raw = signed(letter(page, Content_Type="text/html"), names="from:to:subject:date:message-id")

    gate.expect(refused(lambda: changed(raw, "text/html", "text/plain"), "looks like HTML"))


def test_what_nothing_proves_is_not_read(gate: Gate) -> None:
    """Nobody learns who is entitled by the time that a large document takes, nor fills our memory."""
    heavy = SPEC.replace("{coverage_min: 0.9}", "{x: " + "y" * 3000 + "}")

    gate.expect(refused(lambda: letter(attached(heavy)), "no DKIM-Signature"))


def test_what_a_refused_mail_refers_to_is_not_kept(gate: Gate) -> None:
    """A hundred long ids are ninety kilobytes for each mail of a stranger."""
    ids = "\r\n ".join(f"<{'r' * 900}{number}@evil.example>" for number in range(90))
    outcome = gate.take(refused(lambda: above(letter(From="eve@nobody.example"), f"References: {ids}"), ""))

    assert gate.house.rows('select "references" from intake.mails where id = %s', outcome.mail_id) == [([],)]

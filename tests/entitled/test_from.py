"""Whom a mail is from: one plain address, which everybody reads alike, or nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from daemon.outcome import Verdict
from tests.entitled.case import Case, accepted, refused
from tests.entitled.letter import BODY, above, below, changed, letter, signed

if TYPE_CHECKING:
    from tests.fix_gate import Gate

ANA, EVE = "ana@example.com", "eve@evil.example"

DOUBT, NO_FROM, NOBODY = "From is not exactly one plain address", "there is no From", "no rule"

#: Each is signed by Ana's own domain, so that nothing but the From header speaks against it.
DOUBTFUL = {
    "an address for a name": f"{ANA} <{EVE}>",
    "a quoted address for a name": f'"{ANA}" <{EVE}>',
    "Ana after another's name": f"{EVE} <{ANA}>",
    "a comment that opens an address": f"{ANA}(<{EVE}>",
    "a comment that closes too early": f"{ANA} (a\\)) <{EVE}>",
    "a comment in the middle": f"Ana (of example) <{ANA}>",
    "an address in encoded angles": f"=?utf-8?q?<ana=40example.com>?= <{EVE}>",
    "an address in base64": f"=?utf-8?b?YW5hQGV4YW1wbGUuY29t?= <{EVE}>",
    "an encoded word that closes a comment": f"{EVE} (=?utf-8?q?=29_<ana=40example.com>?=)",
    "nothing but an encoded word": "=?utf-8?q?ana=40example.com?=",
    "two addresses": f"{ANA}, {EVE}",
    "two addresses on two lines": f"{ANA},\r\n {EVE}",
    "a group": f"Friends: {ANA};",
    "an empty group": "undisclosed-recipients:;",
    "a comma that nobody quoted": f"Doe, Ana <{ANA}>",
    "words behind the address": f"<{ANA}> x",
    "a route": f"<@evil.example:{ANA}>",
    "an address and an empty one": f"{ANA} <>",
    "two in angles": f"<{ANA}><{EVE}>",
    "a quoted mailbox": '"ana x"@example.com',
    "a domain in numbers": "ana@[198.51.100.7]",
    "a dot at the end": f"{ANA}.",
    "a dot at the end, in angles": f"Ana <{ANA}.>",
    "two dots": "a..na@example.com",
    "two at signs": f"{ANA}@evil.example",
    "a percent sign's old route": "ana%example.com@evil.example@x",
    "a NUL in the domain": "ana@example\0.com",
    "a NUL before the name": f"\0 <{ANA}>",
    "a full-width letter": "\uff41na@example.com",
    "a letter that lower case makes plain": "\u212aim@example.org",
    "an encoded word as the mailbox": "=?utf-8?q?ana?=@example.com",
    "a mailbox beyond what SMTP takes": f"{'a' * 65}@example.com",
    "a name beyond what is read": f"{'A' * 1000} <{ANA}>",
}


@pytest.mark.parametrize("name", DOUBTFUL)
def test_a_from_with_any_doubt_is_refused(gate: Gate, name: str) -> None:
    """However well it is signed: what one program signs, another shows otherwise."""
    gate.expect(refused(lambda: signed(letter(From=DOUBTFUL[name])), DOUBT))


SECOND = {
    "above": lambda: above(signed(), f"From: {EVE}"),
    "below": lambda: below(signed(), f"From: {EVE}"),
    "above, with Eve's signature": lambda: signed(above(signed(), f"From: {EVE}"), domain="evil.example"),
    "above, signed by Ana's domain": lambda: signed(above(letter(), f"From: {EVE}")),
    "the same again": lambda: below(signed(), f"From: {ANA}"),
    "with a space before its colon": lambda: below(signed(), f"From : {EVE}"),
    "with a tab before its colon": lambda: above(signed(), f"from\t: {EVE}"),
    "behind a bare CR": lambda: below(signed(), f"X: y\rFrom: {EVE}"),
    "behind a line that ends the headers for some": lambda: below(signed(), f"no header\r\nFrom: {EVE}"),
}


@pytest.mark.parametrize("name", SECOND)
def test_a_second_from_is_refused(gate: Gate, name: str) -> None:
    """Which of the two is meant nobody can say, wherever the other one stands."""
    gate.expect(refused(SECOND[name], "From"))


def from_eve(**headers: str) -> bytes:
    """Eve's own letter, honestly signed by her domain."""
    return signed(letter(From=f"Eve <{EVE}>", **headers), domain="evil.example")


def forwarding(raw: bytes) -> str:
    """A body that holds a whole mail."""
    return f"--=_f2a9\r\nContent-Type: message/rfc822\r\n\r\n{raw.decode()}\r\n--=_f2a9--\r\n"


NO_RIGHTS: dict[str, Case] = {
    "the name": refused(
        lambda: signed(letter(From=f"ana at example.com <{EVE}>"), domain="evil.example"), NOBODY
    ),
    "Reply-To": refused(lambda: from_eve(Reply_To=ANA), NOBODY),
    "Sender": refused(lambda: from_eve(Sender=ANA), NOBODY),
    "Return-Path": refused(lambda: above(from_eve(), f"Return-Path: <{ANA}>"), NOBODY),
    "Resent-From": refused(lambda: above(from_eve(), f"Resent-From: {ANA}"), NOBODY),
    "X-Original-From": refused(lambda: from_eve(X_Original_From=ANA), NOBODY),
    "MAIL FROM": refused(from_eve, NOBODY, mail_from=ANA, peer="198.51.100.7"),
    "a mail that is forwarded": refused(
        lambda: signed(letter(forwarding(signed()), From=EVE), domain="evil.example"), NOBODY
    ),
    "the body": refused(
        lambda: signed(letter(f"From: {ANA}\r\n\r\n{BODY}", From=EVE), domain="evil.example"), NOBODY
    ),
    "an empty From": refused(lambda: signed(letter(From="")), NO_FROM),
    "another's mailbox that lower case makes like": refused(
        lambda: signed(letter(From="k\u0130m@example.org"), domain="example.org"), NOBODY
    ),
    "no From at all": refused(lambda: signed(letter(From=None, Sender=ANA), names="Sender:From"), NO_FROM),
    "a From behind the end of the headers": refused(
        lambda: changed(letter(From=None), "\r\n\r\n", f"\r\n\r\nFrom: {ANA}\r\n\r\n"), NO_FROM
    ),
    "a domain of another script": refused(
        lambda: signed(letter(From="ana@ex\u0430mple.com"), domain="xn--exmple-4nf.com"), NOBODY
    ),
    "the same domain in its ASCII form": refused(
        lambda: signed(letter(From="ana@xn--exmple-4nf.com"), domain="xn--exmple-4nf.com"), NOBODY
    ),
    "a domain that ends alike": refused(
        lambda: signed(letter(From="ana@notexample.com"), domain="notexample.com"), NOBODY
    ),
    "a domain that begins alike": refused(
        lambda: signed(letter(From="ana@example.com.evil.example"), domain="evil.example"), NOBODY
    ),
    "a subdomain that no rule names": refused(lambda: signed(letter(From="ana@sub.example.com")), NOBODY),
    "another's mailbox at a mail service": refused(
        lambda: signed(letter(From="eve@gmail.com"), domain="gmail.com", selector="20230601"), NOBODY
    ),
    "a tag at a mail service": refused(
        lambda: signed(letter(From="ana+x@gmail.com"), domain="gmail.com", selector="20230601"), NOBODY
    ),
}


@pytest.mark.parametrize("name", NO_RIGHTS)
def test_nothing_but_the_from_address_gives_rights(gate: Gate, name: str) -> None:
    """Eve's mail is Eve's, whatever it says of Ana, and what looks like Ana's domain is another."""
    gate.expect(NO_RIGHTS[name])


PLAIN = {
    "the address alone": ANA,
    "in angles": f"<{ANA}>",
    "in any case": "Ana <Ana@EXAMPLE.Com>",
    "a quoted name": f'"Doe, Ana" <{ANA}>',
    "the address as its own name": f'"{ANA}" <{ANA}>',
    "a name in Latin 1": f"=?iso-8859-1?q?An=E9?= <{ANA}>",
    "a name in UTF-8": f"Ana\u00efs <{ANA}>",
    "a name behind": f"{ANA} (Ana)",
    "on two lines": f'"Ana"\r\n <{ANA}>',
    "with a tag": "ana+specs@example.com",
    "a strange but plain mailbox": "a.n_a!#$%&'*+/?=^`{|}~-@example.com",
}


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_from_is_taken_however_it_is_written(gate: Gate, name: str) -> None:
    """What every mailer writes is no trick."""
    gate.expect(accepted(lambda: signed(letter(From=PLAIN[name]))))


@pytest.mark.parametrize(
    "case",
    [
        Case(mail=signed, mail_from=None, verdict=Verdict.IGNORED, reason="null sender"),
        Case(
            mail=lambda: signed(letter(Auto_Submitted="auto-replied")),
            verdict=Verdict.IGNORED,
            reason="automatic",
        ),
    ],
    ids=["a bounce", "a vacation"],
)
def test_an_echo_is_nobodys_request(gate: Gate, case: Case) -> None:
    """However well it is signed."""
    gate.expect(case)

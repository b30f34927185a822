"""What honest mailers sign gets in: as Gmail, Google Workspace, Microsoft 365 and Fastmail write it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from tests.entitled.case import Case, accepted
from tests.entitled.letter import above, below, changed, letter, stamp_time, text
from tests.entitled.providers import FASTMAIL, GMAIL, MICROSOFT, OUTLOOK, outlook
from tests.fix_house import US
from tests.fix_signers import ALL, Stamp, by_dkimpy, by_perl

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fix_gate import Gate
    from tests.fix_signers import Sign

WEEK = (("t", stamp_time()), ("x", stamp_time(days=7)))


@dataclass(frozen=True)
class Honest:
    """How a mail is written and signed, what its way does to it, and how it arrives."""

    stamps: tuple[Stamp, ...]
    write: Callable[[], bytes] = letter
    on_its_way: Callable[[bytes], bytes] = bytes
    arrival: dict[str, Any] = field(default_factory=dict)

    def case(self, sign: Sign) -> Case:
        """With all stamps made by ``sign``."""
        return accepted(lambda: self.on_its_way(self.signed(sign)), **self.arrival)

    def signed(self, sign: Sign) -> bytes:
        """The mail as it leaves."""
        raw = self.write()
        for stamp in self.stamps:
            raw = sign(raw, stamp)
        return raw


def through_two_servers(raw: bytes) -> bytes:
    """What servers on the way add and fold."""
    folded = changed(raw, "Subject: the tides", "Subject:  the\r\n\ttides ")
    return above(above(folded, "Received: from b by c; x"), "Received: from a by b; x")


BY_ANY = {
    "as Gmail": Honest(
        (Stamp(domain="gmail.com", selector="20230601", names=GMAIL, tags=(*WEEK, ("darn", "example.net"))),),
        lambda: letter(From="Ana <ana@gmail.com>"),
        arrival={"mail_from": "ana@gmail.com", "evidence": {"rule": "gmail", "d": "gmail.com"}},
    ),
    "as Google Workspace": Honest((Stamp(selector="google", names=GMAIL, tags=WEEK),)),
    "as Google Workspace, in plain text": Honest((Stamp(selector="google", names=GMAIL, tags=WEEK),), text),
    "as Microsoft 365, from its own server": Honest(
        (Stamp(selector="selector2", names=MICROSOFT),),
        outlook,
        arrival={"peer": OUTLOOK},
    ),
    "as Microsoft 365, bounces to a subdomain": Honest(
        (Stamp(selector="selector2", names=MICROSOFT),),
        outlook,
        arrival={"peer": OUTLOOK, "mail_from": "b@bounces.example.com"},
    ),
    "as Microsoft 365, over IPv6 that is IPv4": Honest(
        (Stamp(selector="selector2", names=MICROSOFT),), outlook, arrival={"peer": f"::ffff:{OUTLOOK}"}
    ),
    "as Microsoft 365, its servers included": Honest(
        (Stamp(domain="chained.example", names=MICROSOFT),),
        lambda: outlook(From="ana@chained.example"),
        arrival={
            "peer": OUTLOOK,
            "mail_from": "ana@chained.example",
            "evidence": {"rule": "chained", "d": "chained.example"},
        },
    ),
    "as Microsoft 365, its policy elsewhere": Honest(
        (Stamp(domain="redirected.example", names=MICROSOFT),),
        lambda: outlook(From="ana@redirected.example"),
        arrival={
            "peer": "2001:db8::25",
            "mail_from": "ana@redirected.example",
            "evidence": {"rule": "chained", "d": "redirected.example"},
        },
    ),
    "as Fastmail, signed twice": Honest(
        (
            Stamp(selector="fm1", names=FASTMAIL, tags=WEEK),
            Stamp(domain="messagingengine.com", selector="fm3", names=FASTMAIL, tags=WEEK),
        ),
    ),
    "simple in head and body": Honest((Stamp(method="simple/simple"),)),
    "relaxed in the head only": Honest((Stamp(method="relaxed/simple"),)),
    "a key of 1024 bits": Honest((Stamp(selector="rsa1024", key="rsa1024"),)),
    "a key of a subdomain": Honest(
        (Stamp(domain="mail.example.com"),), arrival={"evidence": {"d": "mail.example.com"}}
    ),
    "a key of the organisation, from a subdomain": Honest(
        (Stamp(),),
        lambda: letter(From="ana@mail.example.com"),
        arrival={"evidence": {"rule": "mail"}},
    ),
    "an organisation under co.uk": Honest(
        (Stamp(domain="example.co.uk"),),
        lambda: letter(From="ana@example.co.uk"),
        arrival={"evidence": {"rule": "british", "d": "example.co.uk"}},
    ),
    "a domain in capitals": Honest((Stamp(domain="EXAMPLE.Com"),)),
    "a strict organisation's own domain": Honest(
        (Stamp(domain="strict.example"),),
        lambda: letter(From="ana@strict.example"),
        arrival={"evidence": {"rule": "strict", "d": "strict.example"}},
    ),
    "a lenient organisation's subdomain": Honest(
        (Stamp(domain="mail.lenient.example"),),
        lambda: letter(From="ana@lenient.example"),
        arrival={"evidence": {"rule": "lenient", "d": "mail.lenient.example"}},
    ),
    "a domain beyond ASCII, as the DNS writes it": Honest(
        (Stamp(domain="xn--bcher-kva.example"),),
        lambda: letter(From="ana@xn--bcher-kva.example"),
        arrival={"evidence": {"rule": "books", "d": "xn--bcher-kva.example"}},
    ),
    "several signatures, the good one fifth": Honest(
        (Stamp(), *(Stamp(domain="evil.example") for _ in range(4)))
    ),
    "a good signature over one that is broken": Honest(
        (Stamp(selector="missing"), Stamp(selector="revoked"), Stamp())
    ),
    "headers folded and traced on the way": Honest((Stamp(),), on_its_way=through_two_servers),
    "delivered by a mailbox's server": Honest(
        (Stamp(),), on_its_way=lambda raw: above(raw, f"Delivered-To: {US}")
    ),
    "trailing blank lines added on the way": Honest((Stamp(),), on_its_way=lambda raw: raw + b"\r\n\r\n"),
    "headers that mean nothing added on the way": Honest(
        (Stamp(),), on_its_way=lambda raw: below(raw, "X-Spam-Status: No")
    ),
    "our address in a signed Cc": Honest((Stamp(),), lambda: letter(To="bob@example.com", Cc=f"Us <{US}>")),
    "our address beside others": Honest((Stamp(),), lambda: letter(To=f"bob@example.com,\r\n {US}")),
    "the repository in a signed tag": Honest(
        (Stamp(),), lambda: letter(To="specs+example=app@example.net"), arrival={"rcpt_to": US}
    ),
    "the same tag in the envelope and on the way": Honest(
        (Stamp(),),
        lambda: letter(To="Specs <specs+example=app@example.net>"),
        on_its_way=lambda raw: above(raw, "Delivered-To: specs+Example=App@example.net"),
        arrival={"rcpt_to": "specs+EXAMPLE=app@example.net"},
    ),
    "text in 8 bits, Content-Type unsigned": Honest(
        (Stamp(names=GMAIL),), lambda: text(Content_Transfer_Encoding="8bit")
    ),
    "text without any MIME header": Honest(
        (Stamp(names=GMAIL),), lambda: text(MIME_Version=None, Content_Type=None)
    ),
    "a signature whose end is still to come": Honest(
        (Stamp(tags=(("t", stamp_time()), ("x", stamp_time(hours=6)))),)
    ),
    "an identity in the domain": Honest((Stamp(tags=(("i", "ana@mail.example.com"),)),)),
    "a key for itself alone, and no more claimed": Honest(
        (Stamp(selector="itself", tags=(("i", "ana@example.com"),)),)
    ),
    "h= with a name signed once": Honest((Stamp(names="from:to:subject:date:message-id:content-type"),)),
    "everything signed, spelt as anybody likes": Honest((Stamp(names=ALL.upper()),)),
}


@pytest.mark.parametrize("sign", [by_dkimpy, by_perl])
@pytest.mark.parametrize("name", BY_ANY)
def test_what_honest_people_send_gets_in(gate: Gate, name: str, sign: Sign) -> None:
    """Whoever's program signs it, and whatever servers do to it that the signature allows."""
    gate.expect(BY_ANY[name].case(sign))


def test_the_newest_kind_of_key_is_as_good(gate: Gate) -> None:
    """Ed25519 (RFC 8463), which Debian's Mail::DKIM can't sign with yet."""
    stamp = Stamp(selector="ed25519", key="ed25519", algorithm="ed25519-sha256")
    gate.expect(Honest((stamp,), arrival={"evidence": {"a": "ed25519-sha256"}}).case(by_dkimpy))


def test_microsofts_mail_is_ours_by_who_brings_it(gate: Gate) -> None:
    """It signs no recipient: SPF says that this delivery is the sender's own, and the evidence says so."""
    evidence = gate.expect(BY_ANY["as Microsoft 365, from its own server"].case(by_perl))

    assert "SPF" in evidence["to_us"]
    assert OUTLOOK in evidence["to_us"]


def test_the_evidence_says_what_was_proven(gate: Gate) -> None:
    """Enough to find the key and the rule again, years later."""
    evidence = gate.expect(BY_ANY["a key of 1024 bits"].case(by_dkimpy))

    assert {
        "rule": "example",
        "proof": "dkim",
        "d": "example.com",
        "s": "rsa1024",
        "a": "rsa-sha256",
        "key_bits": 1024,
        "from": "ana@example.com",
    }.items() <= evidence.items()

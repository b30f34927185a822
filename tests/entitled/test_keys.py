"""Keys as the DNS has them: missing, revoked, hostile, or not to be had for now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.entitled.case import Case, accepted, deferred, refused
from tests.entitled.letter import SPEC, attached, letter, signed
from tests.entitled.providers import MICROSOFT, OUTLOOK, outlook
from tests.fix_dns import Impostor, nothing

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fix_dns import Address
    from tests.fix_gate import Gate

#: What is wrong with a key, as its selector says; all are signed with a good one.
BAD = {
    "missing": "there is no key",
    "revoked": "its key is revoked",
    "twice": "there are 2 keys",
    "other": "the headers are not the ones it signs, or the key is another",
    "elsewhere": "its key is not for mail",
    "sha1only": "its key is for other hashes",
    "garbage": "its key can't be read",
    "notbase64": "there is no key",
    "huge": "there is no key",
    "version": "there is no key",
    "wrongkind": "its key is of the kind ed25519",
    "mismatch": "its key is of the kind ed25519",
    "empty": "there is no key",
}


@pytest.mark.parametrize("selector", BAD)
def test_a_key_that_is_not_good_proves_nothing(gate: Gate, selector: str) -> None:
    """Whatever the sender's zone, or a stranger's, holds instead of a key."""
    gate.expect(refused(lambda: signed(selector=selector), f"s={selector}: {BAD[selector]}"))


ODD: dict[str, Case] = {
    "a key for itself alone, used by a subdomain": refused(
        lambda: signed(selector="itself", tags=(("i", "ana@mail.example.com"),)), "t=s"
    ),
    "a domain that is no name": refused(lambda: signed(domain="..example.com"), "d="),
    "a domain longer than any": refused(
        lambda: signed(domain=".".join(["a" * 60] * 5) + ".example.com"), "d="
    ),
    "a selector that is no name": refused(lambda: signed(selector="a/../b c"), "s="),
    "a selector with a terminal's orders": refused(lambda: signed(selector="\x1b[2J"), "s="),
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_name_is_no_key(gate: Gate, name: str) -> None:
    """It is refused for what it is, and the reason can be printed."""
    gate.expect(ODD[name])


#: Seconds of patience with a name server that will not answer, and with one that will.
SHORT, LONG = 0.3, 5.0


@pytest.mark.parametrize(("selector", "patience"), [("silent", SHORT), ("failing", LONG)])
def test_a_mail_whose_key_may_come_later_comes_later(
    open_gate: Callable[..., Any], troubled_dns: Address, selector: str, patience: float
) -> None:
    """Never accepted unsigned, never refused for our trouble; and nothing of it is recorded."""
    with open_gate(troubled_dns, timeout=patience) as gate:
        before = gate.counts()
        gate.expect(deferred(lambda: signed(selector=selector), f"{selector}._domainkey.example.com"))

        assert gate.counts() == before


def test_one_key_that_is_late_holds_up_no_good_one(
    open_gate: Callable[..., Any], troubled_dns: Address
) -> None:
    """A proof is a proof, whoever else signed."""
    with open_gate(troubled_dns, timeout=LONG) as gate:
        gate.expect(accepted(lambda: signed(signed(), selector="failing")))
        gate.expect(accepted(lambda: signed(signed(selector="failing"))))
    with open_gate(troubled_dns, timeout=1.0) as gate:
        gate.expect(accepted(lambda: signed(signed(), selector="silent")))


def test_one_key_that_is_late_may_still_be_the_one(
    open_gate: Callable[..., Any], troubled_dns: Address
) -> None:
    """A broken signature beside it decides nothing."""
    with open_gate(troubled_dns, timeout=LONG) as gate:
        gate.expect(deferred(lambda: signed(signed(selector="failing"), selector="revoked"), "failing."))


def test_a_policy_that_is_late_holds_up_only_whom_it_is_about(
    open_gate: Callable[..., Any], troubled_dns: Address
) -> None:
    """A subdomain's signature needs the policy; the sender's own domain needs none."""
    lea = {"From": "lea@lenient.example"}
    with open_gate(troubled_dns, timeout=LONG) as gate:
        late = deferred(
            lambda: signed(letter(**lea), domain="mail.lenient.example"), "_dmarc.lenient.example"
        )
        gate.expect(late)
        own = {"rule": "lenient", "d": "lenient.example"}
        gate.expect(accepted(lambda: signed(letter(**lea), domain="lenient.example"), evidence=own))


def test_spf_waits_for_what_it_includes_only_if_it_comes_to_that(
    open_gate: Callable[..., Any], troubled_dns: Address
) -> None:
    """Mechanisms are tried in their order, and the first that matches decides (RFC 7208, 4.6.2)."""
    proven = {"rule": "chained", "d": "chained.example"}
    with open_gate(troubled_dns, timeout=LONG) as gate:
        gate.expect(accepted(chained, peer="192.0.2.5", mail_from="ana@chained.example", evidence=proven))
        gate.expect(deferred(chained, "_spf2.chained.example", peer=OUTLOOK, mail_from="ana@chained.example"))


def chained() -> bytes:
    """A letter that leans on SPF of a domain whose policy includes two others."""
    return signed(outlook(From="ana@chained.example"), domain="chained.example", names=MICROSOFT)


def test_a_forged_mail_waits_for_no_key_that_couldnt_prove_it(
    open_gate: Callable[..., Any], troubled_dns: Address
) -> None:
    """Else a stranger's dead zone would keep us asking, and the sender sending."""
    with open_gate(troubled_dns, timeout=LONG) as gate:
        gate.expect(refused(lambda: signed(domain="evil.example", selector="silent"), "not aligned"))
        gate.expect(
            refused(
                lambda: signed(letter(attached(SPEC.replace("example/app", "evil/app"))), selector="silent"),
                "not in repos",
            )
        )
        gate.expect(refused(lambda: signed(selector="silent", names="from:to:date"), "Subject"))


@pytest.mark.parametrize("server", ["silent_dns", "failing_dns"])
def test_without_the_dns_nothing_is_decided_that_needs_it(
    open_gate: Callable[..., Any], request: pytest.FixtureRequest, server: str
) -> None:
    """What needs no key is refused as ever."""
    with open_gate(request.getfixturevalue(server), timeout=SHORT) as gate:
        gate.expect(deferred(signed, "rsa2048._domainkey.example.com"))
        gate.expect(deferred(lambda: signed(outlook(), names=MICROSOFT), "example.com", peer=OUTLOOK))
        gate.expect(refused(letter, "no DKIM"))


def test_no_mail_asks_the_dns_about_strangers(open_gate: Callable[..., Any]) -> None:
    """Whom no rule knows can't make us ask for names of their choice, nor who signs for somebody else."""
    eves: dict[str, Any] = {"domain": "evil.example"}
    with Impostor(nothing) as server, open_gate(server.address) as gate:
        gate.expect(refused(lambda: signed(letter(From="eve@evil.example"), **eves), "no rule"))
        gate.expect(refused(lambda: signed(**eves), "not aligned"))
        gate.expect(refused(lambda: signed(outlook(), names=MICROSOFT, **eves), "not aligned", peer=OUTLOOK))

        assert server.asked == []

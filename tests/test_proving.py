"""Judging with the DNS in between: bounded places, one deadline, and nothing taken without an answer."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from daemon import proving
from daemon.mail import Login
from daemon.outcome import Verdict
from daemon.rates import Rates
from tests.entitled.letter import letter, signed
from tests.fix_gate import DEFAULTS, RELAY
from tests.fix_house import PATIENCE, an_envelope, new_house

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from pathlib import Path

    from daemon.outcome import Outcome
    from daemon.readers import Readers
    from tests.fix_database import Database
    from tests.fix_dns import Address, DnsServer
    from tests.fix_house import House

LOGIN = Login("kim", ("kim@staff.example",))


@pytest.fixture
def join(gate_readers: Readers, database: Database, tmp_path: Path) -> Callable[..., Any]:
    """Make a house with a gate that asks these name servers."""

    def new(*dns: Address, **gate: Any) -> Any:
        return new_house(gate_readers, database, tmp_path, defaults=DEFAULTS, dns=dns, **gate)

    return new


def take(house: House, raw: bytes, **changes: Any) -> Future[Outcome]:
    """Let a mail come from outside."""
    return house.intake.take(
        an_envelope(raw, **({"peer": "203.0.113.9", "mail_from": "ana@example.com"} | changes))
    )


def by_login(house: House) -> Outcome:
    """What becomes of a mail whose sender logged in."""
    return take(house, letter(From="kim@staff.example"), login=LOGIN).result(PATIENCE)


def await_place(house: House, waiting: Future[Outcome]) -> None:
    """Return when the mail waits for the DNS."""
    while not house.intake._court.prover._places._taken:
        assert not waiting.done()
        time.sleep(0.005)


def test_while_mails_wait_for_the_dns_others_are_taken(join: Callable[..., Any], silent_dns: Address) -> None:
    """A zone that never answers costs the mails that need it, and nobody else."""
    with join(silent_dns, timeout=3.0) as house:
        waiting = [take(house, signed()) for _ in range(8)]
        started = time.monotonic()
        assert by_login(house).verdict is Verdict.ACCEPTED
        assert not any(each.done() for each in waiting)

        outcomes = [each.result(PATIENCE) for each in waiting]
        assert time.monotonic() - started < 3 * 3.0

    assert {each.verdict for each in outcomes} == {Verdict.DEFERRED}
    assert "DNS does not answer" in outcomes[0].reason


def test_more_than_may_wait_are_deferred_at_once(
    join: Callable[..., Any], silent_dns: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The set is bounded; a mail beyond it hears so, and one that needs no DNS doesn't care."""
    monkeypatch.setattr(proving, "PLACES", 2)
    with join(silent_dns, timeout=60.0) as house:
        for _ in range(2):
            take(house, signed())
        while house.intake._court.prover._places._taken[""] < 2:
            time.sleep(0.005)
        third = take(house, signed()).result(PATIENCE)
        assert by_login(house).verdict is Verdict.ACCEPTED

    assert third.verdict is Verdict.DEFERRED
    assert "wait for the DNS already" in third.reason


def test_one_neighbourhood_of_peers_has_its_share_and_no_more(
    join: Callable[..., Any], silent_dns: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever knows a name that is answered late keeps nobody waiting; a relay brings everybody's mail."""
    monkeypatch.setattr(proving, "PEER_PLACES", 1)
    with join(silent_dns, timeout=60.0) as house:
        await_place(house, take(house, signed(), peer="2001:db8::1"))
        beside = take(house, signed(), peer="2001:db8::2").result(PATIENCE)
        others = [take(house, signed(), peer=peer) for peer in ("2001:db8:1::1", RELAY, RELAY)]
        assert not any(each.done() for each in others)

    assert "wait for the DNS already" in beside.reason


def test_one_domain_has_its_share_and_no_more(
    join: Callable[..., Any], silent_dns: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mails in the name of one sender don't keep those of others from being proven."""
    monkeypatch.setattr(proving, "DOMAIN_PLACES", 1)
    with join(silent_dns, timeout=60.0) as house:
        await_place(house, take(house, signed()))
        same = take(house, signed(), peer="192.0.2.1").result(PATIENCE)
        other = take(house, signed(letter(From="ana@gmail.com"), domain="gmail.com"), peer="192.0.2.2")
        assert not other.done()

    assert "wait for the DNS already" in same.reason


def test_a_place_is_free_again_after_the_answer(
    join: Callable[..., Any], published: DnsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One place serves one mail after the other."""
    monkeypatch.setattr(proving, "PLACES", 1)
    with join(published.address) as house:
        outcomes = [take(house, signed()).result(PATIENCE).verdict for _ in range(3)]

    assert outcomes == [Verdict.ACCEPTED] * 3


def test_the_end_of_the_service_does_not_wait_for_the_dns(
    join: Callable[..., Any], silent_dns: Address
) -> None:
    """A mail that waits is deferred, and its sender tries again."""
    with join(silent_dns, timeout=60.0) as house:
        waiting = take(house, signed())
        await_place(house, waiting)
        started = time.monotonic()

    assert time.monotonic() - started < PATIENCE / 4
    assert waiting.result(0).verdict is Verdict.DEFERRED


def test_without_anybody_to_ask_the_house_is_not_alive(join: Callable[..., Any], silent_dns: Address) -> None:
    """Every mail that needs the DNS would be deferred for ever: a restart may mend that."""
    with join(silent_dns) as house:
        assert house.intake.alive()
        house.intake._court.prover._resolver.close()
        assert not house.intake.alive()


def test_the_dns_is_asked_so_often_and_no_more(
    join: Callable[..., Any], published: DnsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever makes questions without end proves nothing."""
    monkeypatch.setattr(proving, "ROUNDS", 0)
    with join(published.address) as house:
        outcome = take(house, signed()).result(PATIENCE)

    assert outcome.verdict is Verdict.REFUSED
    assert "more than 0 times" in outcome.reason


def test_a_sender_over_their_rate_comes_again_later(join: Callable[..., Any]) -> None:
    """What was accepted counts; what others send in their name, and copies of their mails, take nothing."""
    copy = letter(From="kim@staff.example")
    with join(rates=Rates(2)) as house:
        first = take(house, copy, login=LOGIN).result(PATIENCE)
        copies = [take(house, copy, login=LOGIN).result(PATIENCE) for _ in range(3)]
        forged = [take(house, letter(From="kim@staff.example")).result(PATIENCE) for _ in range(3)]
        second, third = by_login(house), by_login(house)
        again = take(house, copy, login=LOGIN).result(PATIENCE)

    assert {each.verdict for each in copies} == {Verdict.DUPLICATE}
    assert {each.verdict for each in forged} == {Verdict.REFUSED}
    assert (first.verdict, second.verdict, third.verdict) == (
        Verdict.ACCEPTED,
        Verdict.ACCEPTED,
        Verdict.DEFERRED,
    )
    assert third.reason == "its sender is over [smtp] sender_rate"
    assert again.verdict is Verdict.DUPLICATE

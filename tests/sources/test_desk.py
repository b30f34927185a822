"""How the desk treats neighbourhoods."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from daemon.mail import Login
from daemon.sources import desk
from daemon.sources.auth import Credentials
from daemon.sources.desk import Desk
from daemon.sources.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Coroutine

ANA = Login("ana", ("ana@example.org",))
RIGHT, WRONG = Credentials("ana", "geheim"), Credentials("ana", "falsch")


async def check(_name: str, password: str) -> Login | None:
    """Who this is."""
    return ANA if password == "geheim" else None


def waits(monkeypatch: pytest.MonkeyPatch, *delays: float) -> None:
    """Let wrong guesses cost so many seconds."""
    monkeypatch.setattr(desk, "DELAYS", delays)


def seconds(work: Coroutine[object, object, object]) -> float:
    """How long ``work`` takes."""
    began = time.monotonic()
    asyncio.run(work)
    return time.monotonic() - began


def test_guesses_side_by_side_take_as_long_as_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many connections of one neighbourhood guess no faster than one; many neighbourhoods don't wait."""
    waits(monkeypatch, 0.1)

    async def guess(*peers: str) -> None:
        at_the_desk = Desk(check)
        found = await asyncio.gather(*(at_the_desk.login(peer, WRONG) for peer in peers))
        assert found == [None] * len(peers)

    assert seconds(guess(*["2001:db8::1", "2001:db8::2"] * 3)) >= 0.6
    assert seconds(guess(*(f"192.0.2.{host}" for host in range(6)))) < 0.6


def test_one_neighbourhood_is_asked_about_once_at_a_time() -> None:
    """However many log in at once, others find a free place at whoever checks passwords."""
    asked = []

    async def knock() -> None:
        gate, all_asked = asyncio.Event(), asyncio.Event()

        async def slow(name: str, _password: str) -> Login:
            asked.append(name)
            if len(asked) == 3:
                all_asked.set()
            await gate.wait()
            return ANA

        at_the_desk = Desk(slow)
        peers = [("192.0.2.1", "a"), ("192.0.2.1", "b"), ("192.0.2.2", "c"), ("unix", "d")]
        logins = [at_the_desk.login(peer, Credentials(name, "x")) for peer, name in peers]
        tasks = [asyncio.create_task(login) for login in logins]
        await all_asked.wait()
        for _ in range(10):
            await asyncio.sleep(0)
        assert asked == ["a", "c", "d"]
        gate.set()
        assert await asyncio.gather(*tasks) == [ANA] * 4

    asyncio.run(asyncio.wait_for(knock(), 5))


def test_who_hangs_up_has_guessed_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """To go before the answer saves no time at the next guess."""
    waits(monkeypatch, 0.2)

    async def hang_up() -> None:
        has_begun = asyncio.Event()

        async def never(_name: str, _password: str) -> None:
            has_begun.set()
            await asyncio.Event().wait()

        at_the_desk = Desk(never)
        guess = asyncio.create_task(at_the_desk.login("192.0.2.1", RIGHT))
        await has_begun.wait()
        guess.cancel()
        await asyncio.wait([guess])
        at_the_desk._check = check
        assert await at_the_desk.login("192.0.2.1", RIGHT) == ANA

    assert seconds(hang_up()) >= 0.2


def test_a_turn_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind too many others a client is asked to come again, and no password of its is checked."""
    monkeypatch.setattr(desk, "TURN", 0.05)
    waits(monkeypatch, 60)

    async def come_late() -> None:
        at_the_desk = Desk(check)
        first = asyncio.create_task(at_the_desk.login("192.0.2.1", WRONG))
        await asyncio.sleep(0)
        with pytest.raises(Refusal, match=r"^454 4\.7\.0 too many logins"):
            await at_the_desk.login("192.0.2.1", RIGHT)
        first.cancel()

    assert seconds(come_late()) < 10


def test_guesses_are_forgotten_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who was wrong long ago begins anew; a right guess in between makes no wrong one cheaper."""
    waits(monkeypatch, 0.0, 0.15)

    async def guess() -> None:
        at_the_desk = Desk(check)
        for said in (WRONG, RIGHT, WRONG):
            await at_the_desk.login("192.0.2.1", said)

    assert seconds(guess()) >= 0.15
    monkeypatch.setattr(desk, "MEMORY", -1.0)
    assert seconds(guess()) < 0.15


def test_only_so_many_neighbourhoods_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes from ever new addresses fills no memory."""
    monkeypatch.setattr(desk, "NEIGHBOURHOODS", 2)
    at_the_desk = Desk(check)

    async def come(*peers: str) -> None:
        for peer in peers:
            await at_the_desk.login(peer, RIGHT)

    asyncio.run(come("192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.3"))
    assert list(at_the_desk._known) == ["192.0.2.1", "192.0.2.3"]

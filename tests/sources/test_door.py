"""Who is let in, and how many."""

from __future__ import annotations

import asyncio

from daemon.mail import Addresses
from daemon.outcome import Outcome, Verdict
from daemon.sources.door import Door, Share
from daemon.sources.limits import Limits


class Guest:
    """Somebody who stays until told to leave."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.heard = ""

    def leave(self, reply: str) -> None:
        """Hear why, and go."""
        self.heard = reply
        self.door.left(self)

    def abort(self) -> None:
        """Go."""
        self.door.left(self)


async def take(_envelope: object) -> Outcome:
    """Defer."""
    return Outcome(Verdict.DEFERRED)


def a_door(**limits: int) -> Door:
    """A door with these limits."""
    return Door(take, "mx.test", Addresses.of([]), Limits(**limits), None)


def come(door: Door, *hosts: str) -> list[str]:
    """What a guest from each host hears, empty for who is let in."""
    return [door.enter(Guest(door), host) or "" for host in hosts]


def test_one_peer_can_not_take_every_place() -> None:
    """The third connection from one address is refused while another address gets in."""
    said = come(a_door(connections_per_peer=2), *["192.0.2.1"] * 3, "192.0.2.2")
    assert [reply[:9] for reply in said] == ["", "", "421 4.7.0", ""]


def test_an_ipv6_network_is_one_peer() -> None:
    """Addresses of one /64 belong to one customer."""
    said = come(a_door(connections_per_peer=1), "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1")
    assert [reply[:9] for reply in said] == ["", "421 4.7.0", ""]


def test_this_machine_is_only_bound_by_the_whole() -> None:
    """Loopback and UNIX sockets are exempt from the cap per peer, not from the cap of all."""
    said = come(
        a_door(connections=4, connections_per_peer=1), *["127.0.0.1", "::1", "unix"], "127.0.0.1", "::1"
    )
    assert [reply[:9] for reply in said] == ["", "", "", "", "421 4.3.2"]


def test_a_place_is_free_again() -> None:
    """Who has left counts no more, and leaves no trace."""
    door = a_door(connections_per_peer=1)
    guest = Guest(door)
    assert door.enter(guest, "192.0.2.1") is None
    door.left(guest)
    assert door.enter(guest, "192.0.2.1") is None
    door.left(guest)
    assert not door._neighbours


def test_room_is_given_back_once() -> None:
    """Messages share one room; a share released twice frees no more than it had."""
    door = a_door(bytes_in_flight=100, max_size=10)
    share, other = Share(door), Share(door)
    assert share.grow(60)
    assert not other.grow(41)
    assert other.grow(40)
    share.release()
    share.release()
    assert door.bytes_in_flight == 40


def test_a_mail_of_the_announced_size_always_fits_an_empty_door() -> None:
    """Limits that contradict each other do not turn every large mail away for ever."""
    assert not a_door(bytes_in_flight=10, max_size=1000).is_crowded(1000)


def test_emptying_tells_everybody() -> None:
    """Each guest hears the last word, and nobody is waited for in vain."""

    async def scene() -> list[str]:
        door = a_door()
        guests = [Guest(door), Guest(door)]
        for guest in guests:
            door.enter(guest, "192.0.2.1")
        await door.empty("421 4.3.2 bye", timeout=5)
        return [guest.heard for guest in guests]

    assert asyncio.run(scene()) == ["421 4.3.2 bye"] * 2

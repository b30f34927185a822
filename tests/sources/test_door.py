"""Who is let in, and how many."""

from __future__ import annotations

import asyncio
from ipaddress import ip_network

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

    def give_way(self, reply: str) -> None:
        """Hear why; the door has forgotten us already, and hears of the end of the connection later."""
        self.leave(reply)

    def abort(self) -> None:
        """Go."""
        self.door.left(self)


async def take(_envelope: object) -> Outcome:
    """Defer."""
    return Outcome(Verdict.DEFERRED)


def a_door(*relays: str, **limits: int) -> Door:
    """A door with these limits."""
    networks = tuple(ip_network(relay) for relay in relays)
    return Door(take, "mx.test", Addresses.of([]), Limits(**limits), None, relays=networks)


def come(door: Door, *hosts: str) -> list[Guest]:
    """A guest from each host, who was let in or has heard why not."""
    guests = [Guest(door) for _ in hosts]
    for guest, host in zip(guests, hosts, strict=True):
        guest.heard = door.enter(guest, host) or ""
    return guests


def heard(guests: list[Guest]) -> list[str]:
    """The codes of what each has heard, empty for who is inside."""
    return [guest.heard[:9] for guest in guests]


def test_one_peer_can_not_take_every_place() -> None:
    """The third connection from one address costs that address its first one, and nobody else theirs."""
    door = a_door(connections_per_peer=2)
    other = come(door, "192.0.2.2")
    assert heard(come(door, *["192.0.2.1"] * 3)) == ["421 4.7.0", "", ""]
    assert heard(other) == [""]


def test_an_ipv6_network_is_one_peer() -> None:
    """Addresses of one /64 belong to one customer."""
    guests = come(a_door(connections_per_peer=1), "2001:db8::1", "2001:db8:0:1::1", "2001:db8::2")
    assert heard(guests) == ["421 4.7.0", "", ""]


def test_this_machine_and_relays_are_only_bound_by_the_whole() -> None:
    """Loopback, UNIX sockets and relays are exempt from the cap per peer, not from the cap of all."""
    door = a_door("192.0.2.0/25", "2001:db8::/32", connections=7, connections_per_peer=1)
    exempt = ["127.0.0.1", "::1", "unix", "192.0.2.1", "2001:db8::1"]
    assert heard(come(door, *exempt, "192.0.2.1", "127.0.0.1")) == [""] * 7
    assert heard(come(door, "192.0.2.129", "192.0.2.129")) == ["421 4.7.0", ""]


def test_who_is_longest_without_progress_gives_way() -> None:
    """At the cap the newcomer comes in, whoever came first but got on stays."""
    door = a_door(connections=3)
    first, second, third = guests = come(door, *["127.0.0.1"] * 3)
    door.got_on(first)
    assert heard(come(door, "127.0.0.1")) == [""]
    assert heard(guests) == ["", "421 4.3.2", ""]

    door.got_on(third)
    assert heard(come(door, "127.0.0.1")) == [""]
    assert first.heard.startswith("421 4.3.2 ")
    assert not third.heard
    assert second not in door._guests


def test_who_waits_for_us_keeps_the_place() -> None:
    """A mail that is being taken ends for nobody; once it is answered its session is like any other."""
    door = a_door(connections=2, connections_per_peer=2)
    waiting, idle = come(door, "192.0.2.1", "192.0.2.1")
    door.owes(waiting)
    come(door, "192.0.2.1")
    assert heard([waiting, idle]) == ["", "421 4.7.0"]

    door.got_on(waiting)
    come(door, "192.0.2.1", "192.0.2.1")
    assert waiting.heard.startswith("421 4.7.0 ")


def test_when_everybody_waits_for_us_a_newcomer_has_to_come_again() -> None:
    """The last resort: nobody inside may be sent away."""
    door = a_door(connections=2, connections_per_peer=1)
    for guest in come(door, "127.0.0.1", "192.0.2.1"):
        door.owes(guest)
    assert heard(come(door, "192.0.2.1", "127.0.0.1", "192.0.2.2")) == ["421 4.7.0", "421 4.3.2", "421 4.3.2"]
    assert list(door._neighbours) == ["192.0.2.1"]


def test_who_was_told_to_go_goes_first() -> None:
    """A goodbye that is not read yet holds a place only while it is not needed."""
    door = a_door(connections=2)
    first, second = come(door, "127.0.0.1", "127.0.0.1")
    door.is_done_with(second)
    come(door, "127.0.0.1")
    assert heard([first, second]) == ["", "421 4.3.2"]


def test_a_place_is_free_again() -> None:
    """Who has left counts no more, and leaves no trace."""
    door = a_door(connections_per_peer=2)
    guests = come(door, *["192.0.2.1"] * 2)
    for guest in guests:
        door.left(guest)
        door.got_on(guest)  # a last step on a connection that has ended
    assert heard(come(door, "192.0.2.1", "192.0.2.1")) == ["", ""]
    for guest in list(door._guests):
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

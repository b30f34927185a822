"""The door of the SMTP source: who is inside, how much they brought, and to whom it goes."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import structlog

from daemon.log import Event
from daemon.outcome import Outcome, Verdict
from daemon.peers import neighbourhood
from daemon.sources.guests import Room

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable
    from ipaddress import IPv4Network, IPv6Network

    from daemon.mail import Addresses, Envelope
    from daemon.sources.guests import Guest
    from daemon.sources.limits import Limits

    #: What becomes of a mail. It raises for our own trouble only, never for a mail's sake.
    Take = Callable[[Envelope], Awaitable[Outcome]]

_log = structlog.get_logger()

_ALL_FULL = "421 4.3.2 too many connections: please try again later"
_PEER_FULL = "421 4.7.0 too many connections from your address"


class Door:
    """What all conversations of one service share.

    When it is full, the guest that is longest without progress gives its
    place to the newcomer: whoever holds places without mailing loses them to
    whoever mails, and nobody is turned away while somebody idles. The same
    holds within what one peer may have, but ``relays`` and this machine may
    have as much as there is.
    """

    def __init__(  # noqa: PLR0913 - what all conversations share has to come from somewhere
        self,
        take: Take,
        hostname: str,
        recipients: Addresses,
        limits: Limits,
        tls: ssl.SSLContext | None,
        *,
        relays: tuple[IPv4Network | IPv6Network, ...] = (),
    ) -> None:
        self.hostname = hostname
        self.recipients = recipients
        self.limits = limits
        self.tls = tls
        self.bytes_in_flight = 0
        # Room for two at least, else a mail of the announced size could never come in.
        self._room = max(limits.bytes_in_flight, 2 * limits.max_size)
        self._take = take
        self.relays = relays
        self._all = Room(limits.connections, _ALL_FULL)
        # Weak, else every address that ever came stays here: a room lasts as long as somebody is in it.
        self._neighbours: WeakValueDictionary[str, Room] = WeakValueDictionary()
        self._guests: dict[Guest, tuple[Room, ...]] = {}
        self._takes: set[asyncio.Task[Outcome]] = set()
        self._quiet = asyncio.Event()
        self._quiet.set()

    def enter(self, guest: Guest, host: str) -> str | None:
        """Let ``guest`` in, or say with which reply it is turned away: everybody inside waits for us."""
        rooms = self._rooms(host)
        for room in rooms:
            if room.is_full and not self._make_way(room):
                return room.full
        self._guests[guest] = rooms
        for room in rooms:
            room.enter(guest)
        self._quiet.clear()
        return None

    def left(self, guest: Guest) -> None:
        """Forget ``guest``; its place is free. Who had to give way is forgotten already."""
        for room in self._guests.pop(guest, ()):
            room.left(guest)
        self._hush()

    def got_on(self, guest: Guest) -> None:
        """Know that ``guest`` made progress, or has its answer: it is the last to give way."""
        for room in self._guests.get(guest, ()):
            room.to_the_end(guest)

    def owes(self, guest: Guest) -> None:
        """Know that ``guest`` waits for us: it keeps its place until it has its answer."""
        for room in self._guests.get(guest, ()):
            room.out_of_line(guest)

    def is_done_with(self, guest: Guest) -> None:
        """Know that ``guest`` was told our last word: it is the first to give way."""
        for room in self._guests.get(guest, ()):
            room.to_the_front(guest)

    def is_crowded(self, size: int) -> bool:
        """Whether a message of ``size`` octets more is too much for now."""
        return self.bytes_in_flight + size > self._room

    def deliver(self, envelope: Envelope, share: Share) -> asyncio.Task[Outcome]:
        """Hand ``envelope`` over; it is taken to its end even when nobody waits for the task."""
        taking = asyncio.create_task(self._taken(envelope, share))
        self._takes.add(taking)
        taking.add_done_callback(self._takes.discard)
        taking.add_done_callback(lambda _: self._hush())
        return taking

    async def empty(self, reply: str, timeout: float) -> None:  # noqa: ASYNC109 - says what follows it
        """Ask everybody to leave with ``reply``; after ``timeout`` seconds cut off who has not.

        A mail still being taken then is left to whoever takes it.
        """
        for guest in list(self._guests):
            guest.leave(reply)
        try:
            async with asyncio.timeout(timeout):
                await self._quiet.wait()
        except TimeoutError:
            for guest in list(self._guests):
                guest.abort()

    def _rooms(self, host: str) -> tuple[Room, ...]:
        """The rooms in which a guest from ``host`` counts, the smaller first."""
        if self._is_exempt(host):
            return (self._all,)
        neighbours = Room(self.limits.connections_per_peer, _PEER_FULL)
        return (self._neighbours.setdefault(neighbourhood(host), neighbours), self._all)

    def _make_way(self, room: Room) -> bool:
        """Free a place; its descriptor is closed before the loop accepts much more."""
        guest = room.first()
        if guest is None:
            return False
        self.left(guest)
        guest.give_way(room.full)
        return True

    def _is_exempt(self, host: str) -> bool:
        """Whether there is no cap for ``host`` alone: this machine, and mail servers we were told of."""
        if host == "unix":
            return True
        address = ip_address(host)
        return address.is_loopback or any(address in relay for relay in self.relays)

    async def _taken(self, envelope: Envelope, share: Share) -> Outcome:
        try:
            return await self._take(envelope)
        except Exception:  # noqa: BLE001 - whatever it is, it is our trouble and not the mail's
            _log.exception(Event.INTERNAL_ERROR, peer=envelope.peer)
            return Outcome(Verdict.DEFERRED)
        finally:
            share.release()

    def _hush(self) -> None:
        if not self._guests and not self._takes:
            self._quiet.set()


class Share:
    """How much of the door's room one message occupies; releasing it twice does no harm."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._size = 0

    def grow(self, size: int) -> bool:
        """Occupy ``size`` octets more, if there is room for them."""
        if self._door.is_crowded(size):
            return False
        self._size += size
        self._door.bytes_in_flight += size
        return True

    def release(self) -> None:
        """Give everything back."""
        self._door.bytes_in_flight -= self._size
        self._size = 0

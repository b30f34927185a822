"""The door of the SMTP source: who is inside, how much they brought, and to whom it goes."""

from __future__ import annotations

import asyncio
from collections import Counter
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Protocol

import structlog

from daemon.log import Event
from daemon.outcome import Outcome, Verdict

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable

    from daemon.mail import Addresses, Envelope
    from daemon.sources.limits import Limits

    #: What becomes of a mail. It raises for our own trouble only, never for a mail's sake.
    Take = Callable[[Envelope], Awaitable[Outcome]]

_log = structlog.get_logger()


class Guest(Protocol):
    """A conversation, as the door sees it."""

    def leave(self, reply: str) -> None:
        """End with ``reply`` as soon as no message is under way."""

    def abort(self) -> None:
        """End at once."""


class Door:
    """What all conversations of one service share."""

    def __init__(
        self,
        take: Take,
        hostname: str,
        recipients: Addresses,
        limits: Limits,
        tls: ssl.SSLContext | None,
    ) -> None:
        self.hostname = hostname
        self.recipients = recipients
        self.limits = limits
        self.tls = tls
        self.bytes_in_flight = 0
        # Room for two at least, else a mail of the announced size could never come in.
        self._room = max(limits.bytes_in_flight, 2 * limits.max_size)
        self._take = take
        self._guests: dict[Guest, str | None] = {}
        self._neighbours: Counter[str | None] = Counter()
        self._takes: set[asyncio.Task[Outcome]] = set()
        self._quiet = asyncio.Event()
        self._quiet.set()

    def enter(self, guest: Guest, host: str) -> str | None:
        """Let ``guest`` in, or say with which reply it is turned away."""
        place = _neighbourhood(host)
        if len(self._guests) >= self.limits.connections:
            return "421 4.3.2 too many connections: please try again later"
        if place and self._neighbours[place] >= self.limits.connections_per_peer:
            return "421 4.7.0 too many connections from your address"
        self._guests[guest] = place
        self._neighbours[place] += 1
        self._quiet.clear()
        return None

    def left(self, guest: Guest) -> None:
        """Forget ``guest``; its place is free."""
        place = self._guests.pop(guest)
        self._neighbours[place] -= 1
        if not self._neighbours[place]:
            del self._neighbours[place]  # else every address that ever came stays here
        self._hush()

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


def _neighbourhood(host: str) -> str | None:
    """Whom a cap per peer counts together; None for this machine, which is exempt.

    An IPv6 customer has a /64 of addresses, so that counts as one peer.
    """
    if host == "unix":
        return None
    address = ip_address(host)
    if address.is_loopback:
        return None
    return host if address.version == 4 else str(ip_network((address.packed, 64), strict=False))  # noqa: PLR2004

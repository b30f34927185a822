"""Mail by SMTP and LMTP: listens, lets conversations in, and asks them to leave.

The code beside it, from the outside in: a ``listener`` names a place; a
``conversation`` or its ``lmtp`` kin runs on a ``wire`` and behind one
``door``, where ``guests`` stand in line; AUTH is decided at the ``desk``;
MAIL and RCPT name a ``path``, DATA brings a ``dotted`` message, and an
Outcome becomes one of the ``answers``.
"""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from daemon.sources.conversation import Conversation
from daemon.sources.descriptors import AT_ONCE
from daemon.sources.desk import Desk
from daemon.sources.door import Door
from daemon.sources.limits import Limits
from daemon.sources.listener import Listener, UnixPlace, place
from daemon.sources.lmtp import LmtpConversation

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable
    from ipaddress import IPv4Network, IPv6Network

    from daemon.mail import Addresses
    from daemon.sources.desk import Check
    from daemon.sources.door import Take

_QUEUE = 512  # connections the kernel keeps until we accept them; a burst of senders fits


class SmtpServer:
    """Takes mail on any number of sockets, in the running event loop.

    ``take`` gets each message and says what became of it; only then is it
    answered. It is never cancelled because a client went. An exception of
    it means our own trouble, 451. RCPT takes what ``recipients`` accepts. With
    ``tls``, a server's context, STARTTLS is offered, and with ``login``
    AUTH PLAIN within it: it says who belongs to a name and password, None
    for nobody, and raises for our own trouble, 454. Peers in ``relays`` may
    have as many connections as there are. With ``reuse_port``, other processes
    of the same user may listen at the same addresses.
    """

    def __init__(  # noqa: PLR0913 - what the house joins here, each by its name
        self,
        take: Take,
        *,
        hostname: str,
        recipients: Addresses,
        limits: Limits | None = None,
        tls: ssl.SSLContext | None = None,
        login: Check | None = None,
        relays: tuple[IPv4Network | IPv6Network, ...] = (),
        reuse_port: bool = False,
    ) -> None:
        self._reuse_port = reuse_port
        self._door = Door(take, hostname, recipients, limits or Limits(), tls, relays=relays)
        self._desk = Desk(login) if login else None
        self._servers: list[asyncio.Server] = []
        self._unix_places: list[UnixPlace] = []

    def go_by(self, recipients: Addresses, relays: tuple[IPv4Network | IPv6Network, ...]) -> None:
        """Take mail for these from now on, and let these in without a limit."""
        self._door.recipients, self._door.relays = recipients, relays

    async def start(self, listeners: Iterable[Listener]) -> list[Listener]:
        """Listen on each; what was bound, in this order, with a port for port 0.

        A host name may be several addresses, and each is then a listener.
        Raises OSError when an address can't be had; nothing listens then.
        """
        bound = []
        try:
            for listener in listeners:
                self._servers.append(await self._listen(listener))
                bound += [Listener(listener.protocol, place(each)) for each in self._servers[-1].sockets]
        except OSError:
            self._stop()
            raise
        return bound

    async def drain(self, timeout: float) -> None:  # noqa: ASYNC109 - the caller's word for it
        """Accept nobody, and end every conversation: 421 once it has no message under way.

        After ``timeout`` seconds what is left of them is cut off; a mail
        still being taken then goes on, unanswered, until its taker ends.
        """
        self._stop()
        await self._door.empty("421 4.3.2 the service is going down: please try again", timeout)

    async def _listen(self, listener: Listener) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        conversation = self._smtp if listener.protocol == "smtp" else self._lmtp
        where = listener.where
        if isinstance(where, Path):
            self._unix_places.append(UnixPlace(where))
            where = self._unix_places[-1].socket
        if isinstance(where, tuple):
            server = await loop.create_server(
                conversation, *where, backlog=AT_ONCE, reuse_port=self._reuse_port
            )
        else:
            server = await loop.create_server(conversation, sock=where, backlog=AT_ONCE)
        _lengthen_queues(server)
        return server

    def _smtp(self) -> Conversation:
        return Conversation(self._door, self._desk)

    def _lmtp(self) -> Conversation:
        return LmtpConversation(self._door, None)

    def _stop(self) -> None:
        """The paths first: once nobody listens, a successor's socket may lie there."""
        for unix_place in self._unix_places:
            unix_place.clear()
        for server in self._servers:
            server.close()


def _lengthen_queues(server: asyncio.Server) -> None:
    """Let the kernel keep more connections than asyncio accepts in one turn, which it takes for the same.

    When it accepted all of a long queue at once, who is inside waited for
    that, and when descriptors ran out it failed once for each of them.
    """
    for listening in server.sockets:
        with socket.socket(fileno=os.dup(listening.fileno())) as same:
            same.listen(_QUEUE)

"""Mail by SMTP: listens, lets conversations in, and asks them to leave.

The code beside it, from the outside in: a ``conversation`` runs on a
``wire`` and behind one ``door``; MAIL and RCPT name a ``path``, DATA brings a
``dotted`` message, and an Outcome becomes one of the ``answers``.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from daemon.sources.conversation import Conversation
from daemon.sources.door import Door
from daemon.sources.limits import Limits

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Iterable

    from daemon.mail import Addresses
    from daemon.sources.door import Take

_BACKLOG = 512  # connections the kernel keeps until we accept them; a burst of senders fits


class SmtpServer:
    """Takes mail on any number of sockets, in the running event loop.

    ``take`` gets each message and says what became of it; only then is it
    answered. It is never cancelled because a client went. An exception of
    it means our own trouble, 451. RCPT takes what ``recipients`` accepts. With
    ``tls``, a server's context, STARTTLS is offered.
    """

    def __init__(
        self,
        take: Take,
        *,
        hostname: str,
        recipients: Addresses,
        limits: Limits | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._door = Door(take, hostname, recipients, limits or Limits(), tls)
        self._servers: list[asyncio.Server] = []

    async def start(
        self, listeners: Iterable[socket.socket | tuple[str, int]]
    ) -> list[tuple[str, int] | str]:
        """Listen on each, a bound socket or (host, port); the addresses that were bound, in this order.

        A host name may be several addresses; a UNIX socket's is its path.
        Raises OSError when an address can't be had; nothing listens then.
        """
        try:
            for listener in listeners:
                self._servers.append(await self._listen(listener))
        except OSError:
            self._stop()
            raise
        return [_address(socket.getsockname()) for server in self._servers for socket in server.sockets]

    async def drain(self, timeout: float) -> None:  # noqa: ASYNC109 - the caller's word for it
        """Accept nobody, and end every conversation: 421 once it has no message under way.

        After ``timeout`` seconds what is left of them is cut off; a mail
        still being taken then goes on, unanswered, until its taker ends.
        """
        self._stop()
        await self._door.empty("421 4.3.2 the service is going down: please try again", timeout)

    async def _listen(self, listener: socket.socket | tuple[str, int]) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        if isinstance(listener, tuple):
            host, port = listener
            return await loop.create_server(self._conversation, host, port, backlog=_BACKLOG)
        return await loop.create_server(self._conversation, sock=listener, backlog=_BACKLOG)

    def _conversation(self) -> Conversation:
        return Conversation(self._door)

    def _stop(self) -> None:
        for server in self._servers:
            server.close()


def _address(name: tuple[str, int] | str) -> tuple[str, int] | str:
    """A socket's name without IPv6's flow and scope."""
    return (name[0], name[1]) if isinstance(name, tuple) else name

"""The wire under an SMTP conversation: aiosmtpd's session and TLS, with bounds of our own.

What is ours and why: aiosmtpd reads DATA by lines and without a bound, has no
deadline that holds against a peer that keeps talking or never reads, cancels
the handler when a client hangs up, and echoes what the peer wrote.
"""

from __future__ import annotations

import asyncio
import re
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Never, cast

import structlog
from aiosmtpd.smtp import SMTP, Session, TLSSetupException
from aiosmtpd.smtp import Envelope as Transaction

from daemon.log import Event
from daemon.sources.answers import ascii_line
from daemon.sources.dotted import Dotted
from daemon.sources.refusal import Goodbye, Refusal

if TYPE_CHECKING:
    from daemon.sources.door import Door, Share

_log = structlog.get_logger()

_REPLY = 510  # octets before the CRLF (RFC 5321 4.5.3.1.5)
_CODED = re.compile(r"[245]\d\d [245]\.\d+\.\d+\b")


class Wire(SMTP):
    """Moves lines, replies and messages, within the door's limits, and ends in time."""

    session: Session
    envelope: Transaction
    transport: asyncio.Transport | None

    def __init__(self, door: Door) -> None:
        self.line_length_limit = door.limits.command_length  # of the stream, which no message passes
        super().__init__(
            None,
            hostname=door.hostname,
            tls_context=door.tls,
            timeout=door.limits.session_timeout,
            loop=asyncio.get_running_loop(),
        )
        self._door = door
        self._limits = door.limits
        self._peer = ""
        self._inside = False
        self._idle = False
        self._farewell: str | None = None
        self._cut_off: asyncio.TimerHandle | None = None
        self._incoming: Dotted | None = None
        self._ended: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, or begin anew inside TLS; whom the door turns away hears why and is gone."""
        if not self._inside and not self._come_in(cast("asyncio.Transport", transport)):
            return
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        """Give everything back, but a mail that is being taken: that is no more the client's."""
        if not self._inside:
            return
        self._inside = False
        self._door.left(self)
        if self._cut_off is not None:
            self._cut_off.cancel()
        super().connection_lost(error)

    def data_received(self, data: bytes) -> None:
        """Octets of a message go where they are counted, all others to the commands."""
        if self._incoming is None:
            super().data_received(data)
            return
        rest = self._incoming.feed(data)
        if rest is not None or self._incoming.is_flood:
            self._incoming = None
            self._wake()
            super().data_received(rest or b"")

    def eof_received(self) -> bool:
        """Half a message is none; a peer that only stopped talking still gets its answer."""
        if self._incoming is not None:
            self.abort()
            return False
        self._reader.feed_eof()
        return self.session.ssl is None

    def leave(self, reply: str) -> None:
        """Say ``reply`` and go, now or once the command or message under way is answered."""
        self._farewell = reply
        if self._idle:
            self._idle = False
            self._write(reply)
            self.close()

    def close(self) -> None:
        """Go when the peer has read our last reply, or has had its time to."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.close()
            self._cut_off = self.loop.call_later(self._limits.linger, self.abort)

    def abort(self) -> None:
        """Go at once, whatever is unread."""
        if self.transport is not None:
            self.transport.abort()

    def _timeout_cb(self) -> None:
        """The session's time is over; nothing sets aiosmtpd's one timer back but STARTTLS, once."""
        self.leave("421 4.4.2 the session is over its time")

    async def push(self, status: str) -> None:  # type: ignore[override]  # nobody here has bytes
        """Send the reply to a command; one of aiosmtpd's gets the code that RFC 2034 promises."""
        coded = _CODED.match(status)
        await self._say(status if coded else f"{status[:4]}{status[0]}.0.0 {status[4:]}")

    async def _say(self, reply: str) -> None:
        self._write(reply)
        async with asyncio.timeout(self._limits.command_timeout):
            await self._writer.drain()

    def _write(self, *lines: str) -> None:
        """Each is one line, whatever is in it: nobody outside writes a second one."""
        self._writer.write("".join(f"{ascii_line(line, _REPLY)}\r\n" for line in lines).encode("ascii"))

    async def _command(self) -> str:
        """The next line; all of it has to come in time, however it drips."""
        if self._farewell is not None:
            raise Goodbye(self._farewell)
        self._idle = True
        try:
            async with asyncio.timeout(self._limits.command_timeout):
                line = await self._reader.readuntil(b"\n")
        except TimeoutError:
            raise Goodbye("421 4.4.2 no command for too long") from None
        except asyncio.LimitOverrunError:
            raise Goodbye("500 5.5.2 line too long") from None
        finally:
            self._idle = False
        return _decoded(line)

    @property
    def _is_more_here(self) -> bool:
        """Whether the peer has sent something behind the command we are at."""
        return bool(self._reader._buffer)  # type: ignore[attr-defined]  # noqa: SLF001 - no other way to see

    async def _message(self, share: Share) -> bytes:
        """The octets of DATA as they were before their dots were stuffed; or a Refusal."""
        incoming = self._incoming = Dotted(self._limits, share)
        ended = self._ended = self.loop.create_future()
        await self._say("354 end with a dot on a line of its own")
        try:
            async with asyncio.timeout(self._limits.data_timeout):
                await ended
        except TimeoutError:
            raise Goodbye("421 4.4.2 the message took too long") from None
        finally:
            self._incoming = None
        if incoming.is_flood:
            raise Goodbye(f"552 5.3.4 a message may have {self._limits.max_size} octets")
        return incoming.message()

    def _forget(self) -> None:
        """No mail is under way any more (RFC 5321 4.1.1.5)."""
        self.envelope = Transaction()

    def _wake(self) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)

    async def _start_tls(self) -> None:
        """Change to TLS; what the peer said in clear behind its STARTTLS is dropped (RFC 3207 4.2)."""
        try:
            async with asyncio.timeout(self._limits.handshake_timeout):
                await super().smtp_STARTTLS("")
        except (TimeoutError, TLSSetupException):
            self._handshake_failed()
        if self.session.ssl is None:  # asyncio calls it a success when the connection went meanwhile
            self._handshake_failed()

    def _handshake_failed(self) -> Never:
        _log.warning(Event.SMTP_TROUBLE, peer=self._peer, trouble="TLS handshake failed")
        self.abort()
        self.connection_lost(None)  # asyncio would not: to it, this connection has not begun
        raise ConnectionAbortedError

    def _come_in(self, transport: asyncio.Transport) -> bool:
        host = _host(transport.get_extra_info("peername"))
        refusal = self._door.enter(self, host) if host else "421 4.3.2 already gone"
        if refusal is None:
            self._peer, self._inside = host, True
            return True
        _log.warning(Event.SMTP_TROUBLE, peer=host, reply=refusal)
        transport.write(f"{refusal}\r\n".encode("ascii"))
        transport.close()
        return False


def _host(peername: tuple[str, int] | str | bytes | None) -> str:
    """The peer's address, in IPv4's form when it is one; empty when it hung up before we looked."""
    if peername is None:
        return ""
    if not isinstance(peername, tuple):
        return "unix"
    address = ip_address(peername[0])
    return str(address.ipv4_mapped or address) if isinstance(address, IPv6Address) else peername[0]


def _decoded(line: bytes) -> str:
    """A command without its line end; no command has control characters in it."""
    if not line.endswith(b"\r\n"):
        raise Refusal("500 5.5.2 a line ends in CR LF")
    try:
        text = line[:-2].decode()
    except UnicodeDecodeError:
        raise Refusal("500 5.5.2 neither ASCII nor UTF-8") from None
    if not text.isprintable():
        raise Refusal("500 5.5.2 control characters in a command")
    return text

"""The wire under an SMTP conversation: aiosmtpd's session and TLS, with bounds of our own.

What is ours and why: aiosmtpd reads DATA by lines and without a bound, has no
deadline that holds against a peer that keeps talking or never reads, cancels
the handler when a client hangs up, and echoes what the peer wrote.
"""

from __future__ import annotations

import asyncio
import select
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
        self._owes = False
        self._unsaid = bytearray()  # replies that go out together, once there is no command left to answer
        self._furthest = 0  # how far the session got on the way to its next mail
        self._junk = 0  # commands since the last message that got it no further
        self._bulk = 0  # octets of a message since they last counted as progress
        self._farewell: str | None = None
        self._cut_off: asyncio.TimerHandle | None = None
        self._incoming: Dotted | None = None
        self._ended: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, or begin anew inside TLS; whom the door turns away hears why and is gone."""
        if not self._inside and not self._come_in(cast("asyncio.Transport", transport)):
            return
        # The library's default for TLS is half a MiB, times a thousand peers that never read.
        cast("asyncio.Transport", transport).set_write_buffer_limits(high=self._limits.unread)
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
        self._count_bulk(len(data))
        rest = self._incoming.feed(data)
        if rest is not None or self._incoming.is_flood:
            self._incoming = None
            self._message_has_come()
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
            self._say(reply)
            self.close()

    def close(self) -> None:
        """Go when the peer has read our last reply, or has had its time to."""
        if self.transport is not None and not self.transport.is_closing():
            self._door.is_done_with(self)
            self._send()
            self.transport.close()
            self._cut_off = self.loop.call_later(self._limits.linger, self.abort)

    def abort(self) -> None:
        """Go at once, whatever is unread."""
        if self.transport is not None:
            self.transport.abort()

    def give_way(self, reply: str) -> None:
        """Go at once, for somebody who gets on; what of ``reply`` can't be sent now is never heard.

        To wait for a peer that reads nothing would hold a descriptor that the
        newcomer needs. Within a TLS handshake a reply would be noise.
        """
        _log.warning(Event.SMTP_TROUBLE, peer=self._peer, reply=reply)
        if self._writer.transport is self.transport:
            self._say(reply)
            self._send()
        self.abort()

    def _is_early(self) -> bool:
        """Whether the peer spoke, or hung up, before it was greeted; this takes no time.

        Who does is a program that sends its lines whatever we say: a worm, or
        a web page's form posted to our port; a mail server waits (RFC 5321
        4.3.1). It would do the same again, so it is refused for good: 554, not
        421. RFC 5321 3.1 would have us wait for its QUIT then; we close, as
        Postfix's postscreen does, for who doesn't listen holds no place here.
        """
        if self._is_more_here or self._reader.at_eof():
            return True
        poll = select.poll()
        poll.register(self._writer.get_extra_info("socket"), select.POLLIN)
        return bool(poll.poll(0))

    def _progress(self) -> None:
        """Know that a command was accepted; a step towards a mail is one that goes further than before.

        To begin again and again, as with EHLO, or MAIL and RSET, is none
        until a message has come.
        """
        if self._owes or self._reached <= self._furthest:
            return
        self._furthest = self._reached
        self._junk -= 1
        self._door.got_on(self)

    @property
    def _reached(self) -> int:
        """How far the session is on the way to a mail: TLS, greeting, sender, each recipient."""
        inside = 2 * (self.session.ssl is not None)  # counts for the greeting that it takes away, too
        is_sender_known = self.envelope.mail_from is not None
        return inside + bool(self.session.host_name) + is_sender_known + len(self.envelope.rcpt_tos)

    def _count_bulk(self, size: int) -> None:
        """A message that comes at an honest rate is progress; an octet a second is none."""
        self._bulk += size
        if self._bulk >= self._limits.bulk:
            self._bulk = 0
            self._door.got_on(self)

    def _message_has_come(self) -> None:
        """From now on the peer waits for us; the reply it is then told ends that."""
        self._owes = True
        self._furthest = self._junk = self._bulk = 0
        self._door.owes(self)
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)

    def _timeout_cb(self) -> None:
        """The session's time is over; nothing sets aiosmtpd's one timer back but STARTTLS, once."""
        self.leave("421 4.4.2 the session is over its time")

    async def push(self, status: str) -> None:  # type: ignore[override]  # nobody here has bytes
        """Say a reply of aiosmtpd's own at once, with the code that RFC 2034 promises."""
        self._say(f"{status[:4]}{status[0]}.0.0 {status[4:]}")
        await self._sent()

    def _say(self, *lines: str) -> None:
        """Reply to a command; each is one line, whatever is in it: nobody outside writes a second one.

        The replies to a pipeline of commands go out together (RFC 2920, 3.2).
        """
        self._unsaid += "".join(f"{ascii_line(line, _REPLY)}\r\n" for line in lines).encode("ascii")
        if self._owes:
            self._owes = False
            self._door.got_on(self)

    def _send(self) -> None:
        if self._unsaid:
            self._writer.write(self._unsaid)
            self._unsaid = bytearray()

    async def _sent(self) -> None:
        """Send what was said; the peer has its time to read that."""
        self._send()
        if self.transport is not None and self.transport.get_write_buffer_size():
            async with asyncio.timeout(self._limits.command_timeout):
                await self._writer.drain()

    async def _command(self) -> str:
        """The next line; all of it has to come in time, however it drips."""
        if self._farewell is not None:
            raise Goodbye(self._farewell)
        if b"\n" not in self._reader._buffer:  # type: ignore[attr-defined]  # noqa: SLF001 - as below
            await self._sent()
            line = await self._awaited_line()
        else:
            line = await self._line()
        self._junk += 1  # until it proves to be progress
        if self._junk > self._limits.junk_commands:
            raise Goodbye("421 4.7.0 too many commands without a mail")
        return _decoded(line)

    async def _awaited_line(self) -> bytes:
        self._idle = True
        try:
            async with asyncio.timeout(self._limits.command_timeout):
                return await self._line()
        except TimeoutError:
            raise Goodbye("421 4.4.2 no command for too long") from None
        finally:
            self._idle = False

    async def _line(self) -> bytes:
        try:
            return await self._reader.readuntil(b"\n")
        except asyncio.LimitOverrunError:
            raise Goodbye("500 5.5.2 line too long") from None

    @property
    def _is_more_here(self) -> bool:
        """Whether the peer has sent something behind the command we are at."""
        return bool(self._reader._buffer)  # type: ignore[attr-defined]  # noqa: SLF001 - no other way to see

    async def _message(self, share: Share) -> bytes:
        """The octets of DATA as they were before their dots were stuffed; or a Refusal."""
        incoming = self._incoming = Dotted(self._limits, share)
        ended = self._ended = self.loop.create_future()
        self._say("354 end with a dot on a line of its own")
        await self._sent()
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
        transport.abort()  # whoever can't be told at once is not waited for
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

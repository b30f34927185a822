"""An SMTP conversation: the commands, and what each is answered (RFC 5321)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final, Never

import structlog

from daemon.log import Event
from daemon.mail import Envelope
from daemon.sources.answers import answer
from daemon.sources.auth import plain
from daemon.sources.door import Share
from daemon.sources.path import recipient, sender
from daemon.sources.refusal import Goodbye, Refusal
from daemon.sources.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from daemon.mail import Login
    from daemon.sources.desk import Desk
    from daemon.sources.door import Door

_log = structlog.get_logger()

#: Commands that exist elsewhere: 502 says "not here", 500 would say "never heard of" (RFC 5321 4.2.4).
_NOT_HERE: Final = {"BDAT", "ETRN", "EXPN", "HELP", "SAML", "SEND", "SOML", "TURN"}

#: Wrong guesses of a name and password after which a session ends.
_GUESSES: Final = 3

#: Commands of a pipeline that are answered before others have their turn.
_IN_A_ROW: Final = 8


class Conversation(Wire):
    """Answers one peer, from the greeting to the goodbye.

    The message is handed on exactly as it came, without a Received header of
    ours (RFC 5321 4.4 wants one): its octets are its identity, the same mail
    fetched by IMAP has to be the same mail, and the Envelope says what that
    header would.
    """

    _SOURCE: ClassVar = "smtp"
    _BANNER: ClassVar = "ESMTP"

    def __init__(self, door: Door, desk: Desk | None) -> None:
        super().__init__(door)
        self._desk = desk
        self._login: Login | None = None  # for the rest of the session: RSET and EHLO leave it (RFC 4954 4)
        self._errors = self._guesses = 0
        self._in_a_row = 0  # commands of a pipeline
        self._owed = 1  # how often the reply to the command at hand has to be said

    async def _handle_client(self) -> None:
        """Aiosmtpd runs this once per connection, and cancels it when the connection is lost."""
        try:
            if self._is_early():
                return self._refuse(Goodbye("554 5.5.1 wait for the greeting"))
            self._say(f"220 {self.hostname} {self._BANNER} specpost")
            while self.transport is not None and not self.transport.is_closing():
                await self._turn()
        except EOFError:  # it has said all it wanted to, but may still be reading
            self.close()
        except OSError:  # gone, or reads nothing: a timeout is an OSError too
            self.abort()

    async def _turn(self) -> None:
        """One command and its reply."""
        self._owed = 1
        try:
            await self._obey(await self._command())
            self._in_a_row = self._in_a_row + 1 if self._is_more_here else 0
            if self._in_a_row == _IN_A_ROW:
                self._in_a_row = 0
                await self._sent()  # else who never reads has us keep the replies to all of it
                await asyncio.sleep(0)  # else a long pipeline keeps everybody else waiting
        except Refusal as refusal:
            self._refuse(refusal)
        except (OSError, EOFError):
            raise
        except Exception as error:  # noqa: BLE001 - the one broad except of this edge
            self._reply(await self.handle_exception(error))

    async def _obey(self, line: str) -> None:
        verb, _, argument = line.partition(" ")
        command = self._VERBS.get(verb.upper())
        if command is None:
            known = verb.upper() in _NOT_HERE
            raise Refusal("502 5.5.1 command not implemented" if known else "500 5.5.1 no such command")
        await command(self, argument.strip(" "))

    def _refuse(self, refusal: Refusal) -> None:
        self._errors += refusal.reply.startswith("5")
        self._reply(refusal.reply)
        if isinstance(refusal, Goodbye):
            _log.warning(Event.SMTP_TROUBLE, peer=self._peer, reply=refusal.reply)
            self.close()
        elif self._errors >= self._limits.errors:
            self._farewell = "421 4.7.0 too many errors"

    def _reply(self, reply: str) -> None:
        for _ in range(self._owed):
            self._say(reply)

    async def handle_exception(self, error: Exception) -> str:
        """A bug of ours is never the sender's fault, and its text none of their business."""
        _log.error(Event.INTERNAL_ERROR, peer=self._peer, exc_info=error)
        return "451 4.3.0 not now: please try again later"

    async def _helo(self, hostname: str) -> None:
        self._greeted(hostname)
        self._say(f"250 {self.hostname}")

    async def _ehlo(self, hostname: str) -> None:
        """STARTTLS is offered when there is a certificate, until it is in use; AUTH from then on."""
        self._greeted(hostname)
        words = [self.hostname, f"SIZE {self._limits.max_size}", "8BITMIME", "SMTPUTF8", "PIPELINING"]
        words += ["STARTTLS"] * (self._may_start_tls and self.session.ssl is None)
        words += ["AUTH PLAIN"] * self._may_log_in
        self._say(*(f"250-{word}" for word in words))
        self._say("250 ENHANCEDSTATUSCODES")

    def _greeted(self, hostname: str) -> None:
        """The name proves nothing, so nothing is made of it but that a greeting came."""
        _need(hostname, "501 5.5.4 say who you are")
        self._forget()
        self.session.host_name = hostname
        self._progress()

    async def _starttls(self, argument: str) -> None:
        _need(self._may_start_tls, "502 5.5.1 command not implemented")
        _need(self.session.ssl is None, "503 5.5.1 TLS is in use already")
        _need(not argument, "501 5.5.4 syntax: STARTTLS")
        await self._start_tls()
        self._progress()

    @property
    def _may_start_tls(self) -> bool:
        return self._door.tls is not None

    @property
    def _may_log_in(self) -> bool:
        """A password is never asked for in clear."""
        return self._desk is not None and self.session.ssl is not None

    async def _auth(self, argument: str) -> None:
        """AUTH PLAIN (RFC 4954), its response given along or after a 334."""
        if self._desk is None:
            raise Refusal("502 5.5.1 command not implemented")
        _need(self._may_log_in, "538 5.7.11 encryption required: STARTTLS first")
        _need(self.session.host_name, "503 5.5.1 first say who you are")
        _need(self._login is None, "503 5.5.1 you are logged in already")
        _need(self.envelope.mail_from is None, "503 5.5.1 not within a mail")
        mechanism, _, response = argument.partition(" ")
        _need(mechanism, "501 5.5.4 syntax: AUTH PLAIN [response]")
        _need(mechanism.upper() == "PLAIN", "504 5.5.4 PLAIN is all there is")
        said = plain(response.strip(" ") or await self._challenged())
        self._login = await self._desk.login(self._peer, said)
        if self._login is None:
            self._guessed_wrong()
        self._progress()
        self._say("235 2.7.0 welcome")

    async def _challenged(self) -> str:
        """The line that answers an empty challenge; a lone ``*`` takes AUTH back."""
        self._say("334 ")
        response = await self._command()
        _need(response != "*", "501 5.7.0 AUTH taken back")
        return response

    def _guessed_wrong(self) -> Never:
        self._guesses += 1
        if self._guesses >= _GUESSES:
            self._farewell = self._farewell or "421 4.7.0 too many wrong passwords"
        raise Refusal("535 5.7.8 name or password is wrong")

    async def _mail(self, argument: str) -> None:
        """MAIL with SIZE (RFC 1870), BODY (RFC 6152), SMTPUTF8 (RFC 6531) and AUTH (RFC 4954 5)."""
        _need(self.session.host_name, "503 5.5.1 first say who you are")
        _need(self.envelope.mail_from is None, "503 5.5.1 one MAIL at a time")
        said = sender(argument, takes_auth=self._may_log_in)
        most = self._limits.max_size
        _need(said.size <= most, f"552 5.3.4 a message may have {most} octets")
        self._need_room(said.size)
        self.envelope.mail_from, self.envelope.smtp_utf8 = said.address, said.smtputf8
        self._progress()
        self._say("250 2.1.0 sender ok")

    async def _rcpt(self, argument: str) -> None:
        _need(self.envelope.mail_from is not None, "503 5.5.1 MAIL first")
        to = recipient(argument, smtputf8=self.envelope.smtp_utf8)
        _need(self._door.recipients.accepts(to), "550 5.1.1 no such recipient here")
        is_full = len(self.envelope.rcpt_tos) >= self._limits.recipients_per_mail
        _need(not is_full, "452 4.5.3 too many recipients")
        self.envelope.rcpt_tos.append(to)
        self._progress()
        self._say("250 2.1.5 recipient ok")

    async def _data(self, argument: str) -> None:
        """The 250 is a promise, so it waits until the mail is taken."""
        if self._is_more_here:
            # DATA ends a pipeline (RFC 2920 3.1). Whether a message or commands came behind it only
            # the peer knows, and to guess is how one mail smuggles in another: so neither is read.
            raise Goodbye("503 5.5.1 wait for 354 before you go on")
        _need(not argument, "501 5.5.4 syntax: DATA")
        _need(self.envelope.rcpt_tos, "503 5.5.1 RCPT first")
        self._need_room(1)
        self._owed = self._answers
        try:
            self._reply(await self._deliver())
        finally:
            self._forget()

    @property
    def _answers(self) -> int:
        """How many answers a message gets."""
        return 1

    async def _deliver(self) -> str:
        """Receive a message, have it taken, and say what became of it."""
        share = Share(self._door)
        try:
            envelope = self._enveloped(await self._message(share))
        except BaseException:  # the connection's end too, which comes as a CancelledError
            share.release()
            raise
        return answer(await asyncio.shield(self._door.deliver(envelope, share)))

    def _enveloped(self, raw: bytes) -> Envelope:
        return Envelope(
            raw=raw,
            source=self._SOURCE,
            peer=self._peer,
            mail_from=self.envelope.mail_from or None,
            rcpt_to=tuple(self.envelope.rcpt_tos),
            received_at=datetime.now(UTC),
            login=self._login,
        )

    def _need_room(self, size: int) -> None:
        is_crowded = self._door.is_crowded(size)
        _need(not is_crowded, "452 4.3.1 too much mail at once: please try again later")

    async def _rset(self, argument: str) -> None:
        _need(not argument, "501 5.5.4 syntax: RSET")
        self._forget()
        self._say("250 2.0.0 ok")

    async def _noop(self, _argument: str) -> None:
        self._say("250 2.0.0 ok")

    async def _vrfy(self, argument: str) -> None:
        """No word about who is here (RFC 5321 7.3)."""
        _need(argument, "501 5.5.4 syntax: VRFY address")
        self._say("252 2.5.0 send a mail and see")

    async def _quit(self, argument: str) -> None:
        _need(not argument, "501 5.5.4 syntax: QUIT")
        self._say("221 2.0.0 bye")
        self.close()

    _VERBS: ClassVar[Mapping[str, Callable[[Any, str], Awaitable[None]]]] = {
        "HELO": _helo,
        "EHLO": _ehlo,
        "STARTTLS": _starttls,
        "AUTH": _auth,
        "MAIL": _mail,
        "RCPT": _rcpt,
        "DATA": _data,
        "RSET": _rset,
        "NOOP": _noop,
        "VRFY": _vrfy,
        "QUIT": _quit,
    }


def _need(condition: object, reply: str) -> None:
    """Refuse the command with ``reply`` unless ``condition`` holds."""
    if not condition:
        raise Refusal(reply)

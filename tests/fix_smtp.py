"""A running SMTP source, and clients that speak to it byte by byte."""

from __future__ import annotations

import asyncio
import socket
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from daemon.mail import Addresses, Login
from daemon.outcome import Outcome, Verdict
from daemon.sources.limits import Limits
from daemon.sources.listener import Listener
from daemon.sources.smtp import SmtpServer

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping

    from daemon.mail import Envelope
    from daemon.sources.listener import Protocol

PATIENCE = 5  # seconds a test waits for what should come at once

ANYWHERE = Listener("smtp", ("127.0.0.1", 0))

MAIL_ID = UUID("00000000-0000-5000-8000-00000000000a")
SPEC_ID = UUID("00000000-0000-5000-8000-00000000000b")


@dataclass
class Taker:
    """Takes every mail, waits while ``gate`` is closed, and says ``outcome``, or raises it."""

    outcome: Outcome | Exception = field(
        default_factory=lambda: Outcome(Verdict.ACCEPTED, MAIL_ID, (SPEC_ID,))
    )
    begun: list[Envelope] = field(default_factory=list)
    taken: list[Envelope] = field(default_factory=list)
    has_begun: threading.Event = field(default_factory=threading.Event)
    has_ended: threading.Event = field(default_factory=threading.Event)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, envelope: Envelope) -> Outcome:
        """Take ``envelope``."""
        self.begun.append(envelope)
        self.has_begun.set()
        await self.gate.wait()
        self.taken.append(envelope)
        self.has_ended.set()
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


@dataclass
class Logins:
    """Knows ``passwords`` by name, and who was asked about; ``trouble`` is raised, ``gate`` waited for."""

    passwords: Mapping[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    trouble: Exception | None = None
    has_begun: threading.Event = field(default_factory=threading.Event)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, name: str, password: str) -> Login | None:
        """Who this is."""
        self.asked.append((name, password))
        self.has_begun.set()
        await self.gate.wait()
        if self.trouble:
            raise self.trouble
        return Login(name, (f"{name}@example.org",)) if self.passwords.get(name) == password else None


class Wire:
    """A client that says exactly what it is told to."""

    def __init__(self, address: tuple[str, int] | Path, source: str | None = None) -> None:
        if isinstance(address, Path):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(PATIENCE)
            self.socket.connect(str(address))
        else:
            mine = (source, 0) if source else None
            self.socket = socket.create_connection(address, timeout=PATIENCE, source_address=mine)
        self.file = self.socket.makefile("rb")

    def say(self, *lines: str) -> None:
        """Send ``lines`` in one segment, each with CRLF."""
        self.send("".join(f"{line}\r\n" for line in lines).encode())

    def send(self, data: bytes) -> None:
        """Send ``data`` and nothing else."""
        self.socket.sendall(data)

    def hear(self) -> str:
        """The next line without its end; empty when the server has closed."""
        return self.file.readline().decode("ascii").removesuffix("\r\n")

    def reply(self) -> str:
        """The last line of the next reply."""
        line = self.hear()
        while line[3:4] == "-":
            line = self.hear()
        return line

    def ask(self, line: str) -> str:
        """The reply to ``line``."""
        self.say(line)
        return self.reply()

    def secure(self, trusting: ssl.SSLContext) -> Wire:
        """Past STARTTLS and the handshake."""
        assert self.ask("STARTTLS").startswith("220 2.0.0 ")
        return self.shake_hands(trusting)

    def shake_hands(self, trusting: ssl.SSLContext) -> Wire:
        """Past the handshake."""
        self.file.close()
        self.socket = trusting.wrap_socket(self.socket, server_hostname="localhost")
        self.file = self.socket.makefile("rb")
        return self

    def is_closed(self) -> bool:
        """Whether the server has gone, with or without a word."""
        try:
            return self.file.read() == b""
        except ConnectionResetError:
            return True

    def greet(self, verb: str = "EHLO") -> Wire:
        """Past the greeting and EHLO, or LHLO."""
        assert self.reply().startswith("220 ")
        return self.greet_again(verb)

    def greet_again(self, verb: str = "EHLO") -> Wire:
        """Past EHLO, or LHLO."""
        assert self.ask(f"{verb} client.test").startswith("250 ")
        return self

    def to_data(self) -> Wire:
        """Past the 354."""
        self.say("MAIL FROM:<alice@example.org>", "RCPT TO:<specs@example.net>", "DATA")
        assert [self.reply()[:3] for _ in range(3)] == ["250", "250", "354"]
        return self

    def close(self) -> None:
        """Hang up."""
        self.file.close()
        self.socket.close()


@dataclass
class Running:
    """An SMTP source in a loop of its own, with what it took."""

    loop: asyncio.AbstractEventLoop
    server: SmtpServer
    taker: Taker
    address: Any  # (host, port), or the path of a UNIX socket
    clients: list[Wire] = field(default_factory=list)
    logins: Logins = field(default_factory=Logins)

    def connect(self, source: str | None = None) -> Wire:
        """A new connection, closed when the test ends; from the address ``source`` if it matters."""
        self.clients.append(Wire(self.address, source))
        return self.clients[-1]

    def listen(self, where: socket.socket | tuple[str, int] | Path, protocol: Protocol = "smtp") -> Any:
        """Listen at one more place; its address."""
        (listener,) = self.do(self.server.start([Listener(protocol, where)]))
        return listener.where

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run ``work`` in the server's loop to its end."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(PATIENCE)

    def open_gate(self) -> None:
        """Let the mails go that are being taken."""
        self.loop.call_soon_threadsafe(self.taker.gate.set)

    @property
    def door(self) -> Any:
        """What the server knows about who is inside."""
        return self.server._door

    def wait_for_the_end_of(self, conversation: Any) -> None:
        """Wait until the server knows that the client has gone."""
        self.do(asyncio.wait([conversation._closed], timeout=PATIENCE))

    def settle(self) -> None:
        """Wait until nobody is inside and nothing is being taken."""
        self.do(asyncio.wait_for(self.door._quiet.wait(), PATIENCE))


@pytest.fixture
def smtp_source() -> Iterator[Callable[..., Running]]:
    """Start sources: ``smtp_source(recipients=…, tls=…, passwords=…, listener=…, shut=…, **limits)``."""
    started: list[Running] = []
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)  # a hung loop fails the test, and no more
    thread.start()

    def start(
        *,
        recipients: Iterable[str] = (),
        tls: ssl.SSLContext | None = None,
        passwords: Mapping[str, str] | None = None,
        listener: Listener = ANYWHERE,
        shut: bool = False,
        **limits: Any,
    ) -> Running:
        taker, logins = Taker(), Logins(passwords or {})
        logins.gate.set()
        if not shut:
            taker.gate.set()
        server = SmtpServer(
            taker,
            hostname="mx.test",
            recipients=Addresses.of(recipients),
            limits=Limits(**limits),
            tls=tls,
            login=logins if passwords else None,
        )
        running = Running(loop, server, taker, None, logins=logins)
        started.append(running)
        running.address = running.listen(listener.where, listener.protocol)
        return running

    yield start
    for running in started:
        running.open_gate()
        for client in running.clients:
            client.close()
        running.do(running.server.drain(PATIENCE / 2))
    loop.call_soon_threadsafe(loop.stop)
    thread.join(PATIENCE)
    loop.close()

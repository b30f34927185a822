"""A running SMTP source, and clients that speak to it byte by byte."""

from __future__ import annotations

import asyncio
import socket
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from daemon.mail import Addresses
from daemon.outcome import Outcome, Verdict
from daemon.sources.limits import Limits
from daemon.sources.smtp import SmtpServer

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Iterator

    from daemon.mail import Envelope

PATIENCE = 5  # seconds a test waits for what should come at once

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


class Wire:
    """A client that says exactly what it is told to."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, timeout=PATIENCE)
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

    def is_closed(self) -> bool:
        """Whether the server has gone, with or without a word."""
        try:
            return self.file.read() == b""
        except ConnectionResetError:
            return True

    def greet(self) -> Wire:
        """Past the greeting and EHLO."""
        assert self.reply().startswith("220 ")
        return self.greet_again()

    def greet_again(self) -> Wire:
        """Past EHLO."""
        assert self.ask("EHLO client.test").startswith("250 ")
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
    address: tuple[str, int]
    clients: list[Wire] = field(default_factory=list)

    def connect(self) -> Wire:
        """A new connection, closed when the test ends."""
        self.clients.append(Wire(self.address))
        return self.clients[-1]

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
    """Start SMTP sources: ``smtp_source(recipients=…, tls=…, shut=…, **limits)``."""
    started: list[Running] = []
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)  # a hung loop fails the test, and no more
    thread.start()

    def start(
        *, recipients: Iterable[str] = (), tls: Any = None, shut: bool = False, **limits: Any
    ) -> Running:
        taker = Taker()
        if not shut:
            taker.gate.set()
        ours = Addresses.of(recipients)
        server = SmtpServer(taker, hostname="mx.test", recipients=ours, limits=Limits(**limits), tls=tls)
        running = Running(loop, server, taker, ("", 0))
        started.append(running)
        (running.address,) = running.do(server.start([("127.0.0.1", 0)]))
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

"""Mail by SMTP, as much as a server takes: ``python -m tests.bench.load``, a process of its own.

It shares the cores with the server that is measured, so it does little: all
mails are made before the clock starts, as they go over the wire.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import re
import signal
import sys
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.bench.corpus import SENDER, US, WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

NAME = "our load generator"

TAKEN, GO_ON = 250, 354
#: Stands for the answer of a server that hung up instead.
NONE = 0
#: So many refusals are told in their own words.
TOLD = 3
#: With ``--wait`` these lines come before the report: the mails are made (and a line is read before the first
#: is sent), and the last answer is here.
READY, DONE = "ready", "done"

_EHLO = b"EHLO out.example.org\r\n"
_MAIL = f"MAIL FROM:<{SENDER}>\r\n".encode()
_RCPT = f"RCPT TO:<{US}>\r\n".encode()
_DATA, _RSET, _QUIT, _DOT = b"DATA\r\n", b"RSET\r\n", b"QUIT\r\n", b".\r\n"
_GREETING = b""
_AFTER = {_MAIL: _RCPT, _RCPT: _DATA}


def version() -> str:
    """Which code it is."""
    return "this checkout"


@dataclass
class Report:
    """What came of it: times are seconds since 1970, mails are known by their numbers.

    ``latencies`` are seconds from the dot of a mail to its 250, and
    ``answered`` is when that came.
    """

    start: float = 0
    end: float = 0
    cpu: float = 0
    answers: Counter[int] = field(default_factory=Counter)
    latencies: dict[int, float] = field(default_factory=dict)
    answered: dict[int, float] = field(default_factory=dict)
    refusals: list[str] = field(default_factory=list)


class _Post:
    """Gives the sessions their mails, and notes what is answered."""

    def __init__(self, mails: dict[int, bytes]) -> None:
        self.mails = mails
        self.report = Report()
        self.done = asyncio.Event()
        self._due: deque[int] = deque()
        self._idle: deque[_Session] = deque()
        self._left = len(mails)

    def release(self, numbers: Iterable[int]) -> None:
        """Let these mails be sent from now on."""
        self._due.extend(numbers)
        while self._due and self._idle:
            self._idle.popleft().send(self._due.popleft())

    def serve(self, session: _Session) -> None:
        """Give a session its next mail, now or when one is released."""
        if self._due:
            session.send(self._due.popleft())
        else:
            self._idle.append(session)

    def note(self, number: int, code: int, line: bytes, dot: float) -> None:
        """Note what was answered to a mail whose last byte was written at ``dot``."""
        now = time.time()
        self.report.answers[code] += 1
        if code == TAKEN:
            self.report.latencies[number] = now - dot
            self.report.answered[number] = now
        elif len(self.report.refusals) < TOLD:
            self.report.refusals.append(line.decode(errors="replace"))
        self._left -= 1
        if not self._left:
            self.report.end = now
            self.done.set()


class _Session(asyncio.Protocol):
    """One connection at a time: for each mail a new one, or one for all while it lasts.

    ``_due`` are the commands whose answers are to come, in the order they
    were sent; ``_number`` is the mail under way, ``_refused`` its first
    refusal, and ``_served`` how many mails the connection has carried.
    """

    def __init__(self, post: _Post, address: tuple[str, int], *, keep: bool) -> None:
        self._post, self._address, self._keep = post, address, keep
        self._transport: asyncio.Transport | None = None
        self._connecting: asyncio.Task[object] | None = None
        self._due: deque[bytes] = deque()
        self._rest = b""
        self._pipelining = False
        self._served = 0
        self._number: int | None = None
        self._dot = 0.0
        self._refused: tuple[int, bytes] | None = None

    def send(self, number: int) -> None:
        """Send a mail, over a new connection if there is none."""
        self._number, self._dot, self._refused = number, 0.0, None
        if self._transport:
            self._send_envelope()
        else:
            self._connect()

    def close(self) -> None:
        """Hang up."""
        if self._transport:
            self._transport.close()

    def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        self._connecting = loop.create_task(loop.create_connection(lambda: self, *self._address))
        self._connecting.add_done_callback(self._connected)

    def _connected(self, connecting: asyncio.Task[object]) -> None:
        if not connecting.cancelled() and (error := connecting.exception()):
            self._finish(NONE, str(error).encode())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._due = deque([_GREETING])
        self._rest, self._pipelining, self._served = b"", False, 0

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._number is None:
            if not self._keep or self._due:  # it was busy with QUIT or RSET, and not idle
                self._post.serve(self)
        elif self._served and not self._dot:  # the server wants no more over one connection
            self.send(self._number)
        else:
            self._finish(NONE, str(exc or "it hung up").encode())

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\r\n")
        for line in lines:
            if self._due and self._due[0] is _EHLO and line[4:].upper() == b"PIPELINING":
                self._pipelining = True
            if line[3:4] != b"-" and self._due:
                self._answered(self._due.popleft(), int(line[:3]), line)

    def _send(self, *commands: bytes) -> None:
        self._due.extend(commands)
        self._transport.write(b"".join(commands))

    def _send_envelope(self) -> None:
        """All of it at once where the server takes it so; DATA has to be the last (RFC 2920, 3.1)."""
        if self._pipelining:
            self._send(_MAIL, _RCPT, _DATA)
        else:
            self._send(_MAIL)

    def _answered(self, command: bytes, code: int, line: bytes) -> None:
        if command is _DOT:
            self._finish(*(self._refused or (code, line)))
        elif command in _AFTER or command is _DATA:
            self._envelope_answered(command, code, line)
        elif command is _GREETING:
            self._send(_EHLO)
        elif command is _EHLO:
            self._send_envelope()
        elif command is _RSET:
            self._post.serve(self)
        else:
            self._transport.close()

    def _envelope_answered(self, command: bytes, code: int, line: bytes) -> None:
        if code != (GO_ON if command is _DATA else TAKEN):
            self._refused = self._refused or (code, line)
        if command is _DATA and code == GO_ON:
            self._send_message()
        elif command is _DATA or (self._refused and not self._pipelining):
            self._finish(*self._refused, reset=True)
        elif not self._pipelining:
            self._send(_AFTER[command])

    def _send_message(self) -> None:
        """What was pipelined is answered 354 even without a recipient: then the message is empty."""
        self._due.append(_DOT)
        self._transport.write(_DOT if self._refused else self._post.mails[self._number])
        self._dot = time.time()

    def _finish(self, code: int, line: bytes, *, reset: bool = False) -> None:
        number, self._number = self._number, None
        self._served += 1
        self._post.note(number, code, line, self._dot)
        if not self._transport or (self._keep and not reset):
            self._post.serve(self)
        else:
            self._send(_RSET if self._keep else _QUIT)


def wire(message: bytes) -> bytes:
    """A message of CRLF lines as DATA has it: dots doubled where a line begins with one, and the last dot."""
    return re.sub(rb"(?m)^\.", b"..", message) + _DOT


async def post(mails: dict[int, bytes], asked: argparse.Namespace) -> Report:
    """Send them all; returns when each is answered."""
    office = _Post(mails)
    begin = time.process_time()
    office.report.start = time.time()
    address = asked.host, asked.port
    sessions = [_Session(office, address, keep=not asked.new_connections) for _ in range(asked.sessions)]
    if asked.rate:
        spacing = asyncio.create_task(_space(office, asked.rate))
    else:
        spacing = None
        office.release(mails)
    for session in sessions:
        office.serve(session)
    await office.done.wait()
    if spacing:
        await spacing
    office.report.cpu = time.process_time() - begin
    for session in sessions:
        session.close()
    return office.report


async def _space(office: _Post, rate: float) -> None:
    """Release ``rate`` mails a second, each at its own moment however late the one before was."""
    begin = time.monotonic()
    for at, number in enumerate(office.mails):
        await asyncio.sleep(begin + at / rate - time.monotonic())
        office.release([number])


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.load", description=__doc__)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--workload", choices=WORKLOADS, default="typical")
    parser.add_argument("--mails", type=int, default=1000, metavar="N")
    parser.add_argument("--first", type=int, default=0, metavar="N", help="the number of the first mail")
    parser.add_argument("--sessions", type=int, default=1, metavar="N", help="connections at a time")
    parser.add_argument("--new-connections", action="store_true", help="one for each mail")
    parser.add_argument("--rate", type=float, metavar="R", help="mails a second; else as many as are taken")
    parser.add_argument(
        "--wait", action="store_true", help=f"say {READY!r}, begin with a line of input, say {DONE!r}"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Make the mails, send them, and print a Report as JSON."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it without a word
    asked = _arguments(argv)
    make = WORKLOADS[asked.workload].mail
    mails = {number: wire(make(number)) for number in range(asked.first, asked.first + asked.mails)}
    gc.disable()
    if asked.wait:
        _say(READY)
        if not sys.stdin.readline():  # who was to start it is gone
            return 1
    report = asyncio.run(post(mails, asked))
    if asked.wait:
        _say(DONE)
    _say(json.dumps(vars(report)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

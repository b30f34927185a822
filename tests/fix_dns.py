"""Name servers on loopback: a real one whose records a test writes, and some that misbehave."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Self

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rrset
import pytest

from daemon.names import Question
from daemon.resolver import Resolver
from tests.parts import need

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from daemon.names import Kind

    Address = tuple[str, int]
    Reply = Callable[[dns.message.Message], list[bytes]]

#: Seconds a test waits for what takes a few milliseconds, on a machine that has other work too.
PATIENCE = 20
#: Seconds for which there is no such record, at most: the SOA says so.
NOTHING_FOR = 60
#: Octets of one of the strings that a TXT record is made of.
STRING_MAX = 255

CONFIGURATION = """\
server:
  ip-address: 127.0.0.1
  port: {port}
  server-count: 1
  username: ""
  chroot: ""
  database: ""
  zonesdir: "{root}"
  xfrdir: "{root}"
  xfrdfile: "{root}/xfrd.state"
  zonelistfile: "{root}/zone.list"
  pidfile: "{root}/nsd.pid"
  logfile: "{root}/nsd.log"
  zonefiles-check: yes
  rrl-ratelimit: 0  # tests ask more often than a stranger may
remote-control:
  control-enable: no
zone:
  name: "."
  zonefile: "{root}/root.zone"
"""


@dataclass
class DnsServer:
    """Debian's ``nsd``, which answers for every name there is; those of tests are made up."""

    root: Path
    address: Address = field(init=False)
    _records: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    _serial: int = 0
    _process: subprocess.Popen[bytes] | None = None

    def publish(self, name: str, kind: str, *values: str | bytes, ttl: int = 300) -> None:
        """Let ``name`` have these records of ``kind``, and no others; visible when this returns.

        A TXT value is text of any length (latin-1) or bytes; an MX value is
        ``"10 mx.example.test"``, those of CNAME and NS are names.
        """
        self.publish_all({(name, kind): values}, ttl)

    def publish_all(self, records: dict[tuple[str, str], tuple[str | bytes, ...]], ttl: int = 300) -> None:
        """Publish many at once, by name and kind."""
        for (name, kind), values in records.items():
            lines = [f"{name}. {ttl} {kind} {_presented(kind, value)}" for value in values]
            self._records[name, kind] = lines
        self._load()

    def withdraw(self, name: str) -> None:
        """Let there be no such name."""
        self._records = {key: lines for key, lines in self._records.items() if key[0] != name}
        self._load()

    def start(self) -> None:
        """Start on a free port, with what is published."""
        self._write()
        self.address = ("127.0.0.1", _free_port())
        configuration = self.root / "nsd.conf"
        configuration.write_text(CONFIGURATION.format(port=self.address[1], root=self.root))
        self._process = subprocess.Popen([_nsd() or "nsd", "-d", "-c", configuration], start_new_session=True)
        self._await_load(without=set())

    def stop(self) -> None:
        """Stop; from then on nobody answers."""
        if self._process:
            self._process.terminate()
            self._process.wait(PATIENCE)
            deadline = time.monotonic() + PATIENCE
            while self._servants():
                assert time.monotonic() < deadline
            self._process = None

    def _load(self) -> None:
        self._write()
        if self._process:
            old = self._servants()
            self._process.send_signal(signal.SIGHUP)
            self._await_load(without=old)

    def _write(self) -> None:
        self._serial += 1
        soa = f". 300 SOA ns.invalid. ops.invalid. {self._serial} 3600 600 86400 {NOTHING_FOR}"
        lines = [soa, ". 300 NS ns.invalid.", *(line for lines in self._records.values() for line in lines)]
        new = self.root / "root.zone.new"
        new.write_text("\n".join(lines) + "\n")
        new.replace(self.root / "root.zone")

    def _await_load(self, without: set[str]) -> None:
        """Return when the zone as it was last written is served, and nobody serves the one before."""
        deadline = time.monotonic() + PATIENCE
        while self._served() != self._serial or without & self._servants():
            assert time.monotonic() < deadline, (self.root / "nsd.log").read_text()

    def _servants(self) -> set[str]:
        """The processes that answer: on a reload a new one takes over, and both are there for a moment."""
        assert self._process
        found = (_servant(path) for path in Path("/proc").iterdir() if path.name.isdigit())
        return {pid for pid, session in filter(None, found) if session == self._process.pid}

    def _served(self) -> int | None:
        """The serial of the zone that is served; None while the server starts or refuses."""
        assert self._process
        assert self._process.poll() is None, (self.root / "nsd.log").read_text()
        query = dns.message.make_query(".", "SOA")
        try:
            reply = dns.query.udp(query, self.address[0], timeout=0.05, port=self.address[1])
        except dns.exception.Timeout:
            return None
        return next((rrset[0].serial for rrset in reply.answer), None)


def _servant(path: Path) -> tuple[str, int] | None:
    """The pid and session of an answering process of nsd, alive; None for all else (proc(5))."""
    try:
        name, _, rest = (path / "stat").read_text().rpartition(") ")
    except OSError:
        return None  # it ended meanwhile
    state, _, _, session = rest.split()[:4]
    return (path.name, int(session)) if "(nsd: server" in name and state != "Z" else None


def _presented(kind: str, value: str | bytes) -> str:
    """``value`` as a zone file has it (RFC 1035, 5.1)."""
    if kind == "TXT":
        data = value if isinstance(value, bytes) else value.encode("latin-1")
        strings = [data[start : start + STRING_MAX] for start in range(0, len(data), STRING_MAX)] or [b""]
        return " ".join('"' + "".join(f"\\{octet:03}" for octet in string) + '"' for string in strings)
    text = value.decode() if isinstance(value, bytes) else value
    return f"{text.rstrip('.')}." if kind in {"MX", "CNAME", "NS"} else text


def _free_port() -> int:
    """A port of loopback that is free for UDP and TCP alike."""
    while True:
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            port = int(tcp.getsockname()[1])
            try:
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def _nsd() -> str | None:
    return shutil.which("nsd", path=f"{os.environ['PATH']}:/usr/sbin")


@contextmanager
def running_nsd(root: Path) -> Iterator[DnsServer]:
    """A name server that lives as long as the context, with all its files in ``root``."""
    need(_nsd(), "apt-get install nsd")
    server = DnsServer(root)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def dns_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DnsServer]:
    """A name server for all tests that ask for names of their own; nobody stops it."""
    with running_nsd(tmp_path_factory.mktemp("nsd")) as server:
        yield server


@dataclass
class Impostor:
    """A UDP socket that answers with what ``reply`` makes of a query: datagrams in turn, or nothing."""

    reply: Reply
    at: Address = ("127.0.0.1", 0)
    asked: list[str] = field(default_factory=list)
    """The names it was asked for, in their order."""
    has_been_asked: threading.Event = field(default_factory=threading.Event)
    _socket: socket.socket = field(default_factory=lambda: socket.socket(type=socket.SOCK_DGRAM))

    @property
    def address(self) -> Address:
        """Where it listens."""
        host, port = self._socket.getsockname()
        return host, port

    def serve(self) -> None:
        """Answer until an empty datagram comes."""
        while wire := self._hear():
            query = dns.message.from_wire(wire[0])
            self.asked.append(named(query))
            self.has_been_asked.set()
            for answer in self.reply(query):
                self._socket.sendto(answer, wire[1])

    def _hear(self) -> tuple[bytes, Address] | None:
        wire, peer = self._socket.recvfrom(4096)
        return (wire, peer) if wire else None

    def __enter__(self) -> Self:
        self._socket.bind(self.at)
        self._thread = threading.Thread(target=self.serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with socket.socket(type=socket.SOCK_DGRAM) as last:
            last.sendto(b"", self.address)
        self._thread.join(PATIENCE)
        self._socket.close()


def named(query: dns.message.Message) -> str:
    """The name that is asked for."""
    return str(query.question[0].name.to_text(omit_final_dot=True))


def nothing(_query: dns.message.Message) -> list[bytes]:
    """No reply."""
    return []


def refusing(rcode: dns.rcode.Rcode) -> Reply:
    """A reply that says only ``rcode``."""

    def reply(query: dns.message.Message) -> list[bytes]:
        response = dns.message.make_response(query, recursion_available=True)
        response.set_rcode(rcode)
        return [response.to_wire()]

    return reply


def honest(query: dns.message.Message, text: str = "honest") -> list[bytes]:
    """One TXT record for whatever is asked."""
    response = dns.message.make_response(query, recursion_available=True)
    response.answer.append(dns.rrset.from_text(query.question[0].name, 300, "IN", "TXT", text))
    return [response.to_wire(max_size=65_535)]


def truncated(query: dns.message.Message) -> list[bytes]:
    """An answer that has to be asked for over TCP."""
    response = dns.message.make_response(query)
    response.flags |= dns.flags.TC
    return [response.to_wire()]


def in_turn(*replies: Reply) -> Reply:
    """One reply after the other; the last again and again, for a busy machine asks twice."""
    left = chain(replies, repeat(replies[-1]))
    return lambda query: next(left)(query)  # noqa: PLW0108 - the next one each time


def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> Path:
    """Let the machine name its servers in ``text``; the file that says so."""
    conf = tmp_path / "resolv.conf"
    conf.write_bytes(text.encode("latin-1"))
    monkeypatch.setattr("daemon.resolver.SYSTEM", str(conf))
    return conf


@contextmanager
def asking(*servers: Address, timeout: float = 10.0) -> Iterator[Resolver]:
    """A resolver that asks ``servers``, until the context ends."""
    resolver = Resolver(servers, timeout)
    resolver.start()
    try:
        yield resolver
    finally:
        resolver.close()


def one(
    resolver: Resolver, name: str, kind: Kind = "TXT", within: float = PATIENCE
) -> tuple[str, ...] | None:
    """The records of one name."""
    question = Question(name, kind)
    return resolver.ask([question], time.monotonic() + within)[question]


@pytest.fixture
def silent_dns() -> Iterator[Address]:
    """A server that hears everything and never answers."""
    with Impostor(nothing) as server:
        yield server.address


@pytest.fixture
def failing_dns() -> Iterator[Address]:
    """A server that says SERVFAIL to everything."""
    with Impostor(refusing(dns.rcode.SERVFAIL)) as server:
        yield server.address

"""Debian's Dovecot, a real IMAP server whose every user is a test's own, seen from outside of the daemon."""

from __future__ import annotations

import grp
import imaplib
import itertools
import os
import pwd
import random
import re
import shutil
import signal
import socket
import subprocess
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.parts import need

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

#: Seconds for what takes well under one, on a machine that has other work too.
PATIENCE = 60

#: Seconds in which a client may hang up after the BYE.
FAREWELL = 1

#: Ports below those that the system gives to clients, so that none takes ours while the server is away.
PORTS = range(20_000, 32_768)

DOVECOT = shutil.which("dovecot", path=f"{os.environ.get('PATH', '')}:/usr/sbin")

#: To start it as root, who may not own mail: it sees another name, while its files stay root's.
NOBODY = 65_534
AS_NOBODY = ["unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}"]

#: What Dovecot says of itself after the login, but for what no test needs; how to log in it adds itself.
CAPABILITIES = {
    "IMAP4rev1",
    "SASL-IR",
    "LOGIN-REFERRALS",
    "ID",
    "ENABLE",
    "IDLE",
    "MULTIAPPEND",
    "UNSELECT",
    "CHILDREN",
    "NAMESPACE",
    "UIDPLUS",
    "LIST-EXTENDED",
    "CONDSTORE",
    "QRESYNC",
    "ESEARCH",
    "LIST-STATUS",
    "MOVE",
    "LITERAL+",
}

_CONFIGURATION = """\
base_dir = {folder}/base
state_dir = {folder}/state
log_path = {folder}/log
listen = 127.0.0.1
protocols = imap
default_internal_user = {me}
default_internal_group = {us}
default_login_user = {me}
first_valid_uid = 1
passdb {{
  driver = static
  args = password=secret
}}
userdb {{
  driver = static
  args = uid={me} gid={us} home={folder}/mails/%u
}}
mail_location = maildir:~
namespace inbox {{
  inbox = yes
  prefix = {prefix}
  separator = {separator}
}}
ssl = {ssl}
disable_plaintext_auth = no
auth_failure_delay = 0
mail_max_userip_connections = 0
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service imap-login {{
  chroot =
  service_count = 0
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
    ssl = yes
  }}
}}
{settings}
"""


@dataclass(frozen=True)
class Account:
    """A user's mails on a real server; each question comes on a connection of its own."""

    address: tuple[str, int]
    user: str
    password: str = "secret"

    @contextmanager
    def connected(self) -> Iterator[imaplib.IMAP4]:
        """A plain client that has logged in."""
        with imaplib.IMAP4(*self.address, timeout=PATIENCE) as client:
            client.login(self.user, self.password)
            yield client

    @contextmanager
    def opened(self, folder: str, *, readonly: bool = True) -> Iterator[imaplib.IMAP4]:
        """As connected, with ``folder`` selected; looking at it changes nothing."""
        with self.connected() as client:
            _said(client.select(_quoted(folder), readonly=readonly))
            yield client

    def append(self, raw: bytes, folder: str = "INBOX", when: datetime | None = None) -> int:
        """Put a mail there, byte for byte; its UID."""
        with self.connected() as client:
            client.literal = raw  # its own append() would alter line ends
            received = (imaplib.Time2Internaldate(when),) if when else ()
            (answer,) = _said(client._simple_command("APPEND", _quoted(folder), *received))
        match = re.search(rb"APPENDUID \d+ (\d+)", answer)
        assert match, answer
        return int(match[1])

    def create(self, folder: str) -> None:
        """Make a folder."""
        with self.connected() as client:
            _said(client.create(_quoted(folder)))

    def folders(self) -> list[str]:
        """The names of all folders."""
        with self.connected() as client:
            lines = _said(client.list())
        return sorted(re.sub(rb'^\(.*?\) (".*?"|NIL) ', b"", line).decode().strip('"') for line in lines)

    def count(self, folder: str = "INBOX") -> int:
        """How many mails there are; none where there is no such folder."""
        with self.connected() as client:
            return _count(client, folder)

    def await_count(self, folder: str, count: int) -> None:
        """Return when there are ``count`` mails."""
        deadline = time.monotonic() + PATIENCE
        with self.connected() as client:
            while (now := _count(client, folder)) != count:
                assert time.monotonic() < deadline, f"{now} mails in {folder}, not {count}"
                time.sleep(0.02)

    def mails(self, folder: str = "INBOX") -> list[bytes]:
        """All mails, byte for byte as the server gives them."""
        with self.opened(folder) as client:
            parts = _said(client.uid("FETCH", "1:*", "(BODY.PEEK[])"))
        return [part[1] for part in parts if isinstance(part, tuple)]

    def uids(self, folder: str = "INBOX") -> list[int]:
        """The UIDs of all mails."""
        with self.opened(folder) as client:
            return [int(uid) for line in _said(client.uid("SEARCH", "ALL")) for uid in line.split()]

    def flags(self, folder: str = "INBOX") -> dict[int, set[str]]:
        """The flags of each mail by its UID, but Recent, which tells of sessions and not of mails."""
        with self.opened(folder) as client:
            lines = [line.decode() for line in _said(client.uid("FETCH", "1:*", "(FLAGS)"))]
        return {_number("UID", line): set(_within("FLAGS", line)) - {"\\Recent"} for line in lines}

    def uidvalidity(self, folder: str = "INBOX") -> int:
        """What the server says now."""
        with self.connected() as client:
            (line,) = _said(client.status(_quoted(folder), "(UIDVALIDITY)"))
        return _number("UIDVALIDITY", line.decode())

    def expunge(self, uid: int, folder: str = "INBOX") -> None:
        """Take a mail away, as its owner does at his own client."""
        with self.opened(folder, readonly=False) as client:
            _said(client.uid("STORE", str(uid), "+FLAGS.SILENT", "(\\Deleted)"))
            _said(client.uid("EXPUNGE", str(uid)))


@dataclass(frozen=True)
class Box(Account):
    """A user of a Dovecot, whose Maildir we can reach into."""

    server: Dovecot = field(kw_only=True, repr=False)

    def append_many(self, raws: Iterable[bytes], folder: str = "INBOX") -> None:
        """Deliver mails into the Maildir, in their order, hundreds in a moment."""
        into = self.path(folder)
        if not (into / "new").is_dir():
            self.count(folder)  # the first login makes INBOX
        for raw in raws:
            name = next(_FILE_NAMES)
            (into / "tmp" / name).write_bytes(raw)
            (into / "tmp" / name).rename(into / "new" / name)

    def change_uidvalidity(self, folder: str = "INBOX") -> None:
        """Have the server number its mails anew, as after a restore: from 1 on, under another UIDVALIDITY."""
        old = self.uidvalidity(folder)
        into = self.path(folder)
        for path in (
            into / "dovecot-uidlist",
            *into.glob("dovecot.index*"),
            *self.root.glob("dovecot.list.*"),
        ):
            path.unlink(missing_ok=True)
        assert self.uidvalidity(folder) != old

    @property
    def root(self) -> Path:
        """The user's Maildir."""
        return self.server.folder / "mails" / self.user

    def path(self, folder: str) -> Path:
        """Where a folder is: beside each other, with a dot in front and between the levels."""
        name = folder.removeprefix(self.server.prefix).replace(self.server.separator, ".")
        return self.root if folder == "INBOX" else self.root / f".{name}"


@dataclass
class Dovecot:
    """A server on ports of its own, with all its files in ``folder``; it may be stopped and started again.

    Any user may log in with the password ``secret``. The folders other than
    INBOX are named with ``prefix`` and ``separator``; ``hidden`` are
    capabilities that it doesn't tell of; ``settings`` are Dovecot's own.
    """

    folder: Path
    certificate: Path | None = None
    prefix: str = ""
    separator: str = "."
    hidden: frozenset[str] = frozenset()
    settings: dict[str, str] = field(default_factory=dict)
    host: str = "127.0.0.1"
    port: int = 0
    tls_port: int = 0
    _process: subprocess.Popen[bytes] | None = None
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.port = self.port or free_port()
        self.tls_port = free_port() if self.certificate else 0

    def new_user(self, name: str = "") -> Box:
        """A user whom nobody else has, with an empty INBOX."""
        return Box((self.host, self.port), name or f"user-{next(self._numbers)}", server=self)

    def start(self) -> None:
        """Start; it answers when this returns."""
        self._configuration.write_text(self._written())
        command = [*(AS_NOBODY if os.geteuid() == 0 else []), DOVECOT or "dovecot", "-F"]
        self._process = subprocess.Popen([*command, "-c", self._configuration], start_new_session=True)
        deadline = time.monotonic() + PATIENCE
        while not greets(self.host, self.port):
            assert self._process.poll() is None, self.log()
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop, with a BYE to all clients; from then on nobody listens."""
        if self._process:
            self._signal(signal.SIGTERM)  # the sessions too, or each would say BYE only after ten seconds
            with suppress(AssertionError):
                _await(lambda: not self._processes(), FAREWELL)
            self._signal(signal.SIGKILL)
            self._process.wait(PATIENCE)
            _await(lambda: not self._processes())
            self._process = None

    def restart(self) -> None:
        """Stop and start, on the same ports and with the same mails."""
        self.stop()
        self.start()

    def kill_sessions(self) -> None:
        """Drop all clients without a word, as a crash does; new ones are served."""
        for pid in self._processes("imap", "imap-login"):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        _await(lambda: greets(self.host, self.port))

    def log(self) -> str:
        """What it has logged."""
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    @property
    def _configuration(self) -> Path:
        return self.folder / "dovecot.conf"

    def _written(self) -> str:
        root = os.geteuid() == 0
        return _CONFIGURATION.format(
            folder=self.folder,
            me=pwd.getpwuid(NOBODY if root else os.geteuid()).pw_name,
            us=grp.getgrgid(NOBODY if root else os.getegid()).gr_name,
            prefix=self.prefix,
            separator=self.separator,
            ssl="yes" if self.certificate else "no",
            port=self.port,
            tls_port=self.tls_port,  # a listener on port 0 is none
            settings="\n".join(f"{name} = {value}" for name, value in self._all_settings().items()),
        )

    def _all_settings(self) -> dict[str, str]:
        secured = dict.fromkeys(("ssl_cert", "ssl_key"), f"<{self.certificate}") if self.certificate else {}
        told = " ".join(sorted(CAPABILITIES - self.hidden))
        return secured | ({"imap_capability": told} if self.hidden else {}) | self.settings

    def _signal(self, number: int) -> None:
        assert self._process
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def _processes(self, *names: str) -> set[int]:
        """Its processes that run, all or those of these names."""
        assert self._process
        found = filter(None, (_process(path) for path in Path("/proc").iterdir() if path.name.isdigit()))
        session = self._process.pid
        return {pid for pid, name, its in found if its == session and (not names or name in names)}


@contextmanager
def new_dovecot(
    folder: Path,
    certificate: Path | None = None,
    *,
    prefix: str = "",
    separator: str = ".",
    hidden: Iterable[str] = (),
    **settings: str,
) -> Iterator[Dovecot]:
    """A server that is up; see Dovecot."""
    need(DOVECOT, "apt-get install dovecot-imapd")
    need(_version().startswith("2.3."), "a Dovecot 2.3 (Debian 12): 2.4 is configured in other words")
    server = Dovecot(folder, certificate, prefix, separator, frozenset(hidden), settings)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def dovecot(certificate: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dovecot]:
    """A server for all tests, each with users of its own; nobody stops it. It has IMAPS, and never fsyncs."""
    with new_dovecot(tmp_path_factory.mktemp("dovecot"), certificate, mail_fsync="never") as server:
        yield server


@pytest.fixture
def box(dovecot: Dovecot) -> Box:
    """A user whom only this test has."""
    return dovecot.new_user()


def free_port() -> int:
    """A port of loopback that nobody listens on, and that no client will be given."""
    while True:
        port = random.choice(PORTS)
        with socket.socket() as free, suppress(OSError):
            free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server that is to have it
            free.bind(("127.0.0.1", port))
            return port


def greets(host: str, port: int) -> bool:
    """Whether an IMAP server says that it is there."""
    with suppress(OSError), socket.create_connection((host, port), PATIENCE) as client:
        return client.recv(4) == b"* OK"
    return False


def _version() -> str:
    return subprocess.run(
        [DOVECOT or "dovecot", "--version"], capture_output=True, text=True, check=True
    ).stdout


def _process(path: Path) -> tuple[int, str, int] | None:
    """A process's pid, name and session; None when it is no more (proc(5))."""
    try:
        before, _, after = (path / "stat").read_text().rpartition(") ")
    except OSError:
        return None  # it ended meanwhile
    state, _, _, session = after.split()[:4]
    return None if state == "Z" else (int(path.name), before.partition("(")[2], int(session))


def _await(happened: Callable[[], object], within: float = PATIENCE) -> None:
    deadline = time.monotonic() + within
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _said(answer: tuple[str, list[Any]]) -> list[Any]:
    """What the server says, when it says OK; nothing is imaplib's [None]."""
    status, lines = answer
    assert status == "OK", lines
    return [line for line in lines if line is not None]


def _quoted(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _count(client: imaplib.IMAP4, folder: str) -> int:
    status, (line,) = client.status(_quoted(folder), "(MESSAGES)")
    return _number("MESSAGES", line.decode()) if status == "OK" else 0


def _number(name: str, line: str) -> int:
    match = re.search(rf"\b{name} (\d+)", line)
    assert match, line
    return int(match[1])


def _within(name: str, line: str) -> list[str]:
    match = re.search(rf"\b{name} \((.*?)\)", line)
    assert match, line
    return match[1].split()


def _file_names() -> Iterator[str]:
    """Names in a Maildir: Dovecot numbers new mails in the order of the times there."""
    start = int(time.time())
    for number in itertools.count():
        yield f"{start + number // 1_000_000}.M{number % 1_000_000:06}P{os.getpid()}.test"


_FILE_NAMES = _file_names()

"""Logins for SMTP AUTH: the file that lists them, and the desk that asks it.

One login a line, ``name:hash:address,address``, UTF-8; lines that are empty
or begin with ``#`` are its writer's own. Like passwd(5) and not like TOML: a
line can be added, replaced and taken out without understanding the others,
and what other programs hash (see passwords.py) can be pasted in. No ``:`` can
stand in a name, a hash or an address, so the form has room for more fields.
"""

from __future__ import annotations

import asyncio
import os
import re
import stat
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from daemon.log import Event
from daemon.mail import Login
from daemon.passwords import Hash, HashError
from daemon.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

log = structlog.get_logger()

#: Passwords checked at a time; each takes up to passwords.MEMORY_MAX of memory.
CHECKS = 2
#: Passwords that may wait to be checked; beyond, who asks is told to come again.
WAITING = 32
#: Octets of a file of logins: thousands of them.
FILE_MAX = 1 << 20

NAME = re.compile(r"[A-Za-z0-9._@+-]{1,64}")
#: ``local@domain`` as a From header may plainly say it, without wildcards: a login is a person or a program.
_ADDRESS = re.compile(r"[\w!#$%&'+/=?^`{|}~-]+(?:\.[\w!#$%&'+/=?^`{|}~-]+)*@[\w-]+(?:\.[\w-]+)*")
_ADDRESS_MAX = 254  # RFC 5321, 4.5.3.1


class LoginsError(Exception):
    """The file of logins can't be used; the text says where and why, and repeats no hash."""


class Busy(TimeoutError):  # noqa: N818 - our trouble, and no error of who asks
    """Too many passwords wait to be checked."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the file that is a login: where it stands, who it is, and what their password must fit."""

    line: int
    login: Login
    hash: Hash


class Logins:
    """Who may log in."""

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        self._entries = dict(entries)
        self._hashes = [entry.hash for entry in entries.values()]

    def __len__(self) -> int:
        return len(self._entries)

    @classmethod
    def read(cls, path: Path) -> Logins:
        """The logins of a file that nobody but its owner can change.

        Raises:
            LoginsError: it can't be read, is open to others, or a line of it is wrong.
        """
        return cls(entries(content(path), path))

    def get(self, name: str) -> Login | None:
        """Whose name it is; None when it is nobody's."""
        entry = self._entries.get(name)
        return entry.login if entry else None

    def check(self, name: str, password: str) -> Login | None:
        """Who this is; None when it is nobody.

        An unknown name costs what a known one does, so that the time an
        answer takes doesn't tell which names there are: it is checked
        against another's hash, always the same for the same name, since
        hashes may differ in what they cost.
        """
        entry = self._entries.get(name)
        if entry is None:
            self._check_in_vain(name, password)
            return None
        return entry.login if entry.hash.fits(password) else None

    def _check_in_vain(self, name: str, password: str) -> None:
        if self._hashes:
            chosen = zlib.crc32(name.encode("utf-8", "surrogatepass")) % len(self._hashes)
            self._hashes[chosen].fits(password)


class LoginDesk:
    """Answers who logs in, from any number of sessions of one event loop, out of a file that may change.

    Raises:
        LoginsError: the file can't be used now.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._logins = path, Logins.read(path)
        self._threads = ThreadPoolExecutor(CHECKS, thread_name_prefix="login")
        self._places = threading.Semaphore(CHECKS + WAITING)
        log.info(Event.LOGINS, file=path, count=len(self._logins))

    async def login(self, name: str, password: str) -> Login | None:
        """Who this is; None when it is nobody.

        A session that ends while it waits gives up its place, but one whose
        check has begun keeps it: else coming and going would start checks
        without end.

        Raises:
            Busy: too many others are waiting.
        """
        if not self._places.acquire(blocking=False):
            raise Busy(f"{WAITING} passwords are waiting to be checked")
        checking = self._threads.submit(self._logins.check, name, password)
        checking.add_done_callback(lambda _: self._places.release())
        return await asyncio.wrap_future(checking)

    def reload(self) -> None:
        """Read the file again; when it is broken, that is logged and the logins stay as they were."""
        try:
            self._logins = Logins.read(self._path)
        except LoginsError as error:
            log.error(Event.LOGINS_BROKEN, reason=str(error), count=len(self._logins))  # noqa: TRY400 - no bug
        else:
            log.info(Event.LOGINS, file=self._path, count=len(self._logins))

    def close(self) -> None:
        """Check nothing more; who still waits hears that it was cancelled."""
        self._threads.shutdown(cancel_futures=True)


def content(path: Path) -> str:
    """The text of the file at ``path``, if it is a file that only its owner may write.

    Whoever may write it may make themselves a sender; whoever may read it
    may try passwords as fast as they like. Raises LoginsError.
    """
    try:
        with open(path, "rb", opener=_at_once) as file:
            _guard(path, os.fstat(file.fileno()))
            octets = file.read(FILE_MAX + 1)
    except OSError as error:
        raise LoginsError(f"{path}: {error.strerror}") from None
    if len(octets) > FILE_MAX:
        raise LoginsError(f"{path}: more than {FILE_MAX:,} bytes")
    try:
        return octets.decode()
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        raise LoginsError(f"{path}:{line}: not UTF-8") from None


def _at_once(path: str, flags: int) -> int:
    """Open without waiting, for a pipe has nobody at its other end."""
    return os.open(path, flags | os.O_NONBLOCK)


def _guard(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise LoginsError(f"{path}: no file")
    if status.st_mode & 0o022:
        raise LoginsError(f"{path}: others than its owner may write it; chmod 640 {path} mends that")
    if status.st_mode & 0o007:
        raise LoginsError(f"{path}: everybody may read it; chmod 640 {path} mends that")


def entries(text: str, path: Path) -> dict[str, Entry]:
    """The logins in ``text``, by name; raises LoginsError with ``path:line``."""
    found: dict[str, Entry] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            entry = _entry(number, line.removesuffix("\r"))
        except ValueError as error:
            raise LoginsError(f"{path}:{number}: {error}") from None
        name = entry.login.name
        if name in found:
            raise LoginsError(f"{path}:{number}: {name} stands in line {found[name].line} already")
        found[name] = entry
    return found


def _entry(number: int, line: str) -> Entry:
    fields = line.split(":")
    if len(fields) != 3:  # noqa: PLR2004 - name, hash and addresses
        raise ValueError(f"{len(fields)} fields; a login is name:hash:address,address")
    if not NAME.fullmatch(fields[0]):
        raise ValueError("a name is 1 to 64 letters, digits and . _ @ + -")
    try:
        kept = Hash.read(fields[1])
    except HashError as error:
        raise ValueError(f"the hash of {fields[0]}: {error}") from None
    owns = tuple(address(each.strip()) for each in fields[2].split(","))
    return Entry(number, Login(fields[0], owns), kept)


def address(text: str) -> str:
    """``text``, if it is one plain address; raises ValueError."""
    if len(text) > _ADDRESS_MAX or not _ADDRESS.fullmatch(text):
        raise ValueError(f"{printable(text, 80)!r} is no address; whole and plain, such as ana@example.com")
    return text

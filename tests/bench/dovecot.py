"""A Dovecot of the bench's own on loopback, and mailboxes in it that all begin alike."""

from __future__ import annotations

import getpass
import os
import pwd
import re
import socket
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tests.bench.missing import Missing, program
from tests.bench.processes import DrainError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

#: Seconds for Dovecot to be up, or to be gone.
PATIENCE = 30
PASSWORD = "secret"
PACKAGES = "dovecot-imapd"

#: As Debian ships it, but for the places, the port, the password and the time in the log.
_CONFIG = """\
protocols = imap
listen = 127.0.0.1
base_dir = {root}/run
state_dir = {root}/state
log_path = {root}/log
log_timestamp = "%s.%{{usecs}} "
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain login
mail_location = maildir:~/Maildir
first_valid_uid = 1
namespace inbox {{
  inbox = yes
  separator = /
}}
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={root}/homes/%u allow_all_users=yes
}}
service imap-login {{
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
"""
#: Who is not root can give nothing to other users.
_PLAIN_USER = """\
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
service imap-login {{
  chroot =
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
"""

_LOGIN = r"^(\d+\.\d+) imap-login: Info: Login: user=<{}>"


@dataclass(frozen=True)
class Owner:
    """Whose the mailboxes are: Dovecot gives root none."""

    name: str
    uid: int
    gid: int

    @classmethod
    def here(cls) -> Owner:
        """This user, or a powerless one in the place of root."""
        found = pwd.getpwnam("nobody" if os.geteuid() == 0 else getpass.getuser())
        return cls(found.pw_name, found.pw_uid, found.pw_gid)

    def take(self, path: Path) -> None:
        """Make ``path`` theirs."""
        os.chown(path, self.uid, self.gid)


@dataclass(frozen=True)
class Account:
    """A mailbox, and how to get in."""

    user: str
    port: int
    maildir: Path
    host: str = "127.0.0.1"
    password: str = PASSWORD

    def through(self, port: int) -> Account:
        """The same mailbox by another port."""
        return replace(self, port=port)

    def count(self, folder: str = "") -> int:
        """How many mails are in INBOX, or in the folder of that name."""
        return count(self._place(folder))

    def changed(self, *folders: str) -> float:
        """When a mail last came into INBOX or one of ``folders``, or went (seconds since 1970)."""
        places = [self._place(folder) / kind for folder in ("", *folders) for kind in ("new", "cur")]
        return max(place.stat().st_mtime for place in places)

    def _place(self, folder: str) -> Path:
        return self.maildir / f".{folder}" if folder else self.maildir


def count(maildir: Path) -> int:
    """How many mails are in a Maildir."""
    found = 0
    for kind in ("new", "cur"):
        with suppress(FileNotFoundError):
            found += len(os.listdir(maildir / kind))  # noqa: PTH208 - nothing but a count, and often
    return found


def fill(maildir: Path, mails: Iterable[bytes], owner: Owner) -> None:
    """Make a Maildir as Dovecot's own delivery makes it: LF line ends, and both sizes in the name."""
    _make(maildir, owner)
    for at, mail in enumerate(mails):
        kept = mail.replace(b"\r\n", b"\n")
        path = maildir / "new" / f"{1_795_000_000 + at}.M{at:06}P1.bench,S={len(kept)},W={len(mail)}"
        path.write_bytes(kept)
        owner.take(path)


def _make(maildir: Path, owner: Owner) -> None:
    for path in (maildir, *(maildir / name for name in ("cur", "new", "tmp"))):
        path.mkdir(parents=True)
        owner.take(path)


@dataclass
class Dovecot:
    """A server that runs; ``pid`` is that of its master."""

    root: Path
    port: int
    pid: int
    owner: Owner
    accounts: int = 0

    def account(self, template: Path) -> Account:
        """A new mailbox with the mails of ``template``: the same files, since nobody writes into a mail."""
        self.accounts += 1
        user = f"specs{self.accounts}"
        home = self.root / "homes" / user
        home.mkdir()
        self.owner.take(home)
        _make(home / "Maildir", self.owner)
        for mail in os.scandir(template / "new"):
            os.link(mail.path, home / "Maildir" / "new" / mail.name)
        return Account(user, self.port, home / "Maildir")

    def log(self) -> str:
        """What it has logged so far."""
        return (self.root / "log").read_text(errors="replace")

    def login(self, user: str) -> float | None:
        """When a user first logged in (seconds since 1970)."""
        found = re.search(_LOGIN.format(user), self.log(), re.MULTILINE)
        return float(found[1]) if found else None

    @contextmanager
    def watching(self, user: str, seen: Callable[[float], None]) -> Iterator[None]:
        """Call ``seen`` once, with the time at which a user logs in while the context lasts."""
        over = threading.Event()

        def watch() -> None:
            size = 0
            while not over.wait(0.005):
                grown = (self.root / "log").stat().st_size
                at = self.login(user) if grown != size else None
                size = grown
                if at:
                    seen(at)
                    return

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def version() -> str:
    """Dovecot's, as it names it; raises Missing."""
    command = [program("dovecot", PACKAGES), "--version"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@contextmanager
def running(root: Path) -> Iterator[Dovecot]:
    """A server with all it has under ``root``; raises Missing."""
    if not version().startswith("2.3"):
        raise Missing(f"{PACKAGES} of Debian 12: the configuration is Dovecot 2.3's")
    owner = Owner.here()
    port = _free_port()
    _furnish(root, port, owner)
    process = subprocess.Popen([program("dovecot", PACKAGES), "-F", "-c", str(root / "dovecot.conf")])
    try:
        _await_up(process, port)
        yield Dovecot(root, port, process.pid, owner)
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _furnish(root: Path, port: int, owner: Owner) -> None:
    for name in ("run", "state", "homes"):
        (root / name).mkdir(parents=True)
    (root / "log").touch()
    config = _CONFIG.format(root=root, port=port, password=PASSWORD, uid=owner.uid, gid=owner.gid)
    if os.geteuid() != 0:
        config += _PLAIN_USER.format(user=owner.name, group=owner.gid)
    (root / "dovecot.conf").write_text(config)


def _await_up(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as client:
            client.settimeout(PATIENCE)
            if client.recv(100).startswith(b"* OK"):
                return
        time.sleep(0.05)
    raise DrainError("Dovecot does not start")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port

"""Debian's Postfix, as it stands before the daemon: instances of a test's own, beside any that runs."""

from __future__ import annotations

import os
import re
import shutil
import smtplib
import socket
import subprocess
import tempfile
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

from tests.fix_house import US
from tests.parts import need

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Seconds for what takes well under one, on a machine that has other work too.
PATIENCE = 60

POSTFIX = shutil.which("postfix", path=f"{os.environ.get('PATH', '')}:/usr/sbin")

#: What the README asks of everybody.
SETTINGS = {
    "smtpd_forbid_bare_newline": "normalize",
    "smtpd_forbid_bare_newline_exclusions": "",
    "lmtp_line_length_limit": "0",
    "lmtp_destination_recipient_limit": "1",
}

#: The socket that the daemon is reached by, as Postfix names it, within the chroot of its lmtp client or not.
SOCKET = "private/specpost"

#: One more address of ours, and one that is reached over TCP instead.
US_TOO, US_BY_TCP = "plans@example.net", "specs-by-tcp@example.net"

AUTHSERV_ID = "mx.example.net"

#: Who checks signatures is a milter; here each mail is said to be signed by example.org. All that a mail says
#: of itself is taken out: a pattern for our own name would not see it between quotes or after a comment.
OWN_CLAIMS = "{/^Authentication-Results[[:space:]]*:/ IGNORE}"
_MILTER = f"{{/^From:/ PREPEND Authentication-Results: {AUTHSERV_ID}; dkim=pass header.d=example.org}}"

_MAIN_CF = f"""\
compatibility_level = 3.6
maillog_file = /dev/stdout
myhostname = mx.example.net
mydestination = example.net
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
recipient_delimiter = +
local_recipient_maps = inline:{{ specs=here, plans=here, specs-by-tcp=here }}
header_checks = regexp:{{ {OWN_CLAIMS}, {_MILTER} }}
# Whatever is for others, such as a bounce, stays in the queue, where it can be looked at.
default_transport = retry:nobody else is here
"""

#: As Debian's, without what no test needs, and lmtp in its chroot as there.
_MASTER_CF = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup   unix       n - n 60 1 pickup
cleanup  unix       n - n - 0 cleanup
qmgr     unix       n - n 300 1 qmgr
rewrite  unix       - - n - - trivial-rewrite
bounce   unix       - - n - 0 bounce
defer    unix       - - n - 0 bounce
trace    unix       - - n - 0 bounce
flush    unix       n - n 1000? 0 flush
proxymap unix       - - n - - proxymap
lmtp     unix       - - y - - lmtp
error    unix       - - n - - error
retry    unix       - - n - - error
anvil    unix       - - n - 1 anvil
scache   unix       - - n - 1 scache
postlog  unix-dgram n - n - 1 postlogd
"""


class Delivery(NamedTuple):
    """What became of a mail for one of its recipients; ``text`` is the peer's answer, as Postfix tells it."""

    recipient: str
    status: str
    text: str


@dataclass
class Log:
    """What Postfix logs, line by line as it comes."""

    lines: list[str] = field(default_factory=list)
    grown: threading.Condition = field(default_factory=threading.Condition)

    def follow(self, stream: IO[str]) -> None:
        """Read to the end."""
        for line in stream:
            with self.grown:
                self.lines.append(line.rstrip("\n"))
                self.grown.notify_all()

    def wait_for(self, pattern: str, count: int = 1) -> list[re.Match[str]]:
        """The first ``count`` matches, once there are so many."""
        with self.grown:
            self.grown.wait_for(lambda: len(self.find(pattern)) >= count, PATIENCE)
            found = self.find(pattern)
        assert len(found) >= count, "\n".join([f"no {pattern} among:", *self.lines])
        return found[:count]

    def find(self, pattern: str) -> list[re.Match[str]]:
        """All matches so far, at most one in a line."""
        return [match for line in self.lines if (match := re.search(pattern, line))]


@dataclass(frozen=True)
class Postfix:
    """An instance that runs; ``root`` holds all it has."""

    root: Path
    port: int
    log: Log

    @property
    def socket(self) -> Path:
        """Where it looks for the daemon."""
        return self.root / "queue" / SOCKET

    def admit(self, path: Path) -> None:
        """Give a socket to Postfix's user alone, as the socket unit does."""
        shutil.chown(path, "postfix", "postfix")
        path.chmod(0o600)

    def mail(self, raw: bytes, *recipients: str, sender: str = "ana@example.org") -> str:
        """Hand over a mail with a real client; its id in the queue."""
        with smtplib.SMTP("127.0.0.1", self.port, timeout=PATIENCE) as client:
            client.ehlo()
            client.mail(sender)
            for recipient in recipients or (US,):
                client.rcpt(recipient)
            code, answer = client.data(raw)
        assert code == 250, answer
        return answer.decode().rpartition(" ")[2]

    def deliveries(self, queue_id: str, count: int = 1) -> list[Delivery]:
        """The first ``count`` attempts to deliver a mail to a recipient, once there were so many."""
        attempt = rf"/(?:lmtp|error)\[\d+\]: {queue_id}: to=<(.*?)>, .*status=(\w+) \((.*)\)$"
        return [Delivery(*match.groups()) for match in self.log.wait_for(attempt, count)]

    def await_gone(self, queue_id: str) -> None:
        """Return when the queue has done with a mail."""
        self.log.wait_for(rf"/qmgr\[\d+\]: {queue_id}: removed$")

    def bounce_of(self, queue_id: str) -> str:
        """The notification that a mail's sender gets."""
        (match,) = self.log.wait_for(rf"{queue_id}: sender non-delivery notification: (\w+)$")
        return self.run("postcat", "-bhq", match[1])

    def flush(self) -> None:
        """Have all that is deferred tried again, now."""
        self.run("postqueue", "-f")

    def run(self, command: str, *args: str) -> str:
        """What one of Postfix's commands says of this instance."""
        return _run(command, self.root, *args)


def _run(command: str, root: Path, *args: str) -> str:
    full = [shutil.which(command, path=f"{os.environ.get('PATH', '')}:/usr/sbin") or command]
    done = subprocess.run(
        [*full, "-c", str(root / "etc"), *args], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def new_postfix(tcp_port: int, *, only_tcp: bool = False, **settings: str) -> Iterator[Postfix]:
    """An instance that is up; ``settings`` go over the README's.

    The daemon is looked for on a port of loopback for US_BY_TCP, and for
    everybody if ``only_tcp``.
    """
    need(POSTFIX, "apt-get install postfix (when it asks: No configuration)")
    need(os.geteuid() == 0, "run the tests as root, who alone can start Postfix")
    tcp = f"lmtp:inet:127.0.0.1:{tcp_port}"
    unix = tcp if only_tcp else f"lmtp:unix:{SOCKET}"
    transports = {"transport_maps": f"inline:{{ {US}={unix}, {US_TOO}={unix}, {US_BY_TCP}={tcp} }}"}
    with tempfile.TemporaryDirectory(prefix="specpost-postfix-") as folder:
        root = Path(folder)
        port = free_port()
        _furnish(root, port, SETTINGS | transports | settings)
        with _started(root) as log:
            yield Postfix(root, port, log)


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


def _furnish(root: Path, port: int, settings: dict[str, str]) -> None:
    """Postfix makes what belongs into its queue itself; the folder must let its user through."""
    root.chmod(0o755)
    for name in ("etc", "queue", "data"):
        (root / name).mkdir()
        (root / name).chmod(0o755)
    shutil.chown(root / "data", "postfix")
    places = {"queue_directory": root / "queue", "data_directory": root / "data"}
    lines = [f"{name} = {value}" for name, value in (places | settings).items()]
    (root / "etc" / "main.cf").write_text(_MAIN_CF + "\n".join(lines) + "\n")
    (root / "etc" / "master.cf").write_text(_MASTER_CF.format(port=port))


@contextmanager
def _started(root: Path) -> Iterator[Log]:
    """In the foreground, so that the log comes to us; it ends only when Postfix's own command says so."""
    assert POSTFIX
    log = Log()
    process = subprocess.Popen(
        [POSTFIX, "-c", str(root / "etc"), "start-fg"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout
    follower = threading.Thread(target=log.follow, args=(process.stdout,))
    follower.start()
    try:
        log.wait_for(r"/master\[\d+\]: daemon started")
        yield log
    finally:
        _run("postfix", root, "stop")
        process.wait(PATIENCE)
        follower.join(PATIENCE)  # the log's end: no process of Postfix is left to write to it
        process.stdout.close()
    assert not follower.is_alive()

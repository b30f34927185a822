"""An instance of Debian's Postfix for one run, beside any that runs: all it has is in one folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.bench import processes
from tests.bench.missing import Missing, program
from tests.bench.processes import DrainError, run
from tests.fix_postfix import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

#: Seconds for it to be up, to be gone, or to answer a command.
PATIENCE = 30
#: Seconds between two looks whether it is up.
LOOK_EVERY = 0.02

#: As it ships but for the places and two things: whoever posts on loopback stands for a stranger, whose
#: header is left alone, and the largest mail of the bench is welcome.
_MAIN_CF = """\
compatibility_level = 3.6
maillog_file = /dev/stdout
queue_directory = {root}/queue
data_directory = {root}/data
myhostname = mx.example.net
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
local_header_rewrite_clients =
message_drop_headers =
message_size_limit = 52428800
"""

#: As it ships, without what nobody here needs; "-" is its default of 100 processes of each kind.
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
error    unix       - - n - - error
retry    unix       - - n - - error
anvil    unix       - - n - 1 anvil
scache   unix       - - n - 1 scache
postlog  unix-dgram n - n - 1 postlogd
"""


@dataclass(frozen=True)
class Postfix:
    """An instance that is up; ``pid`` is what all its processes descend from."""

    root: Path
    port: int
    pid: int

    @property
    def queue(self) -> Path:
        """Its queues, a folder for each."""
        return self.root / "queue"

    @property
    def log(self) -> Path:
        """What it logs."""
        return self.root / "log"

    def run(self, command: str, *args: str) -> str:
        """What one of Postfix's commands says of this instance."""
        return run([program(command, "postfix"), "-c", str(self.root / "etc"), *args], PATIENCE)


def version() -> str:
    """Its own words for it; raises Missing."""
    said = run([program("postconf", "postfix"), "-d", "mail_version"], PATIENCE)
    if os.geteuid() != 0:
        raise Missing("run the bench as root, who alone can start Postfix")
    return f"Postfix {said.split()[-1]}"


@contextmanager
def running(root: Path, settings: Mapping[str, str], transport: str = "") -> Iterator[Postfix]:
    """An instance whose main.cf ends with ``settings``, and whose master.cf with ``transport``."""
    port = free_port()
    _furnish(root, port, settings, transport)
    command = [program("postfix", "postfix"), "-c", str(root / "etc"), "start-fg"]
    with (root / "log").open("ab") as log:
        # A session of its own: Ctrl-C is for us, who end it in order.
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    postfix = Postfix(root, port, process.pid)
    try:
        _await_up(postfix, process)
        yield postfix
    finally:
        if process.poll() is None:
            _stop(postfix, process)


def _furnish(root: Path, port: int, settings: Mapping[str, str], transport: str) -> None:
    """Postfix makes what belongs into its queue itself; the folder must let its user through."""
    root.chmod(0o755)
    for name in ("etc", "queue", "data"):
        (root / name).mkdir()
    shutil.chown(root / "data", "postfix")
    lines = [f"{name} = {value}\n" for name, value in settings.items()]
    (root / "etc" / "main.cf").write_text(_MAIN_CF.format(root=root) + "".join(lines))
    (root / "etc" / "master.cf").write_text(_MASTER_CF.format(port=port) + transport)


def _stop(postfix: Postfix, process: subprocess.Popen[bytes]) -> None:
    """Once it is up, for before that it can't be told to stop.

    Its daemons go a little after their master, and a script that one of them
    has started when that is done.
    """
    _await_up(postfix, process)
    started = processes.tree(process.pid)
    postfix.run("postfix", "stop")
    process.wait(PATIENCE)
    processes.await_end(started, PATIENCE)


def _await_up(postfix: Postfix, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while "daemon started" not in (said := postfix.log.read_text()):
        if process.poll() is not None or time.monotonic() > deadline:
            raise DrainError(f"Postfix does not start: {said[-1000:]}")
        time.sleep(LOOK_EVERY)

"""The daemon as its users run it: a process of its own, started by the command."""

from __future__ import annotations

import json
import os
import signal
import smtplib
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from daemon import whereabouts
from tests.fix_house import US

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fix_database import Database

REPO = Path(__file__).resolve().parent.parent
SHARED = REPO.parent / "shared"

#: Seconds for a daemon to be up, or to be gone.
PATIENCE = 60


def specpost(
    *args: str, env: dict[str, str] | None = None, given: bytes = b"", timeout: float = PATIENCE
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; what it printed is text."""
    done = subprocess.run(
        [sys.executable, "-m", "daemon", *args],
        env=environment(env or {}),
        input=given,
        capture_output=True,
        timeout=timeout,
        check=False,
        cwd=REPO,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def environment(changes: dict[str, str]) -> dict[str, str]:
    """This process's environment without what would configure or notify a daemon."""
    usual = {k: v for k, v in os.environ.items() if not k.startswith(("SPECPOST_", "NOTIFY_", "LISTEN_"))}
    return usual | {"SPECPOST_CONFIG": os.devnull} | changes


@dataclass
class Daemon:
    """A daemon that runs; ``env`` makes other commands see the same configuration."""

    process: subprocess.Popen[bytes]
    env: dict[str, str]
    state_dir: Path
    log_file: Path

    @property
    def smtp(self) -> tuple[str, int]:
        """Where it takes mail."""
        found = whereabouts.find(self.state_dir)
        assert found, "the daemon has published no run.json"
        host, _, port = found.smtp[0].rpartition(":")
        return host, int(port)

    def mail(self, raw: bytes, sender: str = "ana@example.org", recipient: str = US) -> tuple[int, str]:
        """Mail ``raw`` with a real client; the answer to its data."""
        with smtplib.SMTP(*self.smtp, timeout=PATIENCE) as client:
            client.ehlo()
            client.mail(sender)
            client.rcpt(recipient)
            code, text = client.data(raw)
        return code, text.decode()

    def log(self) -> list[dict[str, Any]]:
        """What it has logged so far."""
        return [json.loads(line) for line in self.log_file.read_text().splitlines() if line.startswith("{")]

    def events(self) -> list[str]:
        """The names of what it has logged so far."""
        return [line["event"] for line in self.log()]

    def await_event(self, name: str, times: int = 1) -> None:
        """Return once it has logged ``name`` so often."""
        deadline = time.monotonic() + PATIENCE
        while self.events().count(name) < times:
            assert time.monotonic() < deadline, self.events()
            time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end; its exit status."""
        self.process.send_signal(how)
        return self.process.wait(PATIENCE)


@contextmanager
def new_daemon(folder: Path, *, listen: str | None = "127.0.0.1:0", **variables: str) -> Iterator[Daemon]:
    """A daemon that is up, with its state under ``folder`` and ``variables`` as its configuration.

    With ``listen`` None its configuration says where it listens.
    """
    state_dir = folder / "state"
    env = {
        "SPECPOST_STATE_DIR": str(state_dir),
        "SPECPOST_SMTP__RECIPIENTS": US,
        "SPECPOST_LOG__FORMAT": "json",
    } | variables
    if listen:
        env.setdefault("SPECPOST_SMTP__LISTEN", listen)
    folder.mkdir(exist_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bell, (folder / "log").open("ab") as log:
        (folder / "notify").unlink(missing_ok=True)
        bell.bind(str(folder / "notify"))
        bell.settimeout(PATIENCE)
        process = subprocess.Popen(
            [sys.executable, "-m", "daemon", "run"],
            env=environment(env | {"NOTIFY_SOCKET": str(folder / "notify")}),
            stderr=log,
            cwd=REPO,
        )
        try:
            _await_ready(process, bell, folder / "log")
            yield Daemon(process, env, state_dir, folder / "log")
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(PATIENCE)


def _await_ready(process: subprocess.Popen[bytes], bell: socket.socket, log: Path) -> None:
    bell.settimeout(0.5)
    while True:
        assert process.poll() is None, log.read_text()
        try:
            if b"READY=1" in bell.recv(4096).splitlines():
                return
        except TimeoutError:
            continue


@pytest.fixture
def daemon(database: Database, tmp_path: Path) -> Iterator[Daemon]:
    """A daemon on a database of its own."""
    with new_daemon(tmp_path / "daemon", SPECPOST_DATABASE__URL=database.url) as running:
        yield running

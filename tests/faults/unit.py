"""The service as systemd keeps it: started, watched, restarted when it fails, and stopped in order."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from threading import Condition, Thread
from typing import TYPE_CHECKING

from tests.fix_daemon import PATIENCE, REPO, environment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

#: Seconds between an end and the next start (RestartSec=), and from SIGABRT or SIGTERM to the last resort.
RESTART, ABORT, STOP = 0.1, 5.0, 45.0
#: The exit status after which nobody tries again (RestartPreventExitStatus=).
MISCONFIGURED = 78

RUN = ("-m", "daemon", "run")


@dataclass
class Unit:
    """Keeps one service, with its log in ``folder``; ``watchdog`` are seconds (WatchdogSec=), 0 for none.

    It is restarted after a signal or an exit status that isn't 0
    (Restart=on-failure).
    """

    folder: Path
    env: Mapping[str, str]
    command: Sequence[str] = RUN
    watchdog: float = 0.0
    ends: list[int] = field(default_factory=list)
    """How each of its processes ended: an exit status, or a signal below 0."""
    pids: list[int] = field(default_factory=list)
    """All of them, in their order."""
    _readies: int = 0
    _is_ready: bool = False
    _stopping: bool = False
    _process: subprocess.Popen[bytes] | None = None
    _changed: Condition = field(default_factory=Condition)
    _thread: Thread | None = None

    @property
    def log(self) -> Path:
        """What all of its processes said."""
        return self.folder / "log"

    @property
    def pid(self) -> int:
        """The process that runs now, or ran last."""
        return self.pids[-1]

    def start(self) -> None:
        """Start it; it is ready when this returns."""
        self.folder.mkdir(exist_ok=True)
        self._thread = Thread(target=self._keep, name="unit")
        self._thread.start()
        self.await_ready()

    def await_ready(self) -> None:
        """Return when it is up."""
        self._await(lambda: self._is_ready)

    def await_end(self, ends: int) -> None:
        """Return when so many of its processes have ended."""
        self._await(lambda: len(self.ends) >= ends)

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to the process that runs now, or to the next one."""
        self._await(lambda: len(self.pids) > len(self.ends))
        with self._changed:
            assert self._process
            if number == signal.SIGKILL:
                self._is_ready = False  # so that who waits for it waits for the next
            self._process.send_signal(number)

    def stop(self) -> int:
        """Ask it to end, and start no other; its exit status."""
        with self._changed:
            self._stopping = True
            if self._process:
                self._process.send_signal(signal.SIGTERM)
                self._process.send_signal(signal.SIGCONT)
        assert self._thread
        self._thread.join(STOP)
        if self._thread.is_alive() and self._process:
            self._process.kill()
            self._thread.join()
        return self.ends[-1]

    def _await(self, happened: Callable[[], bool]) -> None:
        with self._changed:
            done = self._changed.wait_for(happened, PATIENCE)
        assert done, f"ended with {self.ends}: {self.log.read_text()[-4000:]}"

    def _keep(self) -> None:
        while self._live() and not self._stopping:
            time.sleep(RESTART)

    def _live(self) -> bool:
        """One life of the service, from its start to its end; whether it needs another."""
        place = (
            self.folder / f"notify-{len(self.pids)}"
        )  # a new one, else the last word of a dead one is heard
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bell, self.log.open("ab") as log:
            bell.bind(os.fspath(place))
            bell.settimeout(0.02)
            with self._changed:
                process = self._process = self._launch(place, log)
                self.pids.append(process.pid)
                self._changed.notify_all()
                if self._stopping:
                    process.terminate()
            self._attend(process, bell)
        place.unlink()
        with self._changed:
            self._is_ready = False
            self.ends.append(process.returncode)
            self._changed.notify_all()
        return process.returncode not in {0, MISCONFIGURED}

    def _launch(self, bell: Path, log: object) -> subprocess.Popen[bytes]:
        env = dict(self.env) | {"NOTIFY_SOCKET": os.fspath(bell)}
        if self.watchdog:
            env["WATCHDOG_USEC"] = str(round(self.watchdog * 1_000_000))
        return subprocess.Popen(
            [sys.executable, *self.command],
            env=environment(env),
            stderr=log,
            cwd=REPO,
            start_new_session=True,
        )

    def _attend(self, process: subprocess.Popen[bytes], bell: socket.socket) -> None:
        fed = None
        while process.poll() is None:
            try:
                words = bell.recv(4096).splitlines()
            except TimeoutError:
                words = []
            if b"READY=1" in words:
                with self._changed:
                    self._is_ready = True
                    self._changed.notify_all()
            if b"READY=1" in words or b"WATCHDOG=1" in words:
                fed = time.monotonic()
            if self.watchdog and fed and time.monotonic() > fed + self.watchdog:
                self._abort(process)

    def _abort(self, process: subprocess.Popen[bytes]) -> None:
        """As systemd does: a process that is stopped couldn't die of SIGABRT, so it is woken for it."""
        process.send_signal(signal.SIGABRT)
        process.send_signal(signal.SIGCONT)
        try:
            process.wait(ABORT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

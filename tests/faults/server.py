"""A PostgreSQL server that a fault has for itself: stopped, killed, paused, and started again."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from db import embedded
from tests.fix_daemon import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from db.embedded import Server

#: What it has committed outlives the server, and need not outlive the machine.
SETTINGS = {"fsync": "off", "full_page_writes": "off"}


@dataclass
class OwnServer:
    """The embedded server in a folder of its own."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    _server: Server | None = None

    @property
    def server(self) -> Server:
        """Where it is, running or not."""
        assert self._server
        return self._server

    def start(self) -> None:
        """Start it; it answers when this returns."""
        with embedded.running(self.folder, keep=True, options=SETTINGS | self.settings) as self._server:
            pass

    def end(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """End it, by SIGQUIT (``pg_ctl stop -m immediate``), SIGINT (``-m fast``) or SIGKILL."""
        pid = embedded._postmaster(self.server.data_dir)
        assert pid
        assert embedded._end(pid, how, PATIENCE)

    @contextmanager
    def paused(self, what: str = "") -> Iterator[None]:
        """Let none of its processes run, or none with ``what`` in its title, such as a database's name."""
        pids = [pid for pid in self._pids() if what in _title(pid)]
        assert pids
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def _pids(self) -> list[int]:
        folder = self.server.data_dir
        numbers = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
        return [pid for pid in numbers if embedded._works_in(pid, folder)]


def _title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except OSError:
        return ""


@contextmanager
def new_server(folder: Path, **settings: str) -> Iterator[OwnServer]:
    """One that is up; whatever became of it, it is gone at the end."""
    own = OwnServer(folder, settings)
    own.start()
    try:
        yield own
    finally:
        with embedded.running(folder):
            pass

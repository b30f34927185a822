"""A server that is one program: started, awaited, ended."""

from __future__ import annotations

import socket
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.bench.processes import DrainError
from tests.fix_daemon import REPO

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

#: Seconds for it to be up, or to be gone, and between two looks whether it is up.
PATIENCE = 30
LOOK_EVERY = 0.02
HOST = "127.0.0.1"


@contextmanager
def launched(command: Sequence[str], port: int, log: Path) -> Iterator[int]:
    """The pid of what listens on ``port`` once it does; what it says is in ``log``."""
    with log.open("ab") as said, subprocess.Popen(command, stdout=said, stderr=said, cwd=REPO) as process:
        try:
            _await_up(process, port, log)
            yield process.pid
        finally:
            process.terminate()
            _await_end(process)


def _await_up(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not _listens(port):
        if process.poll() is not None or time.monotonic() > deadline:
            raise DrainError(f"{process.args[0]} does not start: {log.read_text()[-1000:]}")
        time.sleep(LOOK_EVERY)


def _listens(port: int) -> bool:
    try:
        with socket.create_connection((HOST, port), PATIENCE) as client:
            return client.recv(1) == b"2"
    except OSError:
        return False


def _await_end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()

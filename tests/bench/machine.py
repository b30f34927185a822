"""The machine that the figures are from: without it they mean nothing."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

#: Writes of a mail's size that are made durable one after the other, and new files.
TIMES, BYTES = 100, 20_000


@dataclass(frozen=True)
class Machine:
    """What a figure depends on, and how busy the machine was before we came."""

    cpu: str
    cores: int
    memory_mb: int
    kernel: str
    python: str
    fsync_ms: float
    file_ms: float
    load: float

    def __str__(self) -> str:
        return (
            f"{self.cores} cores of {self.cpu}, {self.memory_mb / 1024:.0f} GB, Linux {self.kernel},"
            f" Python {self.python}; fsync of {BYTES // 1000} KB {self.fsync_ms:.2f} ms and a new file"
            f" {self.file_ms:.3f} ms (medians), load {self.load:.1f}"
        )


def apart(folder: Path) -> None:
    """Have what is in ``folder`` lie apart from its neighbours, where the file system is ext4.

    It gives no inode away again for minutes, and passes over those that were
    deleted lately one by one: beside a run of tests a new file in /tmp took
    0.7 ms for 0.02.
    """
    if chattr := shutil.which("chattr"):
        subprocess.run([chattr, "+T", str(folder)], capture_output=True, check=False)


def describe(folder: Path) -> Machine:
    """This machine, with the disk that ``folder`` is on."""
    return Machine(
        cpu=_field("/proc/cpuinfo", "model name") or platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        memory_mb=int(_field("/proc/meminfo", "MemTotal").split()[0]) // 1024,
        kernel=platform.release(),
        python=platform.python_version(),
        fsync_ms=_fsync(folder / "fsync") * 1000,
        file_ms=_create(folder / "files") * 1000,
        load=os.getloadavg()[0],
    )


def _field(file: str, name: str) -> str:
    for line in Path(file).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""


def _fsync(path: Path) -> float:
    """Seconds that a mail's bytes take to the disk."""
    took = []
    with path.open("wb") as file:
        for _ in range(TIMES):
            file.write(os.urandom(BYTES))
            file.flush()
            begin = time.perf_counter()
            os.fsync(file.fileno())
            took.append(time.perf_counter() - begin)
    path.unlink()
    return median(took)


def _create(folder: Path) -> float:
    """Seconds that a new file takes."""
    folder.mkdir()
    took = []
    for number in range(TIMES):
        begin = time.perf_counter()
        (folder / str(number)).touch()
        took.append(time.perf_counter() - begin)
    return median(took)

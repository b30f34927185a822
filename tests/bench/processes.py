"""What processes cost, by the kernel's own count: ours is everything that this process has started."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_TICK = os.sysconf("SC_CLK_TCK")
#: Seconds between two looks at how much memory is in use, or who is still there.
LOOK_EVERY = 0.05


class DrainError(Exception):
    """A run did not do what it is measured for, so that its time means nothing."""


@dataclass(frozen=True)
class _Process:
    pid: int
    parent: int
    cpu: float
    """Seconds, those of its children that it has waited for included."""


def cpu(*, of: int | None = None) -> float:
    """Seconds of CPU that everything this process started has used, or only ``of`` and what that started."""
    table = _table()
    within = _descendants(table, of or os.getpid())
    if of in table:
        return table[of].cpu + sum(table[pid].cpu for pid in within)
    waited_for = os.times()
    return waited_for.children_user + waited_for.children_system + sum(table[pid].cpu for pid in within)


def _table() -> dict[int, _Process]:
    found = (_process(Path(entry.path)) for entry in os.scandir("/proc") if entry.name.isdecimal())
    return {process.pid: process for process in found if process}


def _process(entry: Path) -> _Process | None:
    try:
        text = (entry / "stat").read_text()
    except OSError:  # gone meanwhile
        return None
    fields = text.rpartition(")")[2].split()  # from the third on (proc(5)); a name may hold anything
    return _Process(int(entry.name), int(fields[1]), sum(map(int, fields[11:15])) / _TICK)


def _descendants(table: dict[int, _Process], root: int) -> set[int]:
    children: dict[int, list[int]] = {}
    for process in table.values():
        children.setdefault(process.parent, []).append(process.pid)
    found: set[int] = set()
    waiting = [root]
    while waiting:
        new = children.get(waiting.pop(), [])
        found.update(new)
        waiting += new
    return found


def tree(root: int) -> set[int]:
    """``root`` and all that it started, and they."""
    return {root} | _descendants(_table(), root)


def await_end(pids: set[int], timeout: float) -> None:
    """Return when none of them runs any more; raises DrainError after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while left := sorted(filter(_runs, pids)):
        if time.monotonic() > deadline:
            raise DrainError(f"processes {left} do not end")
        time.sleep(LOOK_EVERY)


def _runs(pid: int) -> bool:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] != "Z"  # ended, but nobody has asked how


def memory(*, of: int) -> int:
    """Bytes of memory that ``of`` and what it started hold: what they share is counted once (PSS)."""
    return sum(map(_pss, tree(of)))


def _pss(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


@contextmanager
def peak(pid: int) -> Iterator[list[int]]:
    """The most memory that ``pid`` and what it started held together; complete when the context ends."""
    most = [0]
    over = threading.Event()

    def look() -> None:
        while not over.wait(LOOK_EVERY):
            most[0] = max(most[0], memory(of=pid))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield most
    finally:
        over.set()
        thread.join()


def run(command: Sequence[str], timeout: float, **how: Any) -> str:
    """What a program prints; raises DrainError when it fails or takes too long."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=timeout, check=False, **how
        )
    except subprocess.TimeoutExpired:
        raise DrainError(f"{command[0]} was not done within {timeout:.0f} s") from None
    if done.returncode:
        said = (done.stderr + done.stdout).strip().splitlines()
        raise DrainError(f"{command[0]} ended with {done.returncode}: {' / '.join(said[-3:])}")
    return done.stdout

"""``<state_dir>/run.json``: where the running daemon can be reached, for the commands beside it."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """A daemon that runs: its process, and where it takes mail (``host:port``)."""

    pid: int
    smtp: list[str]


@contextmanager
def published(state_dir: Path, smtp: Sequence[str]) -> Iterator[None]:
    """Publish this process's whereabouts for as long as the context lasts."""
    here = Whereabouts(os.getpid(), list(smtp))
    unfinished = _file(state_dir).with_name(f"run.json.{here.pid}")
    unfinished.write_text(json.dumps(asdict(here)) + "\n")
    unfinished.replace(_file(state_dir))
    try:
        yield
    finally:
        if (now := find(state_dir)) and now.pid == here.pid:
            _file(state_dir).unlink(missing_ok=True)


def find(state_dir: Path) -> Whereabouts | None:
    """The daemon that runs on this state, if one does; what a killed one left is not believed."""
    with suppress(OSError, ValueError, TypeError):
        found = Whereabouts(**json.loads(_file(state_dir).read_text()))
        os.kill(found.pid, 0)
        return found
    return None


def _file(state_dir: Path) -> Path:
    return state_dir / "run.json"

"""The service, killed or paused at a step: ``python -m tests.faults.stepping STEP TIMES SIGNAL MARK``.

It sends itself the signal when it takes the step for the ``TIMES``-th time,
and once only: the file ``MARK`` says that it has. What the steps are made
of is replaced here, in the process, so that the service has no word of it.
"""

from __future__ import annotations

import signal
import sys
import threading
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daemon.batches import Batches
from daemon.cli import main
from daemon.proving import Prover
from daemon.sources.wire import Wire
from daemon.storage import files
from daemon.storage.files import FileStorage
from db import specs

if TYPE_CHECKING:
    from collections.abc import Callable


def before(owner: Any, name: str, die: Callable[[], None]) -> None:
    """Die instead of taking the step."""
    whole = getattr(owner, name)

    def replaced(*args: Any, **options: Any) -> Any:
        die()
        return whole(*args, **options)

    setattr(owner, name, replaced)


def after(owner: Any, name: str, die: Callable[[], None]) -> None:
    """Die when the step has been taken."""
    whole = getattr(owner, name)

    def replaced(*args: Any, **options: Any) -> Any:
        result = whole(*args, **options)
        die()
        return result

    setattr(owner, name, replaced)


def amid_a_write(owner: Any, name: str, die: Callable[[], None]) -> None:
    """Die with half of an object written."""
    whole = getattr(owner, name)

    def replaced(path: str, content: bytes) -> None:
        whole(path, content[: len(content) // 2])
        die()
        whole(path, content)

    setattr(owner, name, replaced)


def after_a_yes(owner: Any, name: str, die: Callable[[], None]) -> None:
    """Die when a 250 is on its way."""
    whole = getattr(owner, name)

    def replaced(self: Wire) -> None:
        said = bytes(self._unsaid)
        whole(self)
        if said.startswith(b"250 2.0.0 spec="):
            die()

    setattr(owner, name, replaced)


#: In the order in which a mail comes by them.
STEPS: dict[str, tuple[Callable[[Any, str, Callable[[], None]], None], Any, str]] = {
    "read": (before, Prover, "judge"),
    "judged": (before, Batches, "add"),
    "half of the rows": (before, specs, "insert"),
    "all rows and no object": (before, FileStorage, "put"),
    "half an object": (amid_a_write, files, "_write"),
    "objects without their names": (before, files, "_renamed"),
    "names without their sync": (before, FileStorage, "_sync"),
    "stored and not committed": (after, FileStorage, "put"),
    "committed and not answered": (after, Batches, "_settle"),
    "answered": (after_a_yes, Wire, "_send"),
}


def arm(step: str, times: int, number: signal.Signals, mark: Path) -> None:
    """Let the step be the last, unless it was that before."""
    taken = count(1)

    def die() -> None:
        if next(taken) >= times and not mark.exists():
            mark.touch()
            signal.pthread_kill(
                threading.get_ident(), number
            )  # else another thread stops first, and this one later

    how, owner, name = STEPS[step]
    how(owner, name, die)


if __name__ == "__main__":
    arm(sys.argv[1], int(sys.argv[2]), signal.Signals[sys.argv[3]], Path(sys.argv[4]))
    main(["run"])

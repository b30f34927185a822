"""Who reads and judges mails by one configuration, as long as one of them is under way."""

from __future__ import annotations

from threading import Condition
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from daemon.proving import Prover
    from daemon.readers import Readers


class Court:
    """Readers and a prover by the same rules: what those have read is judged by this."""

    def __init__(self, readers: Readers, prover: Prover) -> None:
        self.readers, self.prover = readers, prover
        self._under_way = 0
        self._changed = Condition()

    def enter(self) -> None:
        """A mail comes."""
        with self._changed:
            self._under_way += 1

    def leave(self) -> None:
        """A mail has its outcome."""
        with self._changed:
            self._under_way -= 1
            self._changed.notify_all()

    def alive(self) -> bool:
        """Whether both turn."""
        return self.prover.alive() and not self.readers.stuck()

    def wait_until_empty(self) -> None:
        """Return when no mail is under way."""
        with self._changed:
            self._changed.wait_for(lambda: not self._under_way)

"""Asking: what the answers tell one line of inquiry, and what it still has to know."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from daemon.names import Unasked, Unavailable

if TYPE_CHECKING:
    from daemon.names import Answers, Kind, Question


class Asking:
    """Answers, with a note of each question that had none.

    ``open`` are those that nobody has asked yet, ``unavailable`` those that
    have no answer for now.
    """

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self.open: set[Question] = set()
        self.unavailable: set[Question] = set()

    def to(self, name: str, kind: Kind) -> tuple[str, ...]:
        """The records of ``name``, as Answers has them.

        Raises:
            Unasked: nobody has asked yet.
            Unavailable: there is no answer for now.
        """
        try:
            return self._answers.to(name, kind)
        except Unasked as missing:
            self.open.add(missing.question)
            raise
        except Unavailable as missing:
            self.unavailable.add(missing.question)
            raise

    def want(self, name: str, kind: Kind) -> None:
        """Have a question asked together with one that is open, so that it costs no round of its own."""
        with suppress(Unavailable):
            try:
                self._answers.to(name, kind)
            except Unasked as missing:
                self.open.add(missing.question)

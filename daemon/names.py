"""Names in the DNS: what has to be asked, and what was answered.

The child that reads a mail has no network: it names its questions, its parent
asks them, and the child goes on with the answers. So what the records of a
stranger say is read where it can do no harm, like the mail itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Kind = Literal["TXT", "A", "AAAA", "MX"]


@dataclass(frozen=True, slots=True, order=True)
class Question:
    """One name and the kind of record asked for; the name in lower-case ASCII, without a dot at its end."""

    name: str
    kind: Kind

    def __str__(self) -> str:
        """As an operator would ask ``dig`` for it."""
        return f"{self.name} {self.kind}"


class Unasked(Exception):  # noqa: N818 - what to do next, and no error
    """A question that nobody has asked yet."""

    def __init__(self, question: Question) -> None:
        super().__init__(question)
        self.question = question


class Unavailable(Exception):  # noqa: N818 - the network's trouble, and no error of ours
    """A question that can't be answered now, but may be later: a timeout, or SERVFAIL."""

    def __init__(self, question: Question) -> None:
        super().__init__(question)
        self.question = question


@dataclass(frozen=True, slots=True)
class Answers:
    """What was asked so far.

    For each question the records, each as text (TXT with its strings joined,
    octets as latin-1; MX as host names, the preferred first); ``()`` when
    there are none or no such name; None when the answer may come later.
    """

    known: Mapping[Question, tuple[str, ...] | None] = field(default_factory=dict)

    def to(self, name: str, kind: Kind) -> tuple[str, ...]:
        """The records of ``name``.

        Raises:
            Unasked: nobody has asked yet.
            Unavailable: there is no answer for now.
        """
        question = Question(name.lower().rstrip("."), kind)
        if question not in self.known:
            raise Unasked(question)
        records = self.known[question]
        if records is None:
            raise Unavailable(question)
        return records

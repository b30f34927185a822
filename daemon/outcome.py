"""The vocabulary of what became of a mail."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uuid import UUID


class Verdict(StrEnum):
    """What became of a mail, in the order in which it is decided."""

    HELD = "held"
    """It broke its reader, or is beyond the limits within which we can judge."""
    IGNORED = "ignored"
    """A bounce, an automatic reply or a loop: nobody waits for an answer."""
    REFUSED = "refused"
    """Its sender is not entitled, or not proven to be who they say."""
    DUPLICATE = "duplicate"
    """This very mail was accepted before."""
    REJECTED = "rejected"
    """An entitled sender's mail with a Problem; nothing of it is recorded but the failure."""
    ACCEPTED = "accepted"
    """Taken whole: every specification in it is recorded and planned."""
    DEFERRED = "deferred"
    """Our trouble: the sender keeps the mail and tries again."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something only the sender can mend, said so that they can.

    ``line`` and ``column`` count from 1 in the document called ``file``.
    """

    text: str
    file: str | None = None
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        """``spec.yaml:3:5: text``, as compilers say it."""
        where = [str(part) for part in (self.file, self.line, self.column) if part is not None]
        return ": ".join([":".join(where), self.text]) if where else self.text


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one mail; each source says it in its own words.

    ``reason`` is for the operator's log and never for the sender; ``full``
    says of a deferred mail that there is no room for its kind.
    """

    verdict: Verdict
    mail_id: UUID | None = None
    spec_ids: tuple[UUID, ...] = ()
    problems: tuple[Problem, ...] = ()
    reason: str = ""
    full: bool = False

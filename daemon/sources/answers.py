"""What SMTP says about an Outcome: one printable line (RFC 5321 4.2, codes of RFC 3463)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daemon.outcome import Verdict
from daemon.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from daemon.outcome import Outcome, Problem

_PROBLEM = 200  # characters: with the ids around it the line stays under RFC 5321's 512 octets
_SPECS = 5  # ids named in a reply; the sender of more finds them by the mail's

#: The reply to DATA for each verdict. Senders' programs read these lines, so a
#: word may be added but none changed. REFUSED is one text for all causes: a
#: stranger who could tell them apart could find out who is entitled.
ANSWERS = {
    Verdict.ACCEPTED: "250 2.0.0 {specs} {mail}",
    Verdict.DUPLICATE: "250 2.0.0 {specs} {mail}",
    Verdict.IGNORED: "250 2.0.0 received",
    Verdict.HELD: "250 2.0.0 received",
    Verdict.REJECTED: "550 5.6.0 {id} {problems}",
    Verdict.REFUSED: "550 5.7.1 not accepted from this sender",
    Verdict.DEFERRED: "451 4.3.0 not now: please try again later",
}

_FULL = "452 4.3.1 no room for this mail: please try again later"


def answer(outcome: Outcome) -> str:
    """The line that tells the sender what became of their mail."""
    line = (_FULL if outcome.full else ANSWERS[outcome.verdict]).format(
        specs="spec=" + ",".join(map(str, outcome.spec_ids[:_SPECS])) if outcome.spec_ids else "",
        mail=f"mail={outcome.mail_id}" if outcome.mail_id else "",
        id=outcome.mail_id or "",
        problems=_told(outcome.problems),
    )
    return " ".join(line.split())


def ascii_line(text: str, limit: int) -> str:
    """``text`` as at most ``limit`` characters of printable ASCII, the rest of the world as ``?``."""
    return printable(text, limit).replace("…", "...").encode("ascii", "replace").decode("ascii")[:limit]


def _told(problems: Sequence[Problem]) -> str:
    if not problems:
        return "not a specification we can read"
    first = ascii_line(str(problems[0]), _PROBLEM)
    return first if len(problems) == 1 else f"{first} (+{len(problems) - 1} more)"

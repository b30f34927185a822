"""What test tools write about a run, one file per format: octets in, numbers out.

Nothing in a report is believed to be well meant: whoever may change the
tests may write one. So each has a limit of size and depth, and XML has no
entities.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

#: A report, in octets. Screenshots that Playwright puts into its own take a few.
LARGEST = 64 << 20


class ReportError(ValueError):
    """A report that can't be read, or makes no sense; the text says why, in one line."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many tests came to which end."""

    passed: int = 0
    failed: int = 0
    errors: int = 0
    skipped: int = 0


def fraction(covered: int, lines: int) -> float:
    """So many of so many lines; ReportError when that can't be, or nothing was measured."""
    if lines == 0:
        raise ReportError("no line was measured")
    if covered > lines:
        raise ReportError(f"{covered} of {lines} lines were covered, it says")
    return covered / lines


def content(path: Path) -> bytes:
    """What is in a report.

    Raises:
        ReportError: it can't be read, or is larger than ``LARGEST``.
    """
    try:
        with path.open("rb") as file:
            found = file.read(LARGEST + 1)
    except OSError as error:
        raise ReportError(error.strerror or str(error)) from None
    if len(found) > LARGEST:
        raise ReportError(f"it is larger than {LARGEST >> 20} MiB")
    return found

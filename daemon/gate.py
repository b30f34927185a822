"""The gate: whether what CI reports of a run meets what its sprint asks for.

``finish_run`` in the database decides, in the same way; one table of cases
holds the two together.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

#: The criteria that can be decided, in the order in which they are told.
KNOWN = ("coverage_min", "e2e_pass", "lighthouse_min", "lint_pass", "type_check")
#: A summary as JSON, in octets.
LARGEST_SUMMARY = 1 << 20
#: CI's own word, in characters.
LONGEST_STATUS = 100
#: A key in a complaint, in characters.
LONGEST_KEY = 100

PASSED, FAILED = "PASSED", "FAILED"


class SummaryError(ValueError):
    """A summary that can't be right; the text names the key and says what it must be."""


@dataclass(frozen=True, slots=True)
class Criterion:
    """One thing that was looked at; ``reported`` is None when the summary is silent about it.

    ``verdict`` is ``met``, ``missed``, ``not reported``, which fails as well,
    or ``not checked``, which fails nothing.
    """

    criterion: str
    wanted: Any
    reported: Any
    verdict: str


@dataclass(frozen=True, slots=True)
class Decision:
    """``PASSED`` or ``FAILED``, and why."""

    result: str
    criteria: tuple[Criterion, ...]


def decide(wanted: Mapping[str, Any], summary: object) -> Decision:
    """Hold a summary, in either of its forms, against a Definition of Done.

    Raises:
        SummaryError: the summary can't be right, whatever is wanted.
    """
    criteria = tuple(_criteria(wanted, _reported(_checked(summary))))
    missed = any(each.verdict in ("missed", "not reported") for each in criteria)
    return Decision(FAILED if missed else PASSED, criteria)


def _criteria(wanted: Mapping[str, Any], reported: Mapping[str, Any]) -> Iterator[Criterion]:
    for name in KNOWN:
        asked = wanted.get(name)
        if asked is None or asked is False:
            continue
        got = reported.get(name)
        verdict = "not reported" if got is None else "met" if got >= asked else "missed"
        yield Criterion(name, asked, got, verdict)
    for name, asked in (("unit_pass", True), ("status", PASSED)):  # nobody asks; but red tests are red
        if (got := reported.get(name)) is not None:
            yield Criterion(name, asked, got, "met" if got == asked else "missed")
    for name in sorted(wanted.keys() - set(KNOWN)):
        yield Criterion(name, wanted[name], None, "not checked")


def _checked(summary: object) -> Mapping[str, Any]:
    if not isinstance(summary, dict):
        raise SummaryError("summary: it must be an object")
    if len(json.dumps(summary, ensure_ascii=False).encode(errors="replace")) > LARGEST_SUMMARY:
        raise SummaryError("summary: it must be no more than 1 MiB of JSON")
    return summary


def _reported(summary: Mapping[str, Any]) -> dict[str, Any]:
    """What a summary says of each criterion; where both of its forms speak, the worse counts."""
    suites = {
        name: _object(suite, f"tests.{name}")
        for name, suite in _object(summary.get("tests"), "tests").items()
    }
    counts = {name: counted for name, suite in suites.items() if (counted := _counts(suite, f"tests.{name}"))}
    lighthouse = summary.get("lighthouse")
    if isinstance(lighthouse, dict):
        score = _score(lighthouse.get("score"), "lighthouse.score")
    else:
        score = _score(lighthouse, "lighthouse")
    coverages = [_fraction(suite.get("coverage"), f"tests.{name}.coverage") for name, suite in suites.items()]
    heard: dict[str, list[float | None]] = {
        "coverage_min": [_fraction(summary.get("coverage"), "coverage"), *coverages],
        "e2e_pass": [
            _flag(summary, "e2e_pass"),
            _pass([each for name, each in counts.items() if name == "e2e"]),
        ],
        "lighthouse_min": [score],
        "lint_pass": [_flag(summary, "lint_pass")],
        "type_check": [_flag(summary, "type_check")],
        "unit_pass": [
            _flag(summary, "unit_pass"),
            _pass([each for name, each in counts.items() if name != "e2e"]),
        ],
    }
    said = {name: [value for value in values if value is not None] for name, values in heard.items()}
    return {name: min(values) for name, values in said.items() if values} | _status(summary)


def _counts(suite: Mapping[str, Any], where: str) -> dict[str, int]:
    """How many tests of a suite passed, failed and broke, as far as it says."""
    given = {key: suite[key] for key in ("passed", "failed", "errors") if suite.get(key) is not None}
    for key, value in given.items():
        if not _is_number(value) or value < 0 or value != value // 1:
            raise _wrong(f"{where}.{key}", "a whole number, 0 or more")
    return given


def _pass(counts: Sequence[Mapping[str, int]]) -> bool | None:
    """Whether suites passed: none of them failed, and something was run; None when there are none."""
    if not counts:
        return None
    sound = all(each.get("failed") == 0 and each.get("errors", 0) == 0 for each in counts)
    return sound and any(each.get("passed", 0) > 0 for each in counts)


def _status(summary: Mapping[str, Any]) -> dict[str, str]:
    """CI's own word, which can fail the gate, and pass it never."""
    words = []
    for key in ("status", "result"):
        word = summary.get(key)
        if word is None:
            continue
        if not isinstance(word, str) or len(word) > LONGEST_STATUS:
            raise _wrong(key, f"text of no more than {LONGEST_STATUS} characters")
        words.append(word)
    return {"status": next((word for word in words if word != PASSED), PASSED)} if words else {}


def _object(value: object, where: str) -> Mapping[str, Any]:
    if value is not None and not isinstance(value, dict):
        raise _wrong(where, "an object")
    return value or {}


def _flag(summary: Mapping[str, Any], key: str) -> bool | None:
    value = summary.get(key)
    if value is not None and not isinstance(value, bool):
        raise _wrong(key, "true or false")
    return value


def _fraction(value: object, where: str) -> float | None:
    return _within(value, 1, where, "a fraction from 0 to 1, so 0.85 and not 85")


def _score(value: object, where: str) -> float | None:
    return _within(value, 100, where, "a number from 0 to 100")


def _within(value: Any, most: int, where: str, what: str) -> float | None:  # noqa: ANN401 - any JSON
    if value is None:
        return None
    if not _is_number(value) or not 0 <= value <= most:
        raise _wrong(where, what)
    number: float = value
    return number


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _wrong(where: str, what: str) -> SummaryError:
    key = re.sub(r"[^\w.-]", "?", where, flags=re.ASCII)[:LONGEST_KEY]
    return SummaryError(f"{key}: it must be {what}")

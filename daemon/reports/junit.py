"""JUnit's XML, in which nearly every runner of tests can report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daemon.reports import Counts, ReportError, xmldoc

if TYPE_CHECKING:
    from collections.abc import Mapping

_SUITES = ("testsuites", "testsuite")
#: How a case can end, by the elements in it; with several, the last of these counts.
_ENDS = ("passed", "skipped", "failure", "error")
#: What GoogleTest says of a case that was not run, which has no element for it.
_NOT_RUN = ("notrun", "disabled", "skipped")
#: Digits of a count.
_LONGEST_COUNT = 9


def read(content: bytes) -> Counts:
    """How the tests in a report ended.

    What passed is counted case by case. What failed is at least as much as
    any suite says of itself: one that broke before its first case has none.
    """
    tally = _Tally()
    xmldoc.walk(content, tally.opened, tally.closed)
    return Counts(
        passed=tally.ends["passed"],
        failed=max(tally.ends["failure"], tally.failures),
        errors=max(tally.ends["error"], tally.errors),
        skipped=tally.ends["skipped"],
    )


class _Tally:
    """What was met so far; ``case`` is how the case ended that is being read."""

    def __init__(self) -> None:
        self.ends = dict.fromkeys(_ENDS, 0)
        self.failures = self.errors = 0
        self.case: str | None = None
        self.begun = False

    def opened(self, name: str, attributes: Mapping[str, str]) -> None:
        if not self.begun and name not in _SUITES:
            raise ReportError(f"no report of JUnit's kind: it begins with {name[:50]!a}")
        self.begun = True
        if name in _SUITES:
            self.failures = max(self.failures, _count(attributes, "failures"))
            self.errors = max(self.errors, _count(attributes, "errors"))
        elif name == "testcase":
            self.case = "skipped" if attributes.get("status") in _NOT_RUN else "passed"
        elif self.case and name in _ENDS:
            self.case = max(self.case, name, key=_ENDS.index)

    def closed(self, name: str) -> None:
        if name == "testcase" and self.case:
            self.ends[self.case] += 1
            self.case = None


def _count(attributes: Mapping[str, str], name: str) -> int:
    text = attributes.get(name) or "0"
    if not (text.isascii() and text.isdigit() and len(text) <= _LONGEST_COUNT):
        raise ReportError(f"{name}={text[:50]!a} is no count")
    return int(text)

"""What the gate says to which Definition of Done and summary: one table for SQL's gate and for Python's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

#: A criterion, what the Definition of Done wants, what the summary reports, and the verdict.
Line = tuple[str, Any, Any, str]


@dataclass(frozen=True)
class Case:
    """A sprint's Definition of Done, a run's summary, and what must come of them.

    ``error`` are the words that the complaint about an impossible summary
    has in it; then there is no result.
    """

    name: str
    dod: dict[str, Any]
    summary: Any
    result: str = ""
    lines: tuple[Line, ...] = ()
    error: tuple[str, ...] = ()

    @property
    def expected(self) -> dict[str, Any]:
        """The gate's whole answer."""
        keys = ("criterion", "wanted", "reported", "verdict")
        return {
            "result": self.result,
            "criteria": [dict(zip(keys, line, strict=True)) for line in self.lines],
        }


def passed(name: str, dod: dict[str, Any], summary: Any, *lines: Line) -> Case:
    """A summary that meets all that is asked."""
    return Case(name, dod, summary, "PASSED", lines)


def failed(name: str, dod: dict[str, Any], summary: Any, *lines: Line) -> Case:
    """A summary that misses something, or leaves it out."""
    return Case(name, dod, summary, "FAILED", lines)


def wrong(name: str, summary: Any, *words: str) -> Case:
    """A summary that can't be right, whatever is asked; nothing is asked here."""
    return Case(name, {}, summary, error=words)


def suite(name: str, **counts: Any) -> dict[str, Any]:
    """A summary's tests of one suite."""
    return {"tests": {name: counts}}


FULL = {"coverage_min": 0.80, "e2e_pass": True, "lighthouse_min": 85, "lint_pass": True, "type_check": True}

NESTED = {
    "status": "PASSED",
    "tests": {"python": {"passed": 3, "failed": 0, "coverage": 0.85}, "e2e": {"passed": 2, "failed": 0}},
    "lighthouse": {"score": 92},
    "artifacts": ["junit", "coverage", "playwright-report"],
    "duration_seconds": 180,
}

FLAT = {"coverage": 0.85, "unit_pass": True, "e2e_pass": True, "lighthouse": 92, "result": "PASSED"}

UNIT_MET = ("unit_pass", True, True, "met")
UNIT_MISSED = ("unit_pass", True, False, "missed")
STATUS_MET = ("status", "PASSED", "PASSED", "met")
E2E_MET = ("e2e_pass", True, True, "met")
E2E_MISSED = ("e2e_pass", True, False, "missed")

NO_COVERAGE = ("coverage_min", 0.8, None, "not reported")
NO_E2E = ("e2e_pass", True, None, "not reported")
NO_LIGHTHOUSE = ("lighthouse_min", 85, None, "not reported")

E2E = {"e2e_pass": True}
COVERAGE = {"coverage_min": 0.8}
LIGHTHOUSE = {"lighthouse_min": 85}

#: More than the 1 MiB of JSON text that a summary may have, and a little less.
TOO_LONG = "x" * (1024 * 1024)
LONG = "x" * (1000 * 1000)

CASES = (
    # both forms of the contract
    passed(
        "the nested form",
        FULL,
        NESTED | {"lint_pass": True, "type_check": True},
        ("coverage_min", 0.80, 0.85, "met"),
        E2E_MET,
        ("lighthouse_min", 85, 92, "met"),
        ("lint_pass", True, True, "met"),
        ("type_check", True, True, "met"),
        UNIT_MET,
        STATUS_MET,
    ),
    passed(
        "the flat form",
        FULL,
        FLAT | {"lint_pass": True, "type_check": True},
        ("coverage_min", 0.80, 0.85, "met"),
        E2E_MET,
        ("lighthouse_min", 85, 92, "met"),
        ("lint_pass", True, True, "met"),
        ("type_check", True, True, "met"),
        UNIT_MET,
        STATUS_MET,
    ),
    failed(
        "lint and types that nobody reports",
        FULL,
        NESTED,
        ("coverage_min", 0.80, 0.85, "met"),
        E2E_MET,
        ("lighthouse_min", 85, 92, "met"),
        ("lint_pass", True, None, "not reported"),
        ("type_check", True, None, "not reported"),
        UNIT_MET,
        STATUS_MET,
    ),
    failed(
        "an empty summary",
        FULL,
        {},
        ("coverage_min", 0.80, None, "not reported"),
        NO_E2E,
        NO_LIGHTHOUSE,
        ("lint_pass", True, None, "not reported"),
        ("type_check", True, None, "not reported"),
    ),
    # what a Definition of Done asks
    passed("nothing asked and nothing said", {}, {}),
    passed("nothing asked, things said", {}, {"coverage": 0.1, "e2e_pass": False, "lighthouse": 1}),
    passed(
        "false and null ask for nothing",
        {
            "coverage_min": None,
            "e2e_pass": False,
            "lighthouse_min": None,
            "lint_pass": None,
            "type_check": False,
        },
        {},
    ),
    failed("nought is asked for", {"coverage_min": 0}, {}, ("coverage_min", 0, None, "not reported")),
    passed(
        "unknown keys are told, in their alphabet's order, and fail nothing",
        {"zebra": None, "coverage_min": 0.5, "accessible": "yes, all of it", "Über": False, "Alpha": [1]},
        {"coverage": 0.5, "accessible": False, "unit_pass": True},
        ("coverage_min", 0.5, 0.5, "met"),
        UNIT_MET,
        ("Alpha", [1], None, "not checked"),
        ("accessible", "yes, all of it", None, "not checked"),
        ("zebra", None, None, "not checked"),
        ("Über", False, None, "not checked"),
    ),
    # coverage
    passed("coverage just reached", COVERAGE, {"coverage": 0.8}, ("coverage_min", 0.8, 0.8, "met")),
    failed("coverage just missed", COVERAGE, {"coverage": 0.79}, ("coverage_min", 0.8, 0.79, "missed")),
    passed("coverage of all", {"coverage_min": 1}, {"coverage": 1}, ("coverage_min", 1, 1, "met")),
    failed("coverage of nothing", COVERAGE, {"coverage": 0}, ("coverage_min", 0.8, 0, "missed")),
    failed("coverage of null", COVERAGE, {"coverage": None}, NO_COVERAGE),
    failed(
        "the least covered suite counts",
        COVERAGE,
        {"tests": {"python": {"coverage": 0.9}, "js": {"coverage": 0.7}, "go": {}}},
        ("coverage_min", 0.8, 0.7, "missed"),
    ),
    passed(
        "every suite is covered",
        COVERAGE,
        {"tests": {"python": {"coverage": 0.9}, "e2e": {"coverage": 0.82}}},
        ("coverage_min", 0.8, 0.82, "met"),
    ),
    failed(
        "both forms speak of coverage and the nested is worse",
        COVERAGE,
        {"coverage": 0.9, "tests": {"python": {"coverage": 0.5}}},
        ("coverage_min", 0.8, 0.5, "missed"),
    ),
    failed(
        "both forms speak of coverage and the flat is worse",
        COVERAGE,
        {"coverage": 0.5, "tests": {"python": {"coverage": 0.9}}},
        ("coverage_min", 0.8, 0.5, "missed"),
    ),
    # end-to-end tests
    failed("e2e that fail", E2E, {"e2e_pass": False}, E2E_MISSED),
    failed("e2e of null", E2E, {"e2e_pass": None}, NO_E2E),
    passed("an e2e suite that passes", E2E, suite("e2e", passed=2, failed=0), E2E_MET),
    passed("whole numbers may be written with a point", E2E, suite("e2e", passed=2.0, failed=0.0), E2E_MET),
    failed("an e2e suite that fails", E2E, suite("e2e", passed=2, failed=1), E2E_MISSED),
    failed("an e2e suite with errors", E2E, suite("e2e", passed=2, failed=0, errors=1), E2E_MISSED),
    failed("an e2e suite that ran nothing", E2E, suite("e2e", passed=0, failed=0), E2E_MISSED),
    failed("an e2e suite that is silent on failures", E2E, suite("e2e", passed=2), E2E_MISSED),
    failed("an e2e suite with no counts", E2E, suite("e2e", coverage=0.9), NO_E2E),
    failed("an e2e suite of null", E2E, {"tests": {"e2e": None}}, NO_E2E),
    failed(
        "both forms speak of e2e and the nested is worse",
        E2E,
        {"e2e_pass": True, "tests": {"e2e": {"passed": 1, "failed": 1}}},
        E2E_MISSED,
    ),
    failed(
        "both forms speak of e2e and the flat is worse",
        E2E,
        {"e2e_pass": False, "tests": {"e2e": {"passed": 1, "failed": 0}}},
        E2E_MISSED,
    ),
    # lighthouse
    passed("lighthouse just reached", LIGHTHOUSE, {"lighthouse": 85}, ("lighthouse_min", 85, 85, "met")),
    failed(
        "lighthouse just missed", LIGHTHOUSE, {"lighthouse": 84.9}, ("lighthouse_min", 85, 84.9, "missed")
    ),
    failed(
        "lighthouse given as a fraction",
        LIGHTHOUSE,
        {"lighthouse": {"score": 0.92}},
        ("lighthouse_min", 85, 0.92, "missed"),
    ),
    failed("lighthouse without a score", LIGHTHOUSE, {"lighthouse": {}}, NO_LIGHTHOUSE),
    failed("lighthouse with a score of null", LIGHTHOUSE, {"lighthouse": {"score": None}}, NO_LIGHTHOUSE),
    passed("lighthouse's ends", {"lighthouse_min": 0}, {"lighthouse": 0}, ("lighthouse_min", 0, 0, "met")),
    passed(
        "lighthouse's top", {"lighthouse_min": 100}, {"lighthouse": 100}, ("lighthouse_min", 100, 100, "met")
    ),
    # lint and types
    failed(
        "a linter that complains",
        {"lint_pass": True},
        {"lint_pass": False},
        ("lint_pass", True, False, "missed"),
    ),
    failed(
        "a type checker that complains",
        {"type_check": True},
        {"type_check": False},
        ("type_check", True, False, "missed"),
    ),
    failed(
        "lint in a form that nobody agreed on",
        {"lint_pass": True},
        {"lint": {"passed": True}},
        ("lint_pass", True, None, "not reported"),
    ),
    # unit tests, which count wherever they are reported
    failed("unit tests that fail", {}, {"unit_pass": False}, UNIT_MISSED),
    passed("unit tests of null", {}, {"unit_pass": None}),
    passed("a suite that passes", {}, suite("python", passed=1, failed=0), UNIT_MET),
    failed("a suite that fails", {}, suite("python", passed=99, failed=1), UNIT_MISSED),
    failed("a suite with errors", {}, suite("python", passed=9, failed=0, errors=1), UNIT_MISSED),
    passed("a suite with no errors", {}, suite("python", passed=9, failed=0, errors=0), UNIT_MET),
    failed("a suite that ran nothing", {}, suite("python", passed=0, failed=0), UNIT_MISSED),
    failed("a suite that is silent on failures", {}, suite("python", passed=3), UNIT_MISSED),
    failed("a suite that only failed", {}, suite("python", failed=3), UNIT_MISSED),
    failed("a suite that is silent on passes", {}, suite("python", failed=0), UNIT_MISSED),
    passed("a suite with no counts", {}, {"tests": {"python": {"coverage": 0.9}, "js": {}, "go": None}}),
    passed("no suites", {}, {"tests": {}}),
    passed("tests of null", {}, {"tests": None}),
    failed(
        "one suite of two fails",
        {},
        {"tests": {"python": {"passed": 9, "failed": 0}, "js": {"passed": 9, "failed": 1}}},
        UNIT_MISSED,
    ),
    passed(
        "one suite of two ran nothing",
        {},
        {"tests": {"python": {"passed": 9, "failed": 0}, "js": {"passed": 0, "failed": 0}}},
        UNIT_MET,
    ),
    passed("e2e are no unit tests", {}, suite("e2e", passed=0, failed=5)),
    failed(
        "both forms speak of unit tests and the nested is worse",
        {},
        {"unit_pass": True, "tests": {"python": {"passed": 1, "failed": 1}}},
        UNIT_MISSED,
    ),
    failed(
        "both forms speak of unit tests and the flat is worse",
        {},
        {"unit_pass": False, "tests": {"python": {"passed": 1, "failed": 0}}},
        UNIT_MISSED,
    ),
    # CI's own word
    passed("CI says passed", {}, {"status": "PASSED", "result": "PASSED"}, STATUS_MET),
    failed("CI says failed", {}, {"status": "FAILED"}, ("status", "PASSED", "FAILED", "missed")),
    failed("CI says it in its own way", {}, {"result": "passed"}, ("status", "PASSED", "passed", "missed")),
    failed("CI says nothing with a word", {}, {"status": ""}, ("status", "PASSED", "", "missed")),
    passed("CI's word of null", {}, {"status": None, "result": None}),
    failed(
        "CI says both", {}, {"status": "PASSED", "result": "FAILED"}, ("status", "PASSED", "FAILED", "missed")
    ),
    failed(
        "CI says two bad things, and the first is told",
        {},
        {"status": "CANCELLED", "result": "FAILED"},
        ("status", "PASSED", "CANCELLED", "missed"),
    ),
    failed(
        "CI's word passes no gate",
        COVERAGE,
        {"status": "PASSED", "coverage": 0.7},
        ("coverage_min", 0.8, 0.7, "missed"),
        STATUS_MET,
    ),
    failed(
        "CI's word fails a gate",
        COVERAGE,
        {"result": "FAILED", "coverage": 0.9},
        ("coverage_min", 0.8, 0.9, "met"),
        ("status", "PASSED", "FAILED", "missed"),
    ),
    # what else is in a summary
    passed(
        "keys of CI's own",
        COVERAGE,
        {"coverage": 0.9, "artifacts": 7, "duration_seconds": "long", "métrique": [{}], "e2e": False},
        ("coverage_min", 0.8, 0.9, "met"),
    ),
    passed("a long summary", COVERAGE, {"coverage": 0.9, "log": LONG}, ("coverage_min", 0.8, 0.9, "met")),
    # impossible summaries
    wrong("a summary that is a list", [], "summary", "object"),
    wrong("a summary that is a text", "PASSED", "summary", "object"),
    wrong("a summary of null", None, "summary", "object"),
    wrong("a summary that is too long", {"log": TOO_LONG}, "summary", "1 MiB"),
    wrong("coverage as a percentage", {"coverage": 85}, "coverage", "0.85 and not 85"),
    wrong("coverage over all", {"coverage": 1.7}, "coverage", "0.85 and not 85"),
    wrong("coverage below nothing", {"coverage": -0.1}, "coverage", "0.85 and not 85"),
    wrong("coverage beyond all", {"coverage": 1e300}, "coverage", "0.85 and not 85"),
    wrong("coverage as a text", {"coverage": "0.85"}, "coverage", "0.85 and not 85"),
    wrong("coverage as a truth", {"coverage": True}, "coverage", "0.85 and not 85"),
    wrong("coverage as an object", {"coverage": {"lines": 0.9}}, "coverage", "0.85 and not 85"),
    wrong(
        "a suite's coverage as a percentage",
        suite("python", coverage=85),
        "tests.python.coverage",
        "0.85 and not 85",
    ),
    wrong("lighthouse over the top", {"lighthouse": 101}, "lighthouse", "0 to 100"),
    wrong("lighthouse below nothing", {"lighthouse": -1}, "lighthouse", "0 to 100"),
    wrong("lighthouse as a text", {"lighthouse": "92"}, "lighthouse", "0 to 100"),
    wrong("lighthouse as a truth", {"lighthouse": True}, "lighthouse", "0 to 100"),
    wrong("lighthouse as a list", {"lighthouse": [92]}, "lighthouse", "0 to 100"),
    wrong("a score over the top", {"lighthouse": {"score": 9000}}, "lighthouse.score", "0 to 100"),
    wrong("a score as a text", {"lighthouse": {"score": "92"}}, "lighthouse.score", "0 to 100"),
    wrong("e2e as a number", {"e2e_pass": 1}, "e2e_pass", "true or false"),
    wrong("e2e as a text", {"e2e_pass": "true"}, "e2e_pass", "true or false"),
    wrong("unit tests as a number", {"unit_pass": 12}, "unit_pass", "true or false"),
    wrong("lint as a text", {"lint_pass": "yes"}, "lint_pass", "true or false"),
    wrong("types as a number", {"type_check": 0}, "type_check", "true or false"),
    wrong("a status that is a truth", {"status": True}, "status", "text"),
    wrong("a result that is a number", {"result": 0}, "result", "text"),
    wrong("a status that is a novel", {"status": "x" * 101}, "status", "100 characters"),
    wrong("tests as a number", {"tests": 12}, "tests", "object"),
    wrong("tests as a list", {"tests": [{"passed": 1}]}, "tests", "object"),
    wrong("a suite as a number", {"tests": {"python": 3}}, "tests.python", "object"),
    wrong("a suite as a truth", {"tests": {"e2e": True}}, "tests.e2e", "object"),
    wrong("fewer than no tests", suite("python", passed=-1), "tests.python.passed", "whole number"),
    wrong("half a test", suite("python", failed=0.5), "tests.python.failed", "whole number"),
    wrong("a count as a text", suite("e2e", passed="2"), "tests.e2e.passed", "whole number"),
    wrong("a count as a truth", suite("e2e", failed=False), "tests.e2e.failed", "whole number"),
    wrong("errors as a list", suite("js", errors=[]), "tests.js.errors", "whole number"),
    wrong("a suite whose name would break the line", {"tests": {"a\nb\x1b[31m": 3}}, "tests.a?b?", "object"),
)

#: Definitions of Done that no program can decide, and the key that the complaint names.
BAD_DODS: tuple[tuple[dict[str, Any], str], ...] = (
    ({"coverage_min": 80}, "coverage_min"),
    ({"coverage_min": -0.1}, "coverage_min"),
    ({"coverage_min": "high"}, "coverage_min"),
    ({"lighthouse_min": 101}, "lighthouse_min"),
    ({"lighthouse_min": [85]}, "lighthouse_min"),
    ({"e2e_pass": "perhaps"}, "e2e_pass"),
    ({"lint_pass": 2}, "lint_pass"),
    ({"type_check": {}}, "type_check"),
)

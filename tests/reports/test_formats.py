"""What is read out of each kind of report."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from daemon.reports import Counts, ReportError, coverage, junit, lighthouse, playwright

if TYPE_CHECKING:
    from pathlib import Path

TESTED = """\
def double(x):
    if x > 100:
        return None
    return 2 * x
"""
TESTS = """\
import pytest
from tested import double

@pytest.fixture
def broken():
    raise RuntimeError

def test_passes():
    assert double(2) == 4

@pytest.mark.parametrize("x", [1, 2])
def test_passes_or_fails(x):
    assert double(x) == 2

def test_breaks(broken):
    pass

@pytest.mark.skip
def test_is_skipped():
    pass
"""
STATS = {"expected": 3, "unexpected": 0, "flaky": 1, "skipped": 2}
PAGE = {"categories": {"performance": {"score": 0.29}}}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what pytest and coverage.py themselves wrote about five tests and four lines."""
    folder = tmp_path_factory.mktemp("written")
    (folder / "tested.py").write_text(TESTED)
    (folder / "test_it.py").write_text(TESTS)
    usual = {key: value for key, value in os.environ.items() if not key.startswith(("COV", "PYTEST"))}
    wanted = [f"--cov-report={kind}" for kind in ("xml", "json", "lcov")]
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "--junit-xml=junit.xml",
            "--cov=tested",
            *wanted,
        ],
        cwd=folder,
        env=usual,
        capture_output=True,
        check=False,
    )
    return folder


def test_what_pytest_writes_is_understood(written: Path) -> None:
    """Case by case, a broken set-up being an error."""
    assert junit.read((written / "junit.xml").read_bytes()) == Counts(passed=2, failed=1, errors=1, skipped=1)


@pytest.mark.parametrize("name", ["coverage.xml", "coverage.json", "coverage.lcov"])
def test_what_coverage_py_writes_is_understood(written: Path, name: str) -> None:
    """Three of four lines, whichever format it is told in."""
    assert coverage.read((written / name).read_bytes()) == 0.75


@pytest.mark.parametrize(
    ("report", "counts"),
    [
        ("<testsuites/>", Counts()),
        ("<testsuite><testcase/><testcase/></testsuite>", Counts(passed=2)),
        (
            "<testsuites><testsuite><testsuite><testcase/></testsuite></testsuite></testsuites>",
            Counts(passed=1),
        ),
        ("<testsuite><testcase><failure/><error/><failure/></testcase></testsuite>", Counts(errors=1)),
        ("<testsuite><testcase><skipped/></testcase><testcase/></testsuite>", Counts(passed=1, skipped=1)),
        ("<testsuite><testcase status='notrun'/></testsuite>", Counts(skipped=1)),
        ("<testsuite><testcase><rerunFailure/></testcase></testsuite>", Counts(passed=1)),
        ("<testsuite tests='9' errors='1'/>", Counts(errors=1)),
        (
            "<testsuites failures='2'><testsuite><testcase/></testsuite></testsuites>",
            Counts(passed=1, failed=2),
        ),
        ("<testsuite failures='' xmlns='urn:x'><testcase/></testsuite>", Counts(passed=1)),
    ],
)
def test_the_ends_of_tests_in_junits_dialects(report: str, counts: Counts) -> None:
    """Nothing passes that isn't a case, and nothing that a suite says has failed is forgotten."""
    assert junit.read(report.encode()) == counts


@pytest.mark.parametrize(
    ("report", "fraction"),
    [
        ("<coverage lines-valid='10000' lines-covered='7999' line-rate='0.8'/>", 0.7999),
        ("<coverage line-rate='0.85'/>", 0.85),
        ("<coverage line-rate='1'/>", 1),
        ('<!DOCTYPE coverage SYSTEM "http://example.org/x.dtd"><coverage line-rate="0.5"/>', 0.5),
        ('\ufeff<?xml version="1.0"?><coverage line-rate="0.5"><packages/></coverage>', 0.5),
        ("TN:\nSF:a\nLF:3\nLH:3\nend_of_record\r\nSF:b\r\nLF:1\r\nLH:0\r\nend_of_record\r\n", 0.75),
    ],
)
def test_coverage_in_its_dialects(report: str, fraction: float) -> None:
    """By the lines where they are counted: a rate is rounded, and not always down."""
    assert coverage.read(report.encode()) == fraction


def test_coverage_in_utf_16() -> None:
    """As tools on Windows write it."""
    assert (
        coverage.read('<?xml version="1.0" encoding="utf-16"?><coverage line-rate="0.5"/>'.encode("utf-16"))
        == 0.5
    )


def test_what_passed_when_it_was_tried_again_has_passed() -> None:
    """As it has for Playwright; what broke outside of all tests is an error."""
    report = {"stats": STATS, "errors": [{"message": "no set-up"}]}

    assert playwright.read(json.dumps(report).encode()) == Counts(passed=4, errors=1, skipped=2)


@pytest.mark.parametrize(
    ("report", "score"),
    [
        (PAGE, 29),
        ({"categories": {"performance": {"score": 0.925}}}, 92.5),
        ({"categories": {"performance": {"score": None}}}, None),
        (
            [
                {"isRepresentativeRun": False, "summary": {"performance": 0.1}},
                {"isRepresentativeRun": True, "summary": {"performance": 0.9}},
                {"isRepresentativeRun": True, "summary": {"performance": 0.92}},
            ],
            90,
        ),
        ([{"isRepresentativeRun": True, "summary": {}}], None),
    ],
)
def test_lighthouses_score_is_out_of_a_hundred(report: Any, score: float | None) -> None:
    """Of several pages the least, and none when one couldn't be scored."""
    assert lighthouse.read(json.dumps(report).encode()) == score


ENTITIES = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
BOMB = f'<!DOCTYPE x [<!ENTITY a0 "boom">{ENTITIES}]><testsuite>&a9;</testsuite>'
READERS = {
    "junit": junit.read,
    "coverage": coverage.read,
    "e2e": playwright.read,
    "lighthouse": lighthouse.read,
}


@pytest.mark.parametrize(
    ("kind", "report", "words"),
    [
        ("junit", "", "no XML: no element found"),
        ("junit", "<testsuite>", "no XML: no element found: line 1, column 11"),
        ("junit", "<testsuite></b>", "no XML: mismatched tag"),
        ("junit", "<html/>", "no report of JUnit's kind: it begins with 'html'"),
        ("junit", "<testsuite failures='-1'/>", "failures='-1' is no count"),
        ("junit", "<testsuite failures='1e999'/>", "is no count"),
        ("junit", f"<testsuite errors='{'9' * 5000}'/>", "is no count"),
        ("junit", BOMB, "a document type of its own"),
        (
            "junit",
            '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><testsuite>&a;</testsuite>',
            "of its own",
        ),
        (
            "junit",
            '<!DOCTYPE x SYSTEM "file:///etc/passwd"><testsuite>&a;</testsuite>',
            "nobody knows the entity 'a'",
        ),
        ("junit", "<testsuite>&a;</testsuite>", "no XML: undefined entity"),
        ("junit", "<?xml version='1.0' encoding='klingon'?><testsuite/>", "encoding"),
        ("junit", "<testsuite>" * 101, "nested more than 100 deep"),
        ("coverage", "", "it is neither Cobertura's XML nor coverage.py's JSON nor lcov's lines"),
        ("coverage", "<html/>", "no report of Cobertura's kind"),
        ("coverage", "<coverage/>", "neither lines-covered and lines-valid nor a line-rate"),
        ("coverage", "<coverage line-rate='85'/>", "line-rate=85 is no fraction"),
        ("coverage", "<coverage line-rate='nan'/>", "nor a line-rate"),
        ("coverage", "<coverage lines-covered='2' lines-valid='1'/>", "2 of 1 lines were covered"),
        ("coverage", "<coverage lines-covered='0' lines-valid='0' line-rate='1'/>", "no line was measured"),
        ("coverage", BOMB, "a document type of its own"),
        ("coverage", "{}", "totals.covered_lines is no count"),
        ("coverage", "[" * 5000, "no JSON"),
        (
            "coverage",
            '{"totals": {"covered_lines": true, "num_statements": 1}}',
            "totals.covered_lines is no count",
        ),
        ("e2e", "{", "no JSON"),
        ("e2e", "[]", "stats.expected is no count"),
        ("e2e", '{"stats": {"expected": 1.5}}', "stats.expected is no count"),
        ("lighthouse", "{}", "it has no categories.performance"),
        ("lighthouse", "[]", "no page in it has a representative run"),
        ("lighthouse", '{"categories": {"performance": {"score": 92}}}', "is no fraction from 0 to 1"),
        ("lighthouse", '{"categories": {"performance": {"score": "0.9"}}}', "is no fraction from 0 to 1"),
        ("lighthouse", "NaN", "no JSON"),
    ],
)
def test_what_is_no_report_is_said_to_be_none(kind: str, report: str, words: str) -> None:
    """In one line; and nothing is expanded, fetched or guessed."""
    with pytest.raises(ReportError) as raised:
        READERS[kind](report.encode())

    assert words in str(raised.value)
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 200

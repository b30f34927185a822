"""A run's summary, made of its reports."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from daemon import reports
from daemon.reports import ReportError
from daemon.reports.summary import Reports, summary

if TYPE_CHECKING:
    from pathlib import Path

JUNIT = "<testsuite><testcase/><testcase/></testsuite>"
RED = "<testsuite><testcase/><testcase><failure/></testcase></testsuite>"


def file(folder: Path, name: str, text: str) -> Path:
    """A report of this text."""
    path = folder / name
    path.write_text(text)
    return path


def test_all_of_it_together(tmp_path: Path) -> None:
    """Files of tests add up; of coverage and of pages the least counts; what CI says besides is kept."""
    stats = json.dumps({"stats": {"expected": 2, "unexpected": 0, "flaky": 0, "skipped": 0}})
    made = Reports(
        junit=[file(tmp_path, "a.xml", JUNIT), file(tmp_path, "b.xml", RED)],
        coverage=[
            file(tmp_path, "c.xml", "<coverage line-rate='0.9'/>"),
            file(tmp_path, "d", "LF:4\nLH:3\n"),
        ],
        e2e=[file(tmp_path, "p.json", stats)],
        lighthouse=[file(tmp_path, "l.json", '{"categories": {"performance": {"score": 0.92}}}')],
        lint_pass=True,
        type_check=False,
        rest=file(
            tmp_path, "s.json", '{"duration_seconds": 180, "tests": {"js": {"passed": 1, "failed": 0}}}'
        ),
    )

    assert summary(made) == {
        "duration_seconds": 180,
        "tests": {
            "js": {"passed": 1, "failed": 0},
            "unit": {"passed": 3, "failed": 1, "errors": 0, "skipped": 0, "coverage": 0.75},
            "e2e": {"passed": 2, "failed": 0, "errors": 0, "skipped": 0},
        },
        "lighthouse": {"score": 92},
        "lint_pass": True,
        "type_check": False,
    }


def test_what_nobody_reports_is_not_in_it(tmp_path: Path) -> None:
    """Coverage alone says nothing of tests."""
    assert summary(Reports()) == {}
    assert summary(Reports(coverage=[file(tmp_path, "c.xml", "<coverage line-rate='0.9'/>")])) == {
        "tests": {"unit": {"coverage": 0.9}}
    }


@pytest.mark.parametrize(
    ("rest", "where"),
    [
        ('{"tests": {"unit": {"passed": 100, "failed": 0}}}', "tests.unit"),
        ('{"tests": 3}', "tests.unit"),
        ('{"lint_pass": true}', "lint_pass"),
    ],
)
def test_nothing_is_said_twice(tmp_path: Path, rest: str, where: str) -> None:
    """Else one of the two would be believed, and nobody knew which."""
    made = Reports(junit=[file(tmp_path, "a.xml", RED)], lint_pass=False, rest=file(tmp_path, "s.json", rest))

    with pytest.raises(ReportError, match=f"s.json: it says {where} already"):
        summary(made)


@pytest.mark.parametrize("rest", ["[]", "{", "3"])
def test_a_summary_is_an_object(tmp_path: Path, rest: str) -> None:
    """And its trouble names the file."""
    with pytest.raises(ReportError, match=r"s.json: (a summary must be an object|no JSON)"):
        summary(Reports(rest=file(tmp_path, "s.json", rest)))


def test_a_file_that_is_missing_or_too_large_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the limit."""
    with pytest.raises(ReportError, match=r"missing.xml: No such file or directory"):
        summary(Reports(junit=[tmp_path / "missing.xml"]))
    monkeypatch.setattr(reports, "LARGEST", 1 << 20)
    large = file(tmp_path, "large.xml", " " * ((1 << 20) + 1))
    with pytest.raises(ReportError, match=r"large.xml: it is larger than 1 MiB"):
        summary(Reports(junit=[large]))

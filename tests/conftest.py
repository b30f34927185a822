"""Fixture families, and the count of what this machine could not run."""

from __future__ import annotations

import logging
import signal
from pathlib import Path

import pytest
import structlog

pytest_plugins = sorted(f"tests.{path.stem}" for path in Path(__file__).parent.glob("fix_*.py"))
pytest.register_assert_rewrite(*pytest_plugins)  # before one family imports another

# A background job has it ignored, and so had each process that a test starts, to which Ctrl-C is promised.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _quiet_log() -> None:
    """Let a failing test show what went wrong, and not each mail that went well."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING), cache_logger_on_first_use=False
    )


def pytest_addoption(parser: pytest.Parser) -> None:
    """How long chance is given."""
    parser.addoption("--rounds", type=int, default=40, help="how often a random fault strikes (tests/faults)")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell what faults were survived; last how many tests wait for a part, and what brings the parts."""
    for report in terminalreporter.stats.get("passed", []):
        for what, told in report.user_properties:
            if what == "figures":
                terminalreporter.write_line(f"{report.nodeid}: {told}")
    skipped = terminalreporter.stats.get("skipped", [])
    if skipped:
        lines = sorted({str(report.longrepr[2]).removeprefix("Skipped: ") for report in skipped})
        terminalreporter.write_line(f"{len(skipped)} tests wait for: " + "; ".join(lines))

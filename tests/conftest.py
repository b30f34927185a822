"""Fixture families, and the count of what this machine could not run."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = sorted(f"tests.{path.stem}" for path in Path(__file__).parent.glob("fix_*.py"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say last how many tests wait for a part, and the lines that bring the parts."""
    skipped = terminalreporter.stats.get("skipped", [])
    if skipped:
        lines = sorted({str(report.longrepr[2]).removeprefix("Skipped: ") for report in skipped})
        terminalreporter.write_line(f"{len(skipped)} tests wait for: " + "; ".join(lines))

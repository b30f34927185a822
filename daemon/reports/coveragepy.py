"""The JSON that ``coverage json`` writes."""

from __future__ import annotations

from daemon.reports import fraction, jsondoc


def read(content: bytes) -> float:
    """The fraction of lines that were run; branches don't count."""
    report = jsondoc.read(content)
    covered = jsondoc.count(report, "totals", "covered_lines")
    return fraction(covered, jsondoc.count(report, "totals", "num_statements"))

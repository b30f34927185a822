"""The lines that lcov writes, and with it c8, Istanbul, cargo-llvm-cov and others."""

from __future__ import annotations

import re

from daemon.reports import ReportError, fraction

_LINE = re.compile(rb"^(LH|LF):([0-9]{1,15})\r?$", re.MULTILINE)


def read(content: bytes) -> float:
    """The fraction of lines that were run, over all files: LH of LF."""
    sums = {b"LH": 0, b"LF": 0}
    found = False
    for key, number in _LINE.findall(content):
        sums[key] += int(number)
        found = True
    if not found:
        raise ReportError("it is neither Cobertura's XML nor coverage.py's JSON nor lcov's lines")
    return fraction(sums[b"LH"], sums[b"LF"])

"""Cobertura's XML, which coverage.py, Istanbul, gcovr and Coverlet write as well."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from daemon.reports import ReportError, fraction, xmldoc

if TYPE_CHECKING:
    from collections.abc import Mapping

_COUNT = re.compile(r"[0-9]{1,15}")
_RATE = re.compile(r"[0-9]{1,15}(\.[0-9]{1,30})?(e-[0-9]{1,2})?", re.IGNORECASE)


def read(content: bytes) -> float:
    """The fraction of lines that were run.

    By their numbers where they are given, since ``line-rate`` is rounded:
    79.996 % must not become 0.8.
    """
    root: dict[str, str] = {}

    def opened(name: str, attributes: Mapping[str, str]) -> None:
        if not root and name != "coverage":
            raise ReportError(f"no report of Cobertura's kind: it begins with {name[:50]!a}")
        if not root:
            root.update(attributes, begun="")

    xmldoc.walk(content, opened, lambda _: None)
    covered, lines, rate = (root.get(key, "") for key in ("lines-covered", "lines-valid", "line-rate"))
    if _COUNT.fullmatch(covered) and _COUNT.fullmatch(lines):
        return fraction(int(covered), int(lines))
    if not _RATE.fullmatch(rate):
        raise ReportError("it has neither lines-covered and lines-valid nor a line-rate")
    if float(rate) > 1:
        raise ReportError(f"line-rate={rate} is no fraction")
    return float(rate)

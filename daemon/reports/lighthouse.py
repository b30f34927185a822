"""Lighthouse's JSON, of one page, or the manifest in which Lighthouse CI tells of several."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daemon.reports import ReportError, jsondoc

if TYPE_CHECKING:
    from collections.abc import Sequence


def read(content: bytes) -> float | None:
    """The score for performance, 0 to 100; None when a page couldn't be scored.

    Of several pages the least, each by the run that Lighthouse CI takes for
    its representative.
    """
    report = jsondoc.read(content)
    if isinstance(report, list):
        pages = [page for page in report if jsondoc.at(page, "isRepresentativeRun")]
        if not pages:
            raise ReportError("no page in it has a representative run")
        scores = [_score(page, "summary", "performance") for page in pages]
    else:
        if jsondoc.at(report, "categories", "performance") is None:
            raise ReportError("it has no categories.performance")
        scores = [_score(report, "categories", "performance", "score")]
    return least(scores)


def least(scores: Sequence[float | None]) -> float | None:
    """None when one of them is: a page that couldn't be scored is none that is good enough."""
    known = [score for score in scores if score is not None]
    return min(known) if len(known) == len(scores) else None


def _score(report: object, *path: str) -> float | None:
    found = jsondoc.at(report, *path)
    if found is None:
        return None
    if not isinstance(found, int | float) or isinstance(found, bool) or not 0 <= found <= 1:
        raise ReportError(f"{'.'.join(path)} is no fraction from 0 to 1")
    score = round(found * 100, 6)  # 0.29 is 29, and not 28.999999999999996
    return int(score) if score == int(score) else score

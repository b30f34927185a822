"""The figures as a table in Markdown, to be read in a terminal and copied into the README."""

from __future__ import annotations

from textwrap import shorten
from typing import TYPE_CHECKING

from tests.bench.case import OURS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.bench.case import Case
    from tests.bench.machine import Machine
    from tests.bench.measure import Series

_HEAD = ("program", "mails", "rounds")
_GOALS = (f"{OURS} is", "", "goal", "")


def render(machine: Machine, versions: Mapping[str, str], cases: Sequence[Case]) -> str:
    """All that was measured."""
    lines = [f"{machine}", "", *(f"- {name}: {version}" for name, version in versions.items()), ""]
    for case in cases:
        lines += [f"## {case.title}", "", *_figures(case)]
        lines += [f"\nleft out: {name}: {why}" for name, why in case.absent.items()]
        lines += ["", *_goals(case), ""]
    return "\n".join(lines)


def _figures(case: Case) -> list[str]:
    names = list(dict.fromkeys(name for series in case.series.values() for name in series.spreads()))
    failed = [
        f"\n{series.name} failed: {shorten(series.failed, 150)}"
        for series in case.series.values()
        if series.failed
    ]
    return _rows([*_HEAD, *names], [_row(series, names) for series in case.series.values()]) + failed


def _row(series: Series, names: Sequence[str]) -> list[str]:
    spreads = series.spreads()
    mails = str(series.samples[0].mails) if series.samples else ""
    told = [str(spreads[name]) if name in spreads else "" for name in names]
    return [series.name, mails, str(len(series.samples)) + _trouble(series), *told]


def _trouble(series: Series) -> str:
    retried = f" ({len(series.retried)} more failed)" if series.retried else ""
    return retried + (" (then failed)" if series.failed else "")


def _goals(case: Case) -> list[str]:
    verdicts = [verdict for goal in case.goals if (verdict := goal.verdict(case.series))]
    rows = [[each.figure, each.what, each.goal, "met" if each.met else "MISSED"] for each in verdicts]
    return _rows(_GOALS, rows) if rows else []


def _rows(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table whose columns are as wide as their widest cell."""
    widths = [max(len(row[at]) for row in (head, *rows)) for at in range(len(head))]
    told = [
        _line([cell.ljust(width) for cell, width in zip(row, widths, strict=True)]) for row in (head, *rows)
    ]
    return [told[0], _line(["-" * width for width in widths]), *told[1:]]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"

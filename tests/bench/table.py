"""The figures as a table in Markdown, to be read in a terminal and copied into the README."""

from __future__ import annotations

from textwrap import shorten
from typing import TYPE_CHECKING

from tests.bench import ours
from tests.bench.imap import PEAK_MAX

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.bench.imap import Case
    from tests.bench.machine import Machine
    from tests.bench.measure import Series

_HEAD = ("program", "mails", "rounds", "mails/s", "CPU ms a mail", "of it the client's", "peak MB")
_GOALS = ("specpost is", "times as fast as", "goal", "")


def render(machine: Machine, versions: Mapping[str, str], cases: Sequence[Case]) -> str:
    """All that was measured."""
    lines = [f"{machine}", "", *(f"- {name}: {version}" for name, version in versions.items()), ""]
    for case in cases:
        lines += [f"## {case.title}", "", *_rows(_HEAD, [_row(series) for series in case.series.values()])]
        lines += [f"\nleft out: {name}: {why}" for name, why in case.absent.items()]
        goals = [*_ratios(case), *_memory(case)]
        lines += ["", *_rows(_GOALS, goals)] if goals else []
        lines += [""]
    return "\n".join(lines)


def _row(series: Series) -> tuple[str, ...]:
    if not series.samples:
        return (series.name, "", "", f"failed: {shorten(series.failed, 150)}", "", "", "")
    peak = max(sample.peak for sample in series.samples)
    return (
        series.name,
        str(series.samples[0].mails),
        str(len(series.samples)) + _trouble(series),
        str(series.spread(lambda sample: sample.rate)),
        str(series.spread(lambda sample: sample.cpu_ms)),
        str(series.spread(lambda sample: sample.client_cpu_ms)),
        f"{peak / 1e6:.0f}" if peak else "",
    )


def _trouble(series: Series) -> str:
    retried = f" ({len(series.retried)} more failed)" if series.retried else ""
    return retried + (" (then failed)" if series.failed else "")


def _ratios(case: Case) -> Iterator[tuple[str, ...]]:
    us = case.series.get(ours.NAME)
    for goal in case.goals if us else ():
        rival = case.series.get(goal.rival)
        ratio = us.ratio(rival) if us and rival else None
        if ratio:
            met = "met" if ratio.median >= goal.least else "MISSED"
            yield str(ratio), goal.rival, f"{goal.least:g}", met


def _memory(case: Case) -> Iterator[tuple[str, ...]]:
    us = case.series.get(ours.NAME)
    peak = max((sample.peak for sample in us.samples), default=0) if us else 0
    if peak:
        met = "met" if peak < PEAK_MAX else "MISSED"
        yield f"{peak / 1e6:.0f} MB", "(peak memory)", f"under {PEAK_MAX / 1e6:.0f} MB", met


def _rows(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table whose columns are as wide as their widest cell."""
    widths = [max(len(row[at]) for row in (head, *rows)) for at in range(len(head))]
    told = [
        _line([cell.ljust(width) for cell, width in zip(row, widths, strict=True)]) for row in (head, *rows)
    ]
    return [told[0], _line(["-" * width for width in widths]), *told[1:]]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"

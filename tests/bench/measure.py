"""Rounds in turn, medians, and ratios round by round: what one machine can say about two programs."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

from tests.bench import processes
from tests.bench.processes import DrainError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


#: Figures that goals are for.
RATE, PEAK = "mails/s", "peak MB"


@dataclass(frozen=True)
class Sample:
    """One run: how many mails, the seconds they took, and the CPU seconds and bytes of memory that cost.

    ``other_cpu`` is the part of ``cpu`` that the other side needed: the mail
    server that is drained, or who posts. ``more`` are figures of a case's own.
    """

    mails: int
    seconds: float
    cpu: float
    other_cpu: float | None = None
    peak: int = 0
    more: Mapping[str, float] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Mails a second."""
        return self.mails / self.seconds

    @property
    def figures(self) -> dict[str, float]:
        """All that is told of it, by what stands above a column of it; the CPU is that of all processes."""
        told = {RATE: self.rate, "CPU ms a mail": self._per_mail(self.cpu)}
        if self.other_cpu is not None:
            told["of it its own"] = self._per_mail(self.cpu - self.other_cpu)
        if self.peak:
            told[PEAK] = self.peak / 1e6
        return told | dict(self.more)

    def _per_mail(self, cpu: float) -> float:
        return cpu / self.mails * 1000


@dataclass(frozen=True)
class Spread:
    """The median of several runs, and how far they are apart."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of one value at least."""
        return cls(median(values), min(values), max(values))

    def __str__(self) -> str:
        return f"{rounded(self.median)} ({rounded(self.low)}..{rounded(self.high)})"


def rounded(value: float) -> str:
    """A figure in three digits or so."""
    return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f}"


class Stopwatch:
    """From one call of ``start`` to one of ``stop``: seconds and CPU; ``server`` is the mail server's pid."""

    def __init__(self, server: int) -> None:
        self._server = server
        self._begin: tuple[float, ...] | None = None
        self._end: tuple[float, ...] | None = None

    def start(self, at: float | None = None) -> None:
        """Begin; ``at`` is when that was, if it is known better (seconds since 1970)."""
        now, *cpu = self._look()
        self._begin = (at or now, *cpu)

    def stop(self, at: float | None = None) -> None:
        """End; ``at`` as of ``start``."""
        now, *cpu = self._look()
        self._end = (at or now, *cpu)

    def sample(self, mails: int, peak: int = 0) -> Sample:
        """What was between the two."""
        if not self._begin or not self._end:
            raise DrainError("it has not logged in")
        seconds, cpu, server = (end - begin for begin, end in zip(self._begin, self._end, strict=True))
        return Sample(mails, seconds, cpu, server, peak)

    def _look(self) -> tuple[float, float, float]:
        return time.time(), processes.cpu(), processes.cpu(of=self._server)


@dataclass
class Series:
    """The samples of one program, round by round.

    ``failed`` says why there are no more of them; ``retried`` why a run was
    done once more.
    """

    name: str
    samples: list[Sample] = field(default_factory=list)
    failed: str = ""
    retried: list[str] = field(default_factory=list)

    def spreads(self) -> dict[str, Spread]:
        """How each figure spreads; none without samples."""
        rounds = [sample.figures for sample in self.samples]
        return {name: Spread.of([figures[name] for figures in rounds]) for name in (rounds or [{}])[0]}

    def ratio(self, other: Series) -> Spread | None:
        """How many times as fast as ``other`` it was, in the same rounds."""
        pairs = list(zip(self.samples, other.samples, strict=False))
        return Spread.of([mine.rate / theirs.rate for mine, theirs in pairs]) if pairs else None


def alternate(
    runs: Mapping[str, Callable[[], Sample]], rounds: int, tries: Mapping[str, int]
) -> dict[str, Series]:
    """Run all in each round, in another order each time, so that no one always comes after the same.

    Who fails is left out from then on, unless they have more ``tries``, so
    that the rounds of the others stay pairs.
    """
    series = {name: Series(name) for name in runs}
    names = list(runs)
    for number in range(rounds):
        at = number % len(names) if names else 0
        for name in names[at:] + names[:at]:
            if not series[name].failed:
                _once(series[name], runs[name], f"round {number + 1} of {rounds}", tries.get(name, 1))
    return series


def _once(series: Series, run: Callable[[], Sample], where: str, tries: int) -> None:
    try:
        sample = run()
    except DrainError as error:
        tell(f"{where}: {series.name} FAILED: {error}")
        if tries > 1:
            series.retried.append(str(error))
            _once(series, run, where, tries - 1)
        else:
            series.failed = str(error)
        return
    series.samples.append(sample)
    told = ", ".join(f"{name} {rounded(figure)}" for name, figure in sample.figures.items())
    tell(f"{where}: {series.name}: {sample.mails} mails in {sample.seconds:.2f} s, {told}")


def tell(text: str) -> None:
    """Say how it goes; the table goes to standard output."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - that is what it is for

"""What a bench is asked for and what it tells: cases of many programs' samples, with the goals for ours."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from tests.bench.measure import alternate, tell
from tests.bench.missing import Missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import ModuleType

    from tests.bench.measure import Sample, Series

#: The program that goals are for; the module ``ours`` runs it.
OURS = "specpost"
#: A rival's run that failed is done again; one of ours is a failure.
TRIES = 3


@dataclass(frozen=True)
class Scale:
    """How much is asked for: what ``--quick`` or ``--full`` means, but for rounds or mails that are given."""

    full: bool = False
    rounds: int | None = None
    mails: int | None = None

    @property
    def name(self) -> str:
        """Which of the two it is."""
        return "full" if self.full else "quick"

    def of(self, quick: int, full: int) -> int:
        """So many rounds."""
        return self.rounds or (full if self.full else quick)

    def most(self, mails: int) -> int:
        """So many mails, or fewer if fewer are asked for."""
        return min(mails, self.mails or mails)


@dataclass(frozen=True)
class Verdict:
    """How a goal fared: the figure, and what it is compared with."""

    figure: str
    what: str
    goal: str
    met: bool


@dataclass(frozen=True)
class Goal:
    """How many times as fast as ``rival`` we want to be; ``name`` is our series, where we are several."""

    rival: str
    least: float
    name: str = OURS

    def verdict(self, series: Mapping[str, Series]) -> Verdict | None:
        """None where one of the two was not measured."""
        if self.name not in series or self.rival not in series:
            return None
        ratio = series[self.name].ratio(series[self.rival])
        what = f"{_whose(self.name)}times as fast as {self.rival}"
        return ratio and Verdict(str(ratio), what, f"{self.least:g}", ratio.median >= self.least)


@dataclass(frozen=True)
class Limit:
    """How much of a ``figure``, such as milliseconds, we want to need at the most; ``name`` as in Goal."""

    figure: str
    most: float
    name: str = OURS

    def verdict(self, series: Mapping[str, Series]) -> Verdict | None:
        """None where it was not measured."""
        spread = series[self.name].spreads().get(self.figure) if self.name in series else None
        what = f"{_whose(self.name)}{self.figure}"
        return spread and Verdict(str(spread), what, f"at most {self.most:g}", spread.median <= self.most)


def _whose(name: str) -> str:
    return "" if name == OURS else f"{name}: "


@dataclass(frozen=True)
class Case:
    """What was compared; ``absent`` are the programs that were left out, with what brings them."""

    title: str
    series: Mapping[str, Series]
    goals: tuple[Goal | Limit, ...] = ()
    absent: Mapping[str, str] = field(default_factory=dict)


class Bench(Protocol):
    """What ``opened(root, scale)`` of a bench's module yields; its servers keep all under ``root``.

    It raises Missing. The module's CASES are the names of ``cases``.
    """

    @property
    def versions(self) -> Mapping[str, str]:
        """Of the programs that are here, by their names."""

    @property
    def cases(self) -> Mapping[str, Callable[[], Case]]:
        """What runs each case."""


class Programs:
    """Who of the programs is here, and the cases of those that are."""

    def __init__(self, modules: Iterable[ModuleType]) -> None:
        self.versions: dict[str, str] = {}
        self.absent: dict[str, str] = {}
        for module in modules:
            try:
                self.versions[module.NAME] = module.version()
            except Missing as missing:
                self.absent[module.NAME] = str(missing)
                tell(f"left out: {module.NAME}: {missing}")

    def case(
        self,
        title: str,
        runs: Mapping[str, Callable[[], Sample]],
        rounds: int,
        goals: tuple[Goal | Limit, ...] = (),
    ) -> Case:
        """Run those that are here in turn."""
        tell(f"-- {title}")
        here = {name: run for name, run in runs.items() if name in self.versions}
        absent = {name: self.absent[name] for name in runs if name in self.absent}
        tries = {name: TRIES for name in here if name != OURS}
        return Case(title, alternate(here, rounds, tries), goals, absent)

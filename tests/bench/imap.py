"""The mailbox drained: by us, by what merely copies it, and by what people write or run today."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from db import embedded
from tests.bench import corpus, dovecot, ours
from tests.bench.delay import delayed
from tests.bench.job import Box, Place
from tests.bench.machine import apart
from tests.bench.measure import Series, alternate, tell
from tests.bench.missing import Missing
from tests.bench.rivals import getmail, mbsync, naive, parsedmarc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from types import ModuleType

    from tests.bench.job import Drain
    from tests.bench.measure import Sample

#: Seconds that a byte is on its way in the far case: 20 ms there and back.
ONE_WAY = 0.010
PEAK_MAX = 300_000_000
#: A rival's run that failed is done again; one of ours is a failure.
TRIES = 3


@dataclass(frozen=True)
class Scale:
    """How much is done: rounds, and mails for each; the slow may have fewer, for rates are compared."""

    rounds: int
    mails: int
    by: Mapping[str, int] = field(default_factory=dict)
    big: int = 100
    big_rounds: int = 1

    def of(self, name: str) -> int:
        """How many mails a program is given."""
        return self.by.get(name, self.mails)


QUICK = Scale(3, 800, {getmail.NAME: 200, naive.NAME: 200, parsedmarc.NAME: 100, "far": 60}, big=25)
FULL = Scale(5, 800, {"far": 100}, big_rounds=3)


@dataclass(frozen=True)
class Goal:
    """How many times as fast as ``rival`` we want to be."""

    rival: str
    least: float


@dataclass(frozen=True)
class Case:
    """What was compared; ``absent`` are the programs that were left out, with what brings them."""

    title: str
    series: Mapping[str, Series]
    goals: tuple[Goal, ...] = ()
    absent: Mapping[str, str] = field(default_factory=dict)


NEAR_GOALS = (
    Goal(mbsync.NAME, 0.6),
    Goal(getmail.NAME, 5),
    Goal(naive.NAME, 3),
    Goal(parsedmarc.NAME, 15),
)
FAR_GOALS = (Goal(naive.NAME, 20),)


class Bench:
    """The servers, the prepared mailboxes, and who of the rivals is here."""

    def __init__(self, place: Place, scale: Scale) -> None:
        self._place, self._scale = place, scale
        self._boxes: dict[tuple[Callable[[int], bytes], int], Box] = {}
        self.versions: dict[str, str] = {}
        self.absent: dict[str, str] = {}
        for module in (ours, mbsync, getmail, naive, parsedmarc):
            self._look_for(module)

    def near(self) -> Case:
        """800 mails of 20 KB on loopback."""
        drains = {
            ours.NAME: ours.drain,
            mbsync.NAME: mbsync.drain,
            getmail.NAME: getmail.drain,
            naive.NAME: naive.drain,
            parsedmarc.NAME: parsedmarc.drain,
        }
        runs = {
            name: partial(self._run, name, drain, self._scale.of(name)) for name, drain in self._here(drains)
        }
        return self._case("near", runs, self._scale.rounds, NEAR_GOALS, drains)

    def far(self) -> Case:
        """The same with a round trip of 20 ms; what goes mail by mail is given few."""
        drains = {ours.NAME: ours.drain, mbsync.NAME: mbsync.drain, naive.NAME: naive.drain}
        few = {naive.NAME: self._scale.of("far")}
        with delayed(self._place.dovecot.port, ONE_WAY) as port:
            runs = {
                name: partial(self._run, name, drain, few.get(name, self._scale.mails), through=port)
                for name, drain in self._here(drains)
            }
            return self._case("far", runs, self._scale.rounds, FAR_GOALS, drains)

    def big(self) -> Case:
        """Mails of 10 MB, for the memory they take."""
        drains = {ours.NAME: ours.drain_watched}
        runs = {
            name: partial(self._run, name, drain, self._scale.big, mail=corpus.big_mail)
            for name, drain in self._here(drains)
        }
        return self._case("big", runs, self._scale.big_rounds, (), drains)

    def _look_for(self, module: ModuleType) -> None:
        try:
            self.versions[module.NAME] = module.version()
        except Missing as missing:
            self.absent[module.NAME] = str(missing)
            tell(f"left out: {module.NAME}: {missing}")

    def _here(self, drains: Mapping[str, Drain]) -> Iterator[tuple[str, Drain]]:
        return ((name, drain) for name, drain in drains.items() if name in self.versions)

    def _case(
        self,
        title: str,
        runs: Mapping[str, Callable[[], Sample]],
        rounds: int,
        goals: tuple[Goal, ...],
        wanted: Mapping[str, Drain],
    ) -> Case:
        tell(f"-- {title}")
        absent = {name: why for name, why in self.absent.items() if name in wanted}
        tries = {name: TRIES for name in runs if name != ours.NAME}
        return Case(title, alternate(runs, rounds, tries), goals, absent)

    def _run(
        self,
        name: str,
        drain: Drain,
        mails: int,
        *,
        through: int | None = None,
        mail: Callable[[int], bytes] = corpus.spec_mail,
    ) -> Sample:
        made_by = corpus.report_mail if name == parsedmarc.NAME else mail
        return self._place.do(drain, self._box(made_by, mails), through)

    def _box(self, mail: Callable[[int], bytes], mails: int) -> Box:
        if (mail, mails) not in self._boxes:
            template = self._place.root / "boxes" / f"{mail.__name__}-{mails}"
            tell(f"preparing {mails} times {mail.__name__}")
            dovecot.fill(template, map(mail, range(mails)), self._place.dovecot.owner)
            self._boxes[mail, mails] = Box(template, mails, mail)
        return self._boxes[mail, mails]


@contextmanager
def opened(root: Path, scale: Scale) -> Iterator[Bench]:
    """A bench whose servers run and keep all under ``root``; raises Missing."""
    (root / "jobs").mkdir()
    apart(root / "jobs")
    with ExitStack() as stack:
        server = stack.enter_context(dovecot.running(root / "dovecot"))
        # As the daemon brings it along: a commit is on the disk before it is one.
        postgres = stack.enter_context(embedded.running(root / "postgres"))
        yield Bench(Place(root, server, postgres), scale)

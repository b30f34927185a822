"""Mails read in reader processes, as the service has them read, beside the same reading in a plain loop.

The loop is one process and one thread. So is a reader, but for the service,
which hands mails over and takes readings in beside it: with one reader both
have one core to read with, and the difference is what the hand-over takes.
Both are given all mails at once. More readers are there to see how it grows.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from daemon.child import Limits
from daemon.readers import Readers
from daemon.reading import read
from tests.bench import inside
from tests.bench.case import OURS, Case, Goal
from tests.bench.corpus import WORKLOADS
from tests.bench.job import expect_all
from tests.bench.measure import alternate, tell

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from daemon.mail import Envelope
    from daemon.reading import Defaults
    from tests.bench.case import Scale
    from tests.bench.measure import Sample

CASES = ("read-typical", "read-heavy")

LOOP = "plain loop"
#: Reader processes; the first are those that the goal is for.
READERS = (1, 2, 4)
MAILS = {"quick": {"typical": 1000, "heavy": 200}, "full": {"typical": 4000, "heavy": 1000}}
#: Mails that are read before the clock starts: what is imported or compiled at first use is then there.
WARM_UP = 24
GOALS = (Goal(LOOP, 0.85),)


class Bench:
    """The configuration that mails are read by."""

    def __init__(self, told: Defaults, scale: Scale) -> None:
        self._told, self._scale = told, scale
        self.versions = {OURS: "this checkout"}
        self.cases = {name: partial(self._case, name, name.removeprefix("read-")) for name in CASES}

    def _case(self, title: str, workload: str) -> Case:
        tell(f"-- {title}")
        mails = self._scale.most(MAILS[self._scale.name][workload])
        envelopes = [inside.envelope(WORKLOADS[workload], n) for n in range(mails)]
        runs = {LOOP: partial(self._loop, envelopes)}
        for readers in READERS:
            name = OURS if readers == READERS[0] else f"{OURS}, {readers} readers"
            runs[name] = partial(self._readers, readers, envelopes)
        return Case(title, alternate(runs, self._scale.of(3, 5), {}), GOALS)

    def _loop(self, envelopes: Sequence[Envelope]) -> Sample:
        """Garbage is collected as Python does by itself, which is how it is in a reader."""
        self._read_all(envelopes[:WARM_UP])
        return inside.measured(len(envelopes), partial(self._read_all, envelopes))

    def _read_all(self, envelopes: Sequence[Envelope]) -> None:
        for envelope in envelopes:
            read(envelope, self._told)

    def _readers(self, processes: int, envelopes: Sequence[Envelope]) -> Sample:
        """Their start is not counted: a service starts them once."""
        readers = Readers(self._told, Limits(processes=processes))
        try:
            readers.start()
            _await_all(readers, envelopes[: WARM_UP * processes])
            with inside.as_the_service():
                return inside.measured(len(envelopes), partial(_await_all, readers, envelopes))
        finally:
            readers.close()


def _await_all(readers: Readers, envelopes: Sequence[Envelope]) -> None:
    futures = [readers.read(envelope) for envelope in envelopes]
    # A reading is gone again once it is looked at, as in the service.
    expect_all("readings without a plan", (bool(futures.pop(0).result().plans) for _ in envelopes))


@contextmanager
def opened(root: Path, scale: Scale) -> Iterator[Bench]:
    """A bench that keeps its configuration under ``root``."""
    yield Bench(inside.defaults(root), scale)

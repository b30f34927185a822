"""One run: a server on a stage of its own, mail for it, and what that took."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

from tests.bench import processes
from tests.bench.machine import apart
from tests.bench.measure import Sample
from tests.bench.posting import post, poster
from tests.bench.serving import Stage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from db.embedded import Server
    from tests.bench.posting import Poster, Posting
    from tests.bench.serving import Service, Serving, Workload

#: Mails before the clock starts: so many, or a part of a run that has few.
WARM, WARM_PART = 64, 4


@dataclass
class Stages:
    """Hands out stages, each with a folder of its own in ``folder``."""

    folder: Path
    _numbers: Iterator[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        self.folder.mkdir()
        apart(self.folder)

    def new(self, postgres: Server, workload: Workload) -> Stage:
        """The next one; nobody pays for what the one before has left to write."""
        folder = self.folder / str(next(self._numbers))
        folder.mkdir()
        os.sync()
        return Stage(folder, postgres, workload)


def run(serving: Serving, stage: Stage, posting: Posting) -> Sample:
    """Post to a new server, and see that it has all."""
    warm = min(WARM, posting.mails // WARM_PART)
    with serving(stage) as service:
        if warm:
            post(service.address, posting.part(0, warm))
            service.settle(warm)
        with poster(service.address, posting.part(warm, posting.mails)) as ready:
            sample = _timed(service, ready, warm, posting.mails)
        service.check(warm + posting.mails)
    return sample


def _timed(service: Service, ready: Poster, warm: int, mails: int) -> Sample:
    """From the first connection until all is done; the CPU of who posts is the other side's."""
    cpu = processes.cpu()
    ready.post()
    service.settle(warm + mails)
    end = time.time()
    cpu = processes.cpu() - cpu
    report = ready.report()
    return Sample(mails, end - report.start, cpu, report.cpu)

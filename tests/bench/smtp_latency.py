"""How long a sender waits at little load: from the dot to the 250, and from there to the events."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.bench import ours, processes
from tests.bench.measure import Sample
from tests.bench.posting import post, poster
from tests.bench.processes import DrainError
from tests.fix_daemon import REPO, environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.bench.load import Report
    from tests.bench.posting import Posting
    from tests.bench.serving import Stage
    from tests.fix_daemon import Daemon

#: Figures, in milliseconds.
P50, P99 = "250 p50 ms", "250 p99 ms"
EVENT_P50, EVENT_P99 = "event p50 ms", "event p99 ms"

#: Mails before the clock starts, which also show that the events are followed.
WARM = 20
#: Events of each mail's specification; the last one counts.
EVENTS = 2
#: Seconds for the events after the last 250, and between two looks at them.
PATIENCE, LOOK_EVERY = 30, 0.02


class Tail:
    """What ``specpost tail`` has shown: for each mail when its events came (seconds since 1970)."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._shown: dict[int, list[float]] = {}
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._process.stdout:
            now = time.time()
            number = int(json.loads(line)["metadata"]["repo"].rpartition("-")[2])
            self._shown.setdefault(number, []).append(now)

    def await_events(self, mails: int) -> None:
        """Return when all events of so many mails were shown."""
        deadline = time.monotonic() + PATIENCE
        while sum(map(len, list(self._shown.values()))) < mails * EVENTS:
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise DrainError(f"specpost tail has shown events of {len(self._shown)} of {mails} mails")
            time.sleep(LOOK_EVERY)

    def last(self, number: int) -> float:
        """When the last event of a mail was shown."""
        return max(self._shown[number])


@contextmanager
def tailing(daemon: Daemon) -> Iterator[Tail]:
    """``specpost tail -f``, as a user would follow the events of ``daemon``."""
    command = [sys.executable, "-m", "daemon", "tail", "-f", "-n", "1000", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment(daemon.env), cwd=REPO) as process:
        try:
            yield Tail(process)
        finally:
            process.kill()


def run(stage: Stage, posting: Posting) -> Sample:
    """Post at the rate that is asked for, to the daemon alone."""
    with (
        ours.migrated(stage.postgres) as database,
        ours.running(stage.folder / "daemon", ours.SMTP + ours.RULE, database) as daemon,
        tailing(daemon) as tail,
    ):
        post(daemon.smtp, posting.part(0, WARM))
        tail.await_events(WARM)
        with poster(daemon.smtp, posting.part(WARM, posting.mails)) as ready:
            cpu = processes.cpu()
            ready.post()
            cpu = processes.cpu() - cpu
            report = ready.report()
        tail.await_events(WARM + posting.mails)
        ours.service(daemon, database, stage.workload).check(WARM + posting.mails)
        return Sample(posting.mails, report.end - report.start, cpu, report.cpu, more=_figures(report, tail))


def _figures(report: Report, tail: Tail) -> dict[str, float]:
    answers = sorted(report.latencies.values())
    events = sorted(tail.last(number) - at for number, at in report.answered.items())
    return {
        P50: percentile(answers, 50) * 1000,
        P99: percentile(answers, 99) * 1000,
        EVENT_P50: percentile(events, 50) * 1000,
        EVENT_P99: percentile(events, 99) * 1000,
    }


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The least value that so many percent do not exceed."""
    return ordered[math.ceil(len(ordered) * percent / 100) - 1]

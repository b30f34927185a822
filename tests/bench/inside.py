"""Parts of the service, run within the bench on what the service would give them."""

from __future__ import annotations

import gc
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from daemon import memory, wiring
from daemon import settings as configuration
from daemon.intake import judged
from daemon.mail import Envelope
from daemon.outcome import Verdict
from daemon.trust import judge
from tests.bench import ours, processes
from tests.bench.corpus import SENDER, US
from tests.bench.job import expect
from tests.bench.measure import Sample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from daemon.reading import Defaults, Reading
    from daemon.records import Judged
    from tests.bench.serving import Workload


def defaults(folder: Path) -> Defaults:
    """What reading is told by the configuration that the daemon has in the bench."""
    file = folder / "specpost.toml"
    file.write_text(ours.SMTP + ours.RULE)
    return wiring.defaults(configuration.load(file, environ={}))


def envelope(workload: Workload, n: int) -> Envelope:
    """The ``n``-th mail as it comes by SMTP from the server before us."""
    return Envelope(workload.mail(n), "smtp", "127.0.0.1", SENDER, (US,), datetime.now(UTC))


def decided(mail: Envelope, reading: Reading, told: Defaults) -> Judged:
    """A mail that was read, as it joins a batch; all of the bench are accepted."""
    judgement = judge(mail, reading.mail, reading.requests(), reading.found, told.policy)
    fate = judged(mail, reading, judgement)
    expect("verdict", (fate.verdict, fate.reason), (Verdict.ACCEPTED, ""))
    return fate


@contextmanager
def as_the_service() -> Iterator[None]:
    """Garbage is collected as seldom as in the service."""
    usual = gc.get_threshold()
    memory.collect_seldom()
    try:
        yield
    finally:
        gc.set_threshold(*usual)
        gc.unfreeze()


def measured(mails: int, work: Callable[[], None]) -> Sample:
    """Time some work of this process; what others need for it, such as PostgreSQL, is the other side's."""
    others, own, begin = processes.cpu(), time.process_time(), time.perf_counter()
    work()
    seconds, own = time.perf_counter() - begin, time.process_time() - own
    others = processes.cpu() - others
    return Sample(mails, seconds, own + others, others)

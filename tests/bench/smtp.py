"""Mail taken by SMTP: by us, by who does nothing with it, and by what people write or run today."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from db import embedded
from tests.bench import load, ours, processes, smtp_latency, smtp_run
from tests.bench.case import Case, Goal, Limit, Programs
from tests.bench.corpus import WORKLOADS
from tests.bench.measure import Sample
from tests.bench.posting import Posting, post
from tests.bench.rivals import (
    aiosmtpd_null,
    haraka,
    naive_handler,
    postfix_pipe,
    postfix_queue,
    smtp_sink,
    smtp_source,
)
from tests.bench.smtp_latency import EVENT_P99, P50, P99
from tests.bench.smtp_run import Stages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from db.embedded import Server
    from tests.bench.case import Scale

#: Seconds that a run takes at the rates that are guessed below.
SECONDS = {"quick": 1.5, "full": 4}
ROUNDS = 5
#: Mails of a run at the least, of whoever takes only a few a second.
FEWEST = 40
#: PostgreSQL on a disk that takes 3 ms for a commit, whoever else commits.
SLOW = {"commit_delay": "3000", "commit_siblings": "0"}


@dataclass(frozen=True)
class Plan:
    """A case: about how many mails a second each program takes, and how they are posted.

    A case that has no goal or takes long has one quick round.
    """

    rates: Mapping[str, int]
    goals: tuple[Goal | Limit, ...] = ()
    sessions: int = 32
    workload: str = "typical"
    new_connections: bool = False
    slow_disk: bool = False
    quick_rounds: int = 2


PLANS = {
    "typical-1": Plan(
        {ours.NAME: 220, naive_handler.NAME: 200}, (Goal(naive_handler.NAME, 1.6),), sessions=1
    ),
    "typical-8": Plan(
        {ours.NAME: 600, postfix_queue.NAME: 2500}, (Goal(postfix_queue.NAME, 0.5),), sessions=8
    ),
    "typical-32": Plan(
        {ours.NAME: 800, aiosmtpd_null.NAME: 3000, smtp_sink.NAME: 15000, naive_handler.NAME: 220},
        (Goal(aiosmtpd_null.NAME, 0.6), Goal(naive_handler.NAME, 4)),
    ),
    "typical-32-new": Plan(
        {ours.NAME: 600, aiosmtpd_null.NAME: 800, naive_handler.NAME: 150},
        new_connections=True,
        quick_rounds=1,
    ),
    "heavy-32": Plan(
        {ours.NAME: 450, naive_handler.NAME: 60}, (Goal(naive_handler.NAME, 6),), workload="heavy"
    ),
    "slow-disk": Plan(
        {ours.NAME: 700, naive_handler.NAME: 130}, (Goal(naive_handler.NAME, 6),), slow_disk=True
    ),
    "pipe": Plan({ours.NAME: 800, postfix_pipe.NAME: 20}, (Goal(postfix_pipe.NAME, 60),), quick_rounds=1),
    "haraka": Plan({ours.NAME: 800, haraka.NAME: 500}, quick_rounds=1),
}
#: At so many mails a second nobody waits for another.
LATENCY_RATE = 5
LATENCY_MAILS = {"quick": 50, "full": 150}
LATENCY_GOALS = (Limit(P50, 15), Limit(P99, 60), Limit(EVENT_P99, 50))
#: The server is known, and the generators are compared.
GENERATOR_RATE = 3000

CASES = (*PLANS, "latency", "generator")
_SERVERS = (ours, aiosmtpd_null, smtp_sink, naive_handler, postfix_queue, postfix_pipe, haraka)
_PROGRAMS = {module.NAME: module for module in (*_SERVERS, load, smtp_source)}


class Bench:
    """The database server, the folders, and who of the programs is here."""

    def __init__(self, root: Path, postgres: Server, scale: Scale) -> None:
        self._root, self._postgres, self._scale = root, postgres, scale
        self._stages = Stages(root / "runs")
        self.versions: dict[str, str] = {}
        self.cases: dict[str, Callable[[], Case]] = {
            **{name: partial(self._planned, name, plan) for name, plan in PLANS.items()},
            "latency": self._latency,
            "generator": self._generator,
        }

    def _planned(self, name: str, plan: Plan) -> Case:
        with ExitStack() as stack:
            postgres = self._postgres
            if plan.slow_disk:
                postgres = stack.enter_context(embedded.running(self._root / "slow", options=SLOW))
            runs = {
                program: partial(self._run, program, self._posting(plan, rate), postgres)
                for program, rate in plan.rates.items()
            }
            return self._case(name, runs, self._scale.of(plan.quick_rounds, ROUNDS), plan.goals)

    def _latency(self) -> Case:
        """A mail now and then: how long its sender waits, and whoever follows the events."""
        mails = self._scale.most(LATENCY_MAILS[self._scale.name])
        posting = Posting(WORKLOADS["typical"], mails, rate=LATENCY_RATE)

        def run() -> Sample:
            return smtp_latency.run(self._stages.new(self._postgres, posting.workload), posting)

        return self._case("latency", {ours.NAME: run}, self._scale.of(1, ROUNDS), LATENCY_GOALS)

    def _generator(self) -> Case:
        """Our load generator and Postfix's with the same server: a slow generator would show itself."""
        posting = Posting(WORKLOADS["typical"], self._mails(GENERATOR_RATE), sessions=32)
        runs = {
            load.NAME: partial(self._run, aiosmtpd_null.NAME, posting, self._postgres),
            smtp_source.NAME: partial(self._run_source, posting),
        }
        return self._case("generator", runs, self._scale.of(1, ROUNDS))

    def _case(
        self,
        title: str,
        runs: Mapping[str, Callable[[], Sample]],
        rounds: int,
        goals: tuple[Goal | Limit, ...] = (),
    ) -> Case:
        """Look for those that are compared, and for no others: some are installed at that."""
        programs = Programs(_PROGRAMS[name] for name in runs)
        self.versions |= programs.versions
        return programs.case(title, runs, rounds, goals)

    def _mails(self, rate: int) -> int:
        return self._scale.most(max(FEWEST, int(rate * SECONDS[self._scale.name])))

    def _posting(self, plan: Plan, rate: int) -> Posting:
        workload, mails = WORKLOADS[plan.workload], self._mails(rate)
        return Posting(workload, mails, plan.sessions, new_connections=plan.new_connections)

    def _run(self, program: str, posting: Posting, postgres: Server) -> Sample:
        stage = self._stages.new(postgres, posting.workload)
        return smtp_run.run(_PROGRAMS[program].serving, stage, posting)

    def _run_source(self, posting: Posting) -> Sample:
        with aiosmtpd_null.serving(self._stages.new(self._postgres, posting.workload)) as service:
            post(service.address, posting.part(0, smtp_run.WARM))
            cpu = processes.cpu()
            seconds = smtp_source.post(service.address, posting)
            return Sample(posting.mails, seconds, processes.cpu() - cpu)


@contextmanager
def opened(root: Path, scale: Scale) -> Iterator[Bench]:
    """A bench whose PostgreSQL runs and keeps all under ``root``."""
    # As the daemon brings it along: a commit is on the disk before it is one.
    with embedded.running(root / "postgres") as postgres:
        yield Bench(root, postgres, scale)

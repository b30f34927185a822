"""How the cost grows: with the size of a mail, what is stored, connections, readers and services."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from daemon.settings import Smtp
from db import embedded
from tests.bench import growth_services, growth_size, growth_specs, ours, smtp_run
from tests.bench.case import Case, Goal, Limit, Programs
from tests.bench.corpus import WORKLOADS
from tests.bench.growth_size import KB, MB, TIMES
from tests.bench.measure import alternate, tell
from tests.bench.posting import Posting
from tests.bench.rivals import aiosmtpd_null
from tests.bench.smtp_run import Stages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from db.embedded import Server
    from tests.bench.case import Scale
    from tests.bench.growth_specs import Tables
    from tests.bench.measure import Sample
    from tests.bench.serving import Serving

CASES = ("size", "specs", "connections", "readers", "services")

#: What is grown, as --quick and --full have it. [smtp] max_size is 25 MiB.
SIZES = {"quick": (20 * KB, MB, 10 * MB), "full": (20 * KB, 200 * KB, MB, 10 * MB, 25 * MB)}
SPECS = {"quick": (0, 30_000), "full": (0, 100_000, 1_000_000)}
CONNECTIONS = {"quick": (1, 32, 500), "full": (1, 8, 32, 128, 500)}
READERS = {"quick": (1, 2), "full": (1, 2, 4)}
SERVICES = (1, 2)
WORKLOAD = WORKLOADS["typical"]
#: Mails of a run; over one connection, which spends its time waiting; and large ones, for the median of them.
MAILS = {"quick": 500, "full": 2000}
ALONE_MAILS = {"quick": 50, "full": 300}
LARGE_MAILS = {"quick": 3, "full": 5}
#: Mails that a connection brings at the least, since it is the same one that is used again.
EACH = 2
#: Connections where the case is about something else.
SESSIONS = 32


class Bench:
    """The server, and the databases that were filled on it and are kept for all rounds."""

    def __init__(self, root: Path, postgres: Server, kept: ExitStack, scale: Scale) -> None:
        self._postgres, self._kept, self._scale = postgres, kept, scale
        self._stages = Stages(root / "runs")
        self._programs = Programs((ours, aiosmtpd_null))
        self._tables: dict[int, Tables] = {}
        self.cases = {
            "size": self._size,
            "specs": self._specs,
            "connections": self._connections,
            "readers": self._readers,
            "services": self._services,
        }

    @property
    def versions(self) -> Mapping[str, str]:
        """Of the programs that are here."""
        return self._programs.versions

    def _size(self) -> Case:
        """One large mail after the other, beside who reads none of it."""
        mails = self._scale.most(LARGE_MAILS[self._scale.name])
        runs = {}
        for size in SIZES[self._scale.name]:
            for module in (ours, aiosmtpd_null):
                if module.NAME in self.versions:
                    name = f"{module.NAME}, {growth_size.title(size)}"
                    runs[name] = partial(self._large, module.serving, size, mails)
        us, they = (f"{module.NAME}, {growth_size.title(10 * MB)}" for module in (ours, aiosmtpd_null))
        goals = (Goal(they, 1.5, us), Limit(TIMES, 6, us))
        return self._case("size", runs, goals, self._programs.absent)

    def _specs(self) -> Case:
        """Mail for a database that holds many specifications already."""
        runs = {f"{specs:,} specs": partial(self._full, specs) for specs in SPECS[self._scale.name]}
        return self._case("specs", runs)

    def _connections(self) -> Case:
        """Mail over as many connections, each of which brings many."""
        runs = {
            _count(n, "connection"): partial(self._run, ours.serving, n)
            for n in CONNECTIONS[self._scale.name]
        }
        return self._case("connections", runs, (Goal("32 connections", 0.75, "500 connections"),))

    def _readers(self) -> Case:
        """Mail for as many reader processes."""
        runs = {
            _count(n, "reader"): partial(self._run, partial(ours.serving, SPECPOST_READERS__PROCESSES=str(n)))
            for n in READERS[self._scale.name]
        }
        return self._case("readers", runs)

    def _services(self) -> Case:
        """Mail for as many services on one port."""
        runs = {
            _count(n, "service"): partial(self._run, partial(growth_services.serving, n)) for n in SERVICES
        }
        if growth_services.SETTING in Smtp.model_fields:
            return self._case("services", runs)
        missing = f"this checkout has no [smtp] {growth_services.SETTING}"
        return self._case("services", {}, absent={"several services": missing})

    def _case(
        self,
        title: str,
        runs: Mapping[str, Callable[[], Sample]],
        goals: tuple[Goal | Limit, ...] = (),
        absent: Mapping[str, str] | None = None,
    ) -> Case:
        tell(f"-- {title}")
        return Case(title, alternate(runs, self._scale.of(1, 3), {}), goals, absent or {})

    def _large(self, serving: Serving, size: int, mails: int) -> Sample:
        stage = self._stages.new(self._postgres, growth_size.workload(size))
        return growth_size.run(serving, stage, size, mails)

    def _full(self, specs: int) -> Sample:
        if specs not in self._tables:
            folder = self._stages.new(self._postgres, WORKLOAD).folder / "daemon"
            filled = growth_specs.filled(self._postgres, folder, WORKLOAD, specs)
            self._tables[specs] = self._kept.enter_context(filled)
        stage = self._stages.new(self._postgres, WORKLOAD)
        return growth_specs.run(self._tables[specs], stage, self._posting(SESSIONS))

    def _run(self, serving: Serving, sessions: int = SESSIONS) -> Sample:
        return smtp_run.run(serving, self._stages.new(self._postgres, WORKLOAD), self._posting(sessions))

    def _posting(self, sessions: int) -> Posting:
        mails = (MAILS if sessions > 1 else ALONE_MAILS)[self._scale.name]
        return Posting(WORKLOAD, self._scale.most(max(mails, EACH * sessions)), sessions)


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'s' * (n != 1)}"


@contextmanager
def opened(root: Path, scale: Scale) -> Iterator[Bench]:
    """A bench whose PostgreSQL runs and keeps all under ``root``."""
    # As the daemon brings it along: a commit is on the disk before it is one.
    with embedded.running(root / "postgres") as postgres, ExitStack() as kept:
        yield Bench(root, postgres, kept, scale)

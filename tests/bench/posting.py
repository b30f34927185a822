"""Our load generator as the bench runs it: started, told to begin, and its report read."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tests.bench.job import PER_MAIL, START, expect
from tests.bench.load import DONE, READY, TAKEN, Report
from tests.bench.processes import DrainError
from tests.fix_daemon import REPO

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.serving import Workload


@dataclass(frozen=True)
class Posting:
    """What is posted: the mails ``first`` to ``first + mails - 1``, as ``load``'s options have it."""

    workload: Workload
    mails: int
    sessions: int = 1
    first: int = 0
    new_connections: bool = False
    rate: float | None = None

    @property
    def options(self) -> list[str]:
        """On ``load``'s command line."""
        told = {
            "workload": self.workload.name,
            "mails": self.mails,
            "sessions": self.sessions,
            "first": self.first,
        }
        rate = [f"--rate={self.rate}"] if self.rate else []
        new = ["--new-connections"] if self.new_connections else []
        return [f"--{name}={value}" for name, value in told.items()] + rate + new

    @property
    def timeout(self) -> float:
        """Seconds after which it has failed."""
        return START + PER_MAIL * self.mails + (self.mails / self.rate if self.rate else 0)

    def part(self, first: int, mails: int) -> Posting:
        """Some of the mails, posted alike."""
        return replace(self, first=first, mails=mails)


class Poster:
    """A generator whose mails are made."""

    def __init__(self, process: subprocess.Popen[str], posting: Posting) -> None:
        self._process, self._posting = process, posting

    def post(self) -> None:
        """Post all of it; returns when the last answer has come, and raises DrainError if none does."""
        end = threading.Timer(self._posting.timeout, self._process.kill)
        end.start()
        try:
            self._process.stdin.write("\n")
            self._process.stdin.flush()
            self._await(DONE)
        finally:
            end.cancel()

    def report(self) -> Report:
        """What came of it; raises DrainError unless each mail was taken."""
        line = self._process.stdout.readline()
        if not line:
            raise DrainError("the load generator has no report")
        told = json.loads(line)
        answers = Counter({int(code): times for code, times in told.pop("answers").items()})
        numbered = {
            name: {int(number): value for number, value in told.pop(name).items()}
            for name in ("latencies", "answered")
        }
        report = Report(answers=answers, **numbered, **told)
        expect(f"answers {report.refusals}", dict(answers), {TAKEN: self._posting.mails})
        return report

    def _await(self, line: str) -> None:
        if self._process.stdout.readline().strip() != line:
            raise DrainError(f"the load generator was not {line} within {self._posting.timeout:.0f} s")


@contextmanager
def poster(address: tuple[str, int], posting: Posting) -> Iterator[Poster]:
    """A generator for one server, whose mails are made; it is gone afterwards."""
    host, port = address
    command = [sys.executable, "-m", "tests.bench.load", host, str(port), *posting.options, "--wait"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPO
    ) as process:
        try:
            ready = Poster(process, posting)
            ready._await(READY)
            yield ready
        finally:
            process.kill()


def post(address: tuple[str, int], posting: Posting) -> Report:
    """Post all of it at once."""
    with poster(address, posting) as ready:
        ready.post()
        return ready.report()

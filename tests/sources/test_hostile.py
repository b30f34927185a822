"""A thousand hostile connections do not keep an honest client out."""

from __future__ import annotations

import os
import smtplib
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.fix_daemon import PATIENCE, REPO, environment, new_daemon
from tests.fix_house import US, a_mail, spec_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.fix_daemon import Daemon
    from tests.fix_database import Database

STRANGERS = 1000
#: Seconds after which an honest client is greeted; on a busy machine thrice that.
GREETED = 2
MIB = 2**20


@dataclass
class Visits:
    """How long honest clients waited, in seconds, and the codes their mails got."""

    greeted: list[float]
    answered: list[float]
    codes: list[int]

    def __str__(self) -> str:
        """Milliseconds: least, median, most."""
        return "; ".join(
            f"{name} {min(each) * 1e3:.1f} {statistics.median(each) * 1e3:.1f} {max(each) * 1e3:.1f} ms"
            for name, each in (("greeted", self.greeted), ("answered", self.answered))
        )


def visit(daemon: Daemon, title: str, times: int = 10) -> Visits:
    """Mail one specification after the other, each on a connection of its own."""
    visits = Visits([], [], [])
    for number in range(times):
        raw = a_mail(("spec.yaml", spec_for("example/tides")), Message_ID=f"<{title}-{number}@example.org>")
        start = time.monotonic()
        with smtplib.SMTP(*daemon.smtp, timeout=PATIENCE) as client:
            visits.greeted.append(time.monotonic() - start)
            client.ehlo()
            client.mail("ana@example.org")
            client.rcpt(US)
            visits.codes.append(client.data(raw)[0])
            visits.answered.append(time.monotonic() - start)
    return visits


@contextmanager
def flood(daemon: Daemon) -> Iterator[Callable[[int], None]]:
    """A thousand strangers meanwhile, in a process of their own; waits until so many more have come."""
    command = [sys.executable, "-m", "tests.hostile", str(daemon.smtp[1]), str(STRANGERS)]
    with subprocess.Popen(
        command, cwd=REPO, env=environment({}), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as strangers:
        assert strangers.stdin
        assert strangers.stdout
        lines = strangers.stdout

        def more(number: int) -> None:
            assert all(lines.readline() for _ in range(number // 100))

        try:
            yield more
        finally:
            strangers.stdin.close()


def resident(daemon: Daemon) -> int:
    """Octets of memory the daemon occupies."""
    pages = int(Path(f"/proc/{daemon.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def processor(daemon: Daemon) -> float:
    """Seconds of processor time the daemon has used."""
    fields = Path(f"/proc/{daemon.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def descriptors(daemon: Daemon) -> int:
    """How many files and connections the daemon has open."""
    return sum(1 for _ in Path(f"/proc/{daemon.process.pid}/fd").iterdir())


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait for what has no event: another process's books."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def open_daemon(database: Database, tmp_path: Path, certificate: Path) -> Iterator[Daemon]:
    """A daemon with TLS and its usual limits."""
    variables = {
        "SPECPOST_DATABASE__URL": database.url,
        "SPECPOST_SMTP__TLS_CERT": str(certificate),
        "SPECPOST_SMTP__TLS_KEY": str(certificate),
    }
    with new_daemon(tmp_path / "daemon", **variables) as running:
        yield running


@pytest.mark.long
def test_a_thousand_strangers_keep_nobody_out(open_daemon: Daemon) -> None:
    """An honest client is greeted in time and its mail is accepted; once they are gone, so is every trace."""
    before = visit(open_daemon, "before")
    memory, files = resident(open_daemon), descriptors(open_daemon)
    with flood(open_daemon) as more_come:
        more_come(STRANGERS)
        used, start = processor(open_daemon), time.monotonic()
        at_first = visit(open_daemon, "first")
        more_come(200)
        later = visit(open_daemon, "later")
        share = (processor(open_daemon) - used) / (time.monotonic() - start)
        most = resident(open_daemon)
        wait_until(lambda: descriptors(open_daemon) >= STRANGERS)  # who was sent away makes room for the next
        assert descriptors(open_daemon) <= files + STRANGERS + 4 * 512
        more_come(200)
    assert before.codes == at_first.codes == later.codes == [250] * 10
    assert max(at_first.greeted + later.greeted) <= 3 * GREETED
    wait_until(lambda: descriptors(open_daemon) <= files)
    after = visit(open_daemon, "after")
    said = f"before: {before}\nat first: {at_first}\nlater: {later}\nafter: {after}\nprocessor: {share:.0%}"
    print(f"{said}\nmemory: {memory >> 20}, {most >> 20}, {resident(open_daemon) >> 20} MiB")  # noqa: T201
    assert after.codes == [250] * 10
    assert resident(open_daemon) <= memory + 64 * MIB
    assert not {"internal error", "library"} & set(open_daemon.events())

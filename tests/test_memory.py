"""What the largest mail costs: memory of the service and its readers, and time."""

from __future__ import annotations

import base64
import random
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from daemon.sources.limits import Limits
from tests.fix_house import SPEC, US

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.fix_daemon import Daemon
    from tests.fix_database import Database

pytestmark = pytest.mark.long

#: What SIZE announces, in octets.
LARGEST = Limits().max_size
#: How many times its own size a mail may occupy.
BAR = 15
#: Seconds for a reader that was ended to be gone.
PATIENCE = 5
#: Seconds between two looks at the processes.
INTERVAL = 0.01

HEAD = (
    f"From: Ana <ana@example.org>\r\nTo: {US}\r\nSubject: large\r\n"
    "Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\n"
).encode()
#: Text of 8 bits, in lines as people write them.
LINE = "à l'heure de la marée, ".encode() * 3 + b".\r\n"


def attached(encoding: bytes, content: bytes = b"") -> bytes:
    """A message with a specification and a file, already encoded."""
    return b"".join(
        [
            HEAD,
            b"Content-Type: multipart/mixed; boundary=_large\r\n\r\n--_large\r\n",
            b"Content-Type: application/yaml; charset=utf-8; name=spec.yaml\r\n\r\n",
            SPEC.replace("\n", "\r\n").encode(),
            b"\r\n--_large\r\nContent-Type: application/octet-stream; name=large.bin\r\n",
            b"Content-Transfer-Encoding: " + encoding + b"\r\n\r\n",
            content,
            b"\r\n--_large--\r\n",
        ]
    )


def in_base64() -> tuple[bytes, bytes]:
    """The largest message with a file in Base64; and the file."""
    lines = (LARGEST - len(attached(b"base64"))) // 78  # of 76 letters for 57 octets each
    content = random.Random(1).randbytes(57 * lines)
    return attached(b"base64", base64.encodebytes(content).replace(b"\n", b"\r\n")), content


def in_8_bits() -> tuple[bytes, bytes]:
    """The largest message with a file of text as it is; and the file."""
    content = LINE * ((LARGEST - len(attached(b"8bit"))) // len(LINE))
    return attached(b"8bit", content), content


def pss(root: int) -> int:
    """Octets that the process ``root`` and all below it occupy, shared ones divided by their sharers."""
    found = 0
    with suppress(FileNotFoundError, ProcessLookupError):  # a reader that was just replaced
        folder = Path("/proc", str(root))
        rollup = (folder / "smaps_rollup").read_text()
        found = int(rollup.partition("\nPss:")[2].split()[0]) * 1024
        below = [child for task in folder.glob("task/*/children") for child in task.read_text().split()]
        found += sum(pss(int(child)) for child in below)
    return found


@dataclass
class Watch:
    """The largest memory seen over what was idle, in octets, and the seconds it took."""

    idle: int
    peak: int = 0
    looks: int = 0
    seconds: float = 0.0

    @property
    def grown(self) -> int:
        """What the mail cost."""
        return self.peak - self.idle


@contextmanager
def watched(daemon: Daemon) -> Iterator[Watch]:
    """Look at the daemon's memory all the while."""
    root = daemon.process.pid
    watch, over = Watch(pss(root)), threading.Event()

    def look() -> None:
        while not over.wait(INTERVAL):
            watch.peak, watch.looks = max(watch.peak, pss(root)), watch.looks + 1

    thread = threading.Thread(target=look)
    thread.start()
    started = time.monotonic()
    try:
        yield watch
    finally:
        watch.seconds = time.monotonic() - started
        over.set()
        thread.join()


def report(what: str, mail: bytes, watch: Watch) -> None:
    """Print the figures, for -s and for the report of a failure."""
    print(  # noqa: T201 - figures are for reading
        f"{what}: {len(mail):,} octets, idle {watch.idle / 2**20:.1f} MiB, peak {watch.peak / 2**20:.1f} MiB,"
        f" grown {watch.grown / len(mail):.2f}x the message, {watch.seconds:.2f} s, {watch.looks} looks"
    )


@pytest.mark.parametrize("made", [in_base64, in_8_bits])
def test_the_largest_mail_is_taken_within_fifteen_times_its_size(
    daemon: Daemon, database: Database, made: Callable[[], tuple[bytes, bytes]]
) -> None:
    """Service and readers together, over idle; and the attachment arrives to the byte."""
    mail, content = made()
    assert LARGEST - 100 < len(mail) <= LARGEST
    assert daemon.mail(attached(b"8bit", b"small"))[0] == 250  # so that nothing is loaded for the first time

    with watched(daemon) as watch:
        code, answer = daemon.mail(mail)

    report(made.__name__, mail, watch)
    assert code == 250, answer
    with database.connect() as conn:
        query = "select key from intake.parts where name = 'large.bin' order by size desc limit 1"
        ((key,),) = conn.execute(query).fetchall()
    assert (daemon.state_dir / "storage" / key).read_bytes() == content
    assert watch.looks * 10 * INTERVAL > watch.seconds
    assert watch.grown < BAR * len(mail)


def test_memory_goes_back_when_large_mails_are_done_with(daemon: Daemon) -> None:
    """A service that runs for months costs what it costs idle, whatever it has read."""
    assert daemon.mail(attached(b"8bit", b"small"))[0] == 250
    idle = pss(daemon.process.pid)

    for make in (in_base64, in_8_bits, in_base64):
        assert daemon.mail(make()[0])[0] == 250

    patient_until, left = time.monotonic() + PATIENCE, LARGEST
    while left > LARGEST // 2 and time.monotonic() < patient_until:
        left = pss(daemon.process.pid) - idle
    print(f"left of three large mails: {left / 2**20:.1f} MiB")  # noqa: T201 - figures are for reading
    assert left <= LARGEST // 2


def test_the_largest_text_is_answered_within_the_same(daemon: Daemon) -> None:
    """A mail that is all text is beyond what a specification may be, and costs no more to find out."""
    assert daemon.mail(attached(b"8bit", b"small"))[0] == 250
    mail = HEAD + b"Content-Type: text/plain; charset=utf-8\r\n\r\n"
    mail += LINE * ((LARGEST - len(mail)) // len(LINE))

    with watched(daemon) as watch:
        code, answer = daemon.mail(mail)

    report("text", mail, watch)
    assert (code, answer[:5]) == (550, "5.6.0")
    assert watch.grown < BAR * len(mail)

"""Large mails, one after the other in one session: how long each takes, and the memory that takes."""

from __future__ import annotations

import random
import socket
import threading
import time
from contextlib import contextmanager
from functools import cache, partial
from itertools import count, islice
from statistics import median
from typing import TYPE_CHECKING

from tests.bench import corpus, processes
from tests.bench.load import GO_ON, TAKEN, wire
from tests.bench.measure import Sample
from tests.bench.processes import DrainError
from tests.bench.serving import Stage, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from db.embedded import Server
    from tests.bench.serving import Serving

KB, MB = 1000, 1000 * 1000
#: Figures of this case: milliseconds from MAIL to the 250, and the peak of memory over what there was before
#: the first large mail, of the server in megabytes and in sizes of a mail, and of PostgreSQL.
MS, PEAK, TIMES, POSTGRES = "ms a mail", "peak MB over idle", "times the size", "PostgreSQL's MB"
#: Bytes of a mail from which memory can be told in its size.
TIMES_MIN = MB
#: Small mails before the first large one.
WARM = 16
#: Seconds for which mails are sent at the least.
AT_LEAST = 0.5
#: Seconds between two looks at memory: its peaks are as short as a few milliseconds.
LOOK_EVERY = 0.003
#: Seconds for an answer.
PATIENCE = 120


def title(size: int) -> str:
    """A size in words."""
    return f"{size // MB} MB" if size >= MB else f"{size // KB} KB"


@cache
def workload(size: int) -> Workload:
    """Mails of ``size`` bytes, but for the first ones, which are small: who has taken them has warmed up."""
    return Workload(title(size), partial(_mail, size), corpus.specification)


def run(serving: Serving, stage: Stage, size: int, mails: int) -> Sample:
    """Send ``mails`` or more for the time, then as many for the memory, since to look at that takes time."""
    with serving(stage) as service, _session(service.address) as session:
        numbers = count()
        for n in islice(numbers, WARM):
            session.send(wire(stage.workload.mail(n)))
        trees = {PEAK: processes.tree(service.pid), POSTGRES: processes.tree(_postmaster(stage.postgres))}
        idle = {name: _memory(pids) for name, pids in trees.items()}
        cpu = processes.cpu(of=service.pid)
        took = _send(session, stage.workload, numbers, mails)
        cpu = processes.cpu(of=service.pid) - cpu
        with _peaks(trees, idle) as most:
            _send(session, stage.workload, numbers, mails)
        sent = next(numbers)
        service.settle(sent)
        service.check(sent)
    over = {name: most[name] - idle[name] for name in trees}
    times = {TIMES: over[PEAK] / size} if size >= TIMES_MIN else {}
    more = {MS: median(took) * 1000} | {name: octets / MB for name, octets in over.items()} | times
    return Sample(len(took), median(took) * len(took), cpu, more=more)


def _send(session: _Session, workload: Workload, numbers: Iterator[int], mails: int) -> list[float]:
    """The seconds of each; a mail is made when it is due, for all of them are hundreds of megabytes."""
    took: list[float] = []
    while len(took) < mails or sum(took) < AT_LEAST:
        took.append(session.send(wire(workload.mail(next(numbers)))))
    return took


@contextmanager
def _peaks(trees: Mapping[str, set[int]], idle: Mapping[str, int]) -> Iterator[dict[str, int]]:
    """The most memory (PSS) that each tree of processes held; ``idle`` is what it held before.

    ``processes.peak`` looks less often, which does for seconds of load; here it saw two thirds of the peaks.
    """
    most = dict(idle)
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(LOOK_EVERY):
            for name, pids in trees.items():
                most[name] = max(most[name], _memory(pids))

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    try:
        yield most
    finally:
        ended.set()
        looking.join()


def _memory(pids: set[int]) -> int:
    return sum(map(processes._pss, pids))


class _Session:
    """A client that waits for each answer."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._answers = connection.makefile("rb")
        self._hear(220)
        self._ask("EHLO out.example.org")

    def send(self, message: bytes) -> float:
        """Send a message as DATA has it; the seconds from MAIL to its 250."""
        begin = time.perf_counter()
        self._ask(f"MAIL FROM:<{corpus.SENDER}>")
        self._ask(f"RCPT TO:<{corpus.US}>")
        self._ask("DATA", GO_ON)
        self._connection.sendall(message)
        self._hear(TAKEN)
        return time.perf_counter() - begin

    def _ask(self, command: str, wanted: int = TAKEN) -> None:
        self._connection.sendall(f"{command}\r\n".encode())
        self._hear(wanted)

    def _hear(self, wanted: int) -> None:
        line = self._answers.readline()
        while line[3:4] == b"-":
            line = self._answers.readline()
        if not line.startswith(str(wanted).encode()):
            raise DrainError(f"{wanted} was due, and not {line!r}")


@contextmanager
def _session(address: tuple[str, int]) -> Iterator[_Session]:
    try:
        with socket.create_connection(address, PATIENCE) as connection:
            yield _Session(connection)
    except OSError as error:
        raise DrainError(f"the server hung up or took over {PATIENCE} s: {error}") from None


def _mail(size: int, n: int) -> bytes:
    """A specification, and a film that nothing can compress: as corpus.big_mail, but of any size."""
    head = corpus._head(n, f"tide film {n}")
    text = corpus._text("text/plain", "See the film.\n")
    spec = corpus._attachment("application/yaml", corpus.SPEC_NAME, corpus.specification(n))
    if n < WARM:
        return head + corpus._mixed(text, spec)
    film, name = random.Random(n).randbytes(size), "tide.mp4"
    empty = head + corpus._mixed(text, spec, corpus._attachment("video/mp4", name, b""))
    # A line of Base64 is 78 bytes for 57.
    film = film[: (size - len(empty)) // 78 * 57]
    return head + corpus._mixed(text, spec, corpus._attachment("video/mp4", name, film))


def _postmaster(server: Server) -> int:
    return int((server.data_dir / "postmaster.pid").read_text().split()[0])

"""One child process that reads mails, with limits on time, memory, CPU and files.

A child of our own instead of a pool library's: it has a pipe to itself and
answers mail by mail, so the mail that broke it is known, its neighbours in the
same hand-over are not lost with it, and no pipe is shared that a dying child
could leave half-written. Deadlines are monotonic.
"""

from __future__ import annotations

import copyreg
import math
import multiprocessing
import os
import pickle
import resource
import signal
import socket
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from daemon import memory
from daemon.mail import Envelope, Mail, Part, Unreadable
from daemon.pipe import Pipe
from daemon.reading import Plan, PlannedSpec, Reading, Verification, read, verify
from daemon.spec.documents import Document
from daemon.spec.target import Target
from daemon.trust.findings import Case, Dkim, Found

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from daemon.reading import Defaults

#: Seconds a child may take to start and import what it needs.
START_TIMEOUT = 60.0
#: Files a child may have open: its pipes, the standard three, and what an import needs.
CHILD_FILES = 64

#: Bytes from which those of a message or a part aren't pickled: no document is so large, which is sent as a
#: part of its mail and as what was read, and pickled only once.
ASIDE = 512 * 1024

#: What a child is given to do, and what it makes of it.
Work = Envelope | Verification
Answer = Reading | Dkim | Unreadable


def _pickle_plainly(kind: type[Any]) -> None:
    """Have a dataclass pickled as a call with its fields; ``slots`` would have each looked up in Python."""
    values = attrgetter(*(field.name for field in fields(kind)))
    copyreg.pickle(kind, lambda each: (kind, values(each)))


def _pickle_aside(kind: type[Any], large: str) -> None:
    """The same, but the bytes of its field ``large`` aren't pickled when they are many."""
    names = [field.name for field in fields(kind)]
    values, at = attrgetter(*names), names.index(large)

    def reduced(each: Any) -> tuple[type[Any], tuple[Any, ...]]:  # noqa: ANN401 - a ``kind``
        found = values(each)
        if len(found[at]) >= ASIDE:
            found = (*found[:at], pickle.PickleBuffer(found[at]), *found[at + 1 :])
        return kind, found

    copyreg.pickle(kind, reduced)


# What works and answers are made of.
for _kind in (Verification, Reading, Mail, Plan, PlannedSpec, Document, Target, Found):
    _pickle_plainly(_kind)
for _heavy, _large in ((Envelope, "raw"), (Case, "raw"), (Part, "content")):
    _pickle_aside(_heavy, _large)
copyreg.pickle(UUID, lambda each: (UUID, (None, None, None, None, each.int)))

# Started from a clean server process, so that no child inherits a connection, a lock or a listening socket.
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload([__name__])


class NotStarted(Exception):  # noqa: N818 - as below
    """A child that can't so much as start: the machine's trouble, and no mail's."""


class ChildDied(Exception):  # noqa: N818 - what happened, not whose error it is
    """The child is gone and the mail it was reading is not read; the text says how."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What reading may use.

    ``processes`` children in the fast lane, ``deadline`` and
    ``slow_deadline`` seconds for a mail in either lane, ``memory`` bytes of
    address space beside the message, ``waiting`` mails before the slow lane.
    """

    processes: int = 2
    deadline: float = 1.0
    slow_deadline: float = 10.0
    memory: int = 512 << 20
    waiting: int = 16


class Child:
    """A process that reads; ready once ``wait_ready`` returns."""

    def __init__(self, defaults: Defaults, limits: Limits) -> None:
        ours, theirs = socket.socketpair()
        self._pipe = Pipe(ours)
        self._process = _processes.Process(target=_serve, args=(theirs, defaults, limits), daemon=True)
        with _uninterrupted():
            self._process.start()
        theirs.close()
        self._ready = False
        self.due = math.inf
        """When the reading that goes on must be over (monotonic seconds); infinity while idle."""

    def wait_ready(self) -> None:
        """Wait for the child's first word; NotStarted when it doesn't come."""
        if not self._ready:
            try:
                self._answer(START_TIMEOUT, "start")
            except ChildDied as death:
                raise NotStarted(f"a reader could not be started: it {death}") from death
            self._ready = True

    def read(self, works: Sequence[Work], deadline: float) -> Iterator[Answer]:
        """Read or verify mails in their order, each within ``deadline`` seconds.

        Raises:
            ChildDied: while reading the mail after the last answer; the child is over.
            NotStarted: before reading any.
        """
        self.wait_ready()
        self.due = time.monotonic() + deadline  # a child that takes nothing keeps its worker waiting here
        try:
            self._pipe.send(works)
        except OSError as error:
            raise self._died("died") from error
        for _ in works:
            answer = self._answer(deadline, "read")
            if not isinstance(answer, Answer):
                raise self._died(str(answer))
            yield answer

    def alive(self) -> bool:
        """Whether this child can be given another mail."""
        return self._process.is_alive()

    def end(self) -> None:
        """End the process at once."""
        self.due = math.inf
        self._process.kill()
        self._process.join()
        self._pipe.close()

    def _answer(self, deadline: float, what: str) -> object:
        self.due = time.monotonic() + deadline
        try:
            if self._pipe.poll(deadline):
                return self._pipe.receive()
        except (EOFError, OSError) as error:
            raise self._died("died") from error
        finally:
            self.due = math.inf
        raise self._died(f"took over {deadline:g} s to {what}")

    def _died(self, how: str) -> ChildDied:
        self.end()
        code = self._process.exitcode or 0
        signalled = f" of {signal.Signals(-code).name}" if how == "died" and code < 0 else ""
        return ChildDied(how + signalled)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """What is started within never sees Ctrl-C: it is for the parent, which ends its children in order."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(end: socket.socket, defaults: Defaults, limits: Limits) -> None:
    """What the child does, for as long as its parent lives."""
    _confine()
    pipe = Pipe(end)
    with suppress(EOFError, ConnectionError):
        pipe.send("ready")
        while True:
            _hand_over(pipe, defaults, limits)


def _hand_over(pipe: Pipe, defaults: Defaults, limits: Limits) -> None:
    """Read the mails of one hand-over; nothing of them is kept while waiting for the next."""
    for work in cast("Sequence[Work]", pipe.receive()):
        _limit(len(work.raw), limits)
        pipe.send(_answer(work, defaults))


def _answer(work: Work, defaults: Defaults) -> Answer | str:
    try:
        return verify(work) if isinstance(work, Verification) else read(work, defaults).without_text()
    except Unreadable as limit:
        return limit
    except Exception as error:  # noqa: BLE001 - whatever a hostile mail can provoke is a break
        return f"{type(error).__name__}: {error}"[:300]


def _confine() -> None:
    """Leave the child nothing to write to and nobody to outlive."""
    memory.give_back()
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (CHILD_FILES, CHILD_FILES))


def _limit(message: int, limits: Limits) -> None:
    """Set the limits anew for each mail: a CPU limit set once would kill an innocent later one."""
    cpu = math.ceil(time.process_time() + limits.slow_deadline)
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory + message, resource.RLIM_INFINITY))

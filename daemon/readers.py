"""Two lanes of reader children: a fast one for the mails of people, a slow one for those that broke it."""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Condition, Thread
from typing import TYPE_CHECKING, Any

import structlog

from daemon.child import Child, ChildDied, Limits, NotStarted
from daemon.log import Event
from daemon.mail import Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from daemon.child import Answer, Work
    from daemon.mail import Envelope
    from daemon.reading import Defaults, Reading, Verification
    from daemon.trust.findings import Dkim

log = structlog.get_logger()

#: Mails handed to a child in one go, at most.
HANDOVER_MAILS = 48
#: Bytes handed to a child in one go; a larger mail goes by itself.
HANDOVER_BYTES = 1 << 20
#: How often a mail may break a fresh child of the slow lane before it is held.
TRIES = 3
#: Seconds past its deadline after which a worker counts as stuck.
GRACE = 30.0


class Broken(Exception):  # noqa: N818 - the mail's fate, and no error of ours
    """This mail broke its reader every time; the text says how, for the operator."""


class Busy(Exception):  # noqa: N818 - as above
    """Too many slow mails wait already, or the service is stopping: try again later."""


class Readers:
    """Reads mails in child processes, many at a time.

    A mail is first read in the fast lane, handed over together with those
    that came at the same time. One that overstays its deadline there, or
    breaks its child, is read again alone in the slow lane, up to three times,
    each time by a fresh child.
    """

    def __init__(self, defaults: Defaults, limits: Limits) -> None:
        def new_child() -> Child:
            return Child(defaults, limits)

        self._limits = limits
        self._fast = _Lane("reader", limits.processes, HANDOVER_MAILS, new_child, self._read_fast)
        self._slow = _Lane("slow-reader", max(2, limits.processes), 1, new_child, self._read_slow)

    def start(self) -> None:
        """Start the children, and wait until they can read."""
        self._fast.start()
        self._slow.start()

    def close(self) -> None:
        """End the children once they have read what they hold; mails that still wait are Busy."""
        self._fast.close()
        self._slow.close()

    def read(self, envelope: Envelope) -> Future[Reading]:
        """Have ``envelope`` read; the future's exceptions are Unreadable, Broken and Busy."""
        return self._do(envelope)

    def verify(self, verification: Verification) -> Future[Dkim]:
        """Have a mail's signatures verified; the future's exceptions are Broken and Busy."""
        return self._do(verification)

    def stuck(self) -> list[str]:
        """The names of workers that are long past their own deadline."""
        return self._fast.stuck() + self._slow.stuck()

    def _do(self, work: Work) -> Future[Any]:
        task = _Task(work)
        self._fast.add([task])
        return task.future

    def _read_fast(self, child: Child, tasks: Sequence[_Task]) -> None:
        left = deque(tasks)
        try:
            for answer in child.read([task.work for task in tasks], self._limits.deadline):
                left.popleft().settle(answer)
        except ChildDied as death:
            culprit = left.popleft()
            self._fast.add(left, first=True)
            log.info(Event.READER_BROKE, lane="fast", reason=str(death), size=len(culprit.work.raw))
            if self._slow.waiting() < self._limits.waiting:
                self._slow.add([culprit])
            else:
                culprit.future.set_exception(Busy("the slow lane is full ([readers] waiting)"))

    def _read_slow(self, child: Child, tasks: Sequence[_Task]) -> None:
        (task,) = tasks
        try:
            (answer,) = child.read([task.work], self._limits.slow_deadline)
        except ChildDied as death:
            task.broke += 1
            log.warning(Event.READER_BROKE, lane="slow", reason=str(death), attempt=task.broke)
            if task.broke < TRIES:
                self._slow.add([task], first=True)
            else:
                task.future.set_exception(Broken(f"broke its reader {TRIES} times: {death}"))
        else:
            task.settle(answer)


@dataclass(slots=True, eq=False)
class _Task:
    work: Work
    future: Future[Any] = field(default_factory=Future)
    broke: int = 0

    def settle(self, answer: Answer) -> None:
        if isinstance(answer, Unreadable):
            self.future.set_exception(answer)
        else:
            self.future.set_result(answer)


class _Lane:
    """Mails that wait, and threads that each hand them to a child of their own."""

    def __init__(
        self,
        name: str,
        size: int,
        handover: int,
        new_child: Callable[[], Child],
        work: Callable[[Child, Sequence[_Task]], None],
    ) -> None:
        self._name, self._handover, self._new_child, self._work = name, handover, new_child, work
        self._tasks: deque[_Task] = deque()
        self._changed = Condition()
        self._closed = False
        self._children: list[Child] = []
        self._threads = [Thread(target=self._run, args=[slot], name=f"{name}-{slot}") for slot in range(size)]

    def start(self) -> None:
        self._children = [self._new_child() for _ in self._threads]
        for child in self._children:
            child.wait_ready()
        for thread in self._threads:
            thread.start()

    def add(self, tasks: Iterable[_Task], *, first: bool = False) -> None:
        with self._changed:
            if first:
                self._tasks.extendleft(reversed(list(tasks)))
            else:
                self._tasks.extend(tasks)
            self._changed.notify()
            if self._closed:
                self._turn_away()

    def waiting(self) -> int:
        return len(self._tasks)

    def stuck(self) -> list[str]:
        now = time.monotonic()
        return [
            f"{self._name}-{slot}" for slot, child in enumerate(self._children) if now > child.due + GRACE
        ]

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._turn_away()
            self._changed.notify_all()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()
        for child in self._children:
            child.end()

    def _turn_away(self) -> None:
        while self._tasks:
            self._tasks.popleft().future.set_exception(Busy("the service is stopping"))

    def _run(self, slot: int) -> None:
        while self._turn(slot):
            pass

    def _turn(self, slot: int) -> bool:
        """One hand-over; False when the lane is closed. Nothing of it is kept while waiting for the next."""
        tasks = self._next()
        try:
            if tasks and not self._children[slot].alive():
                self._children[slot].end()
                self._children[slot] = self._new_child()
            if tasks:
                self._work(self._children[slot], tasks)
        except NotStarted as trouble:
            log.error(Event.READER_BROKE, lane=self._name, reason=str(trouble))  # noqa: TRY400 - foreseen, and no traceback
            self._give_back(slot, tasks, trouble)
        except Exception as error:
            log.exception(Event.INTERNAL_ERROR, where=f"{self._name}-{slot}")
            self._give_back(slot, tasks, error)
        return bool(tasks)

    def _give_back(self, slot: int, tasks: Sequence[_Task], error: Exception) -> None:
        self._children[slot].end()  # else what it still has to say would be taken for the next mails'
        for task in tasks:
            if not task.future.done():
                task.future.set_exception(Busy(f"{type(error).__name__}: {error}"))

    def _next(self) -> list[_Task]:
        """The mails of one hand-over, a fair share of what waits; empty when the lane is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._tasks or self._closed)
            share = min(self._handover, -(-len(self._tasks) // len(self._threads)))
            taken: list[_Task] = []
            room = HANDOVER_BYTES
            while self._tasks and len(taken) < share and (room > 0 or not taken):
                taken.append(self._tasks.popleft())
                room -= len(taken[-1].work.raw)
            if self._tasks:
                self._changed.notify()
            return taken

"""Whoever mails us: a server that keeps each mail until it is told 250 or 5xx, and notes every answer."""

from __future__ import annotations

import heapq
import time
from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import dataclass
from threading import Condition, Thread
from typing import TYPE_CHECKING

from tests.bench.load import wire
from tests.fix_house import US
from tests.fix_smtp import Wire

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tests.faults.letters import Letter

    Address = tuple[str, int]

#: Seconds until a mail that was told "later", or nothing, is sent again.
PAUSE = 0.2
#: Seconds that an answer may take: a service that is at its database's mercy takes its time.
ANSWER = 120.0

#: How far a delivery had come when it was answered, or the connection was gone.
CONNECTING, ENVELOPE, MESSAGE, DOT = "connecting", "in the envelope", "before the dot", "after the dot"


@dataclass(frozen=True)
class Answer:
    """What one delivery of a mail was told, and how far it had come; ``code`` is 0 where nothing was said."""

    code: int
    text: str
    point: str

    @property
    def is_final(self) -> bool:
        """Whether the mail is done: taken, or given back to whoever wrote it."""
        return self.code == 250 or self.code >= 500


class Sender:
    """Sends mails over several connections at once, from ``letters`` as long as it is to keep busy.

    ``where`` are the services it may turn to, one after the other.
    """

    def __init__(self, where: Sequence[Address], letters: Iterator[Letter], sessions: int) -> None:
        self.letters: dict[str, Letter] = {}
        """All that were ever begun with."""
        self.answers: defaultdict[str, list[Answer]] = defaultdict(list)
        self._where, self._fresh = where, letters
        self._busy = self._closed = False
        self._again: list[tuple[float, int, Letter]] = []
        self._out = self._tries = 0
        self._changed = Condition()
        self._threads = [Thread(target=self._run, args=[at], name=f"sender-{at}") for at in range(sessions)]
        for thread in self._threads:
            thread.start()

    def keep_busy(self) -> None:
        """Send fresh mails from now on, as many as are taken."""
        with self._changed:
            self._busy = True
            self._changed.notify_all()

    def post(self, letters: Iterable[Letter]) -> None:
        """Send these; one that was sent before is sent once more."""
        with self._changed:
            for letter in letters:
                self._put(letter, 0.0)
            self._changed.notify_all()

    def finish(self, within: float = ANSWER) -> None:
        """Begin with no fresh mail, and return when each has its last answer."""
        with self._changed:
            self._busy = False
            done = self._changed.wait_for(lambda: not self._again and not self._out, within)
        assert done, f"{len(self._again) + self._out} mails have no answer: {self.told()}"

    def await_taken(self, more: int, within: float = ANSWER) -> None:
        """Return when ``more`` mails than now were told 250."""
        with self._changed:
            goal = len(self.taken()) + more
            done = self._changed.wait_for(lambda: len(self.taken()) >= goal, within)
        assert done, self.told()

    def await_answer(self, code: int, within: float = ANSWER) -> None:
        """Return when a delivery was told ``code`` that is still to come."""
        with self._changed:
            before = self.told()[code]
            done = self._changed.wait_for(lambda: self.told()[code] > before, within)
        assert done, self.told()

    def close(self) -> None:
        """Leave what is unanswered, and end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def taken(self) -> dict[str, set[str]]:
        """Which mails were told 250, and in which words."""
        yes: dict[str, set[str]] = {}
        for key, answers in list(self.answers.items()):
            if said := {answer.text for answer in answers if answer.code == 250}:
                yes[key] = said
        return yes

    def told(self) -> Counter[int]:
        """How often which code was said."""
        return Counter(answer.code for answers in list(self.answers.values()) for answer in answers)

    def unheard(self) -> Counter[str]:
        """How far the deliveries had come whose connection was gone."""
        return Counter(
            answer.point for answers in list(self.answers.values()) for answer in answers if not answer.code
        )

    def _put(self, letter: Letter, due: float) -> None:
        self._tries += 1
        heapq.heappush(self._again, (due, self._tries, letter))

    def _next(self) -> Letter | None:
        """The mail that is due; None at the end."""
        with self._changed:
            while not self._closed:
                now = time.monotonic()
                if self._again and self._again[0][0] <= now:
                    letter = heapq.heappop(self._again)[2]
                elif self._busy:
                    letter = next(self._fresh)
                else:
                    self._changed.wait(self._again[0][0] - now if self._again else None)
                    continue
                self._out += 1
                self.letters[letter.key] = letter
                return letter
        return None

    def _run(self, session: int) -> None:
        connection: Wire | None = None
        while letter := self._next():
            connection, answer = _deliver(connection, letter, self._where, session + self._tries)
            with self._changed:
                self._out -= 1
                self.answers[letter.key].append(answer)
                if not answer.is_final:
                    self._put(letter, time.monotonic() + PAUSE)
                self._changed.notify_all()
            if not answer.is_final and answer.point == CONNECTING:
                time.sleep(PAUSE)  # nobody is there: the other mails would hear the same
        if connection:
            connection.close()


def _deliver(
    connection: Wire | None, letter: Letter, where: Sequence[Address], turn: int
) -> tuple[Wire | None, Answer]:
    """Deliver a mail over the connection there is, or a new one; what is left of it, and the answer."""
    point = CONNECTING
    try:
        if connection is None:
            connection = Wire(where[turn % len(where)])
            connection.socket.settimeout(ANSWER)
            connection.greet()
        point = ENVELOPE
        for command in ("MAIL FROM:<ana@example.org>", f"RCPT TO:<{US}>", "DATA"):
            said = connection.ask(command)
            if said[:1] not in ("2", "3"):
                return _parted(connection), _answer(said, point)
        point = MESSAGE
        data = wire(letter.raw)
        connection.send(data[:-3])
        point = DOT
        connection.send(data[-3:])
        said = connection.reply()
        return (connection if said[:1] == "2" else _parted(connection)), _answer(said, point)
    except (OSError, AssertionError) as error:  # refused, reset, or greeted with something else
        if connection:
            connection.close()
        return None, Answer(0, f"{type(error).__name__}: {error}", point)


def _parted(connection: Wire) -> None:
    with suppress(OSError):
        connection.say("QUIT")
    connection.close()


def _answer(said: str, point: str) -> Answer:
    return Answer(int(said[:3] or 0), said[4:], point)

"""The reader children: what they survive, and how long anybody waits for it."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from daemon import child
from daemon import readers as lanes
from daemon.child import Limits
from daemon.readers import Broken, Busy, Readers, _Task
from tests.fix_house import DEFAULTS, LIMITS, PATIENCE, a_mail, an_envelope, new_readers

if TYPE_CHECKING:
    from concurrent.futures import Future

    from daemon.mail import Envelope, Unreadable
    from daemon.reading import Reading


def trap(tag: str) -> Envelope:
    """A mail that does to its reader what ``tag`` says."""
    return an_envelope(a_mail(To=f"specs+{tag}@example.net"))


def test_a_mail_is_read_in_a_child(readers: Readers) -> None:
    """What comes back is the whole reading, with its plan."""
    reading = readers.read(an_envelope()).result(PATIENCE)

    assert reading.plans[0].problems == ()
    assert reading.plans[0].specs[0].labels == ("S1", "S2")


@pytest.mark.parametrize(
    ("tag", "how"),
    [
        ("crash", "died of SIGSEGV"),
        ("hang", "took over 1 s to read"),
        ("spin", "took over 1 s to read"),
        ("memory", "MemoryError"),
        ("raise", "ZeroDivisionError"),
        ("write", "OSError: .*File too large"),
    ],
)
def test_a_mail_that_breaks_its_reader_three_times_is_broken(readers: Readers, tag: str, how: str) -> None:
    """Whatever a mail does to the child that reads it, somebody says so, and says what."""
    with capture_logs() as told, pytest.raises(Broken, match=f"broke its reader 3 times: .*({how})"):
        readers.read(trap(tag)).result(PATIENCE)

    assert [line.get("attempt") for line in told if line.get("lane") == "slow"] == [1, 2, 3]


def test_a_mail_over_the_fast_deadline_is_read_in_the_slow_lane(readers: Readers) -> None:
    """Slow is no crime, it only costs a second reading."""
    assert readers.read(trap("slow")).result(PATIENCE).plans[0].specs


def test_an_honest_mail_is_read_within_a_second_beside_two_poison_ones(readers: Readers) -> None:
    """Two bad mails never stop the door."""
    poison = [readers.read(trap("hang")) for _ in range(2)]
    started = time.monotonic()

    assert readers.read(an_envelope()).result(PATIENCE).plans[0].specs

    assert time.monotonic() - started < 3
    assert not any(future.done() for future in poison)


def test_neighbours_in_a_hand_over_are_read_when_one_breaks_the_child() -> None:
    """A dead child costs only the mail it was reading."""
    with new_readers(Limits(processes=1, deadline=0.3, slow_deadline=0.8)) as readers:
        readers.read(trap("slow"))  # keeps the only child busy, so that the next go together
        futures = [
            readers.read(envelope)
            for envelope in (an_envelope(), trap("crash"), an_envelope(), an_envelope())
        ]

        assert all(futures[n].result(PATIENCE).plans[0].specs for n in (0, 2, 3))
        with pytest.raises(Broken):
            futures[1].result(PATIENCE)


def test_a_full_slow_lane_says_busy() -> None:
    """Nobody waits behind an endless queue of slow mails: they are told to come later."""
    with new_readers(Limits(processes=2, deadline=0.2, slow_deadline=0.4, waiting=1)) as readers:
        futures: list[Future[Reading]] = [readers.read(trap("hang")) for _ in range(8)]

        errors = [type(future.exception(PATIENCE)) for future in futures]

    assert Busy in errors
    assert Broken in errors
    assert set(errors) == {Busy, Broken}


def test_a_reader_that_cannot_start_counts_against_no_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without room for a process is our trouble: the mails are to come again, and are not held."""
    with new_readers() as readers:
        with monkeypatch.context() as patch:
            patch.setattr(child, "START_TIMEOUT", 0.0)
            for each in readers._fast._children + readers._slow._children:
                each._process.kill()
                each._process.join()
            failed = [readers.read(an_envelope()).exception(PATIENCE) for _ in range(4)]

        assert [type(error) for error in failed] == [Busy] * 4
        assert readers.read(an_envelope()).result(PATIENCE).plans[0].specs


def test_no_mail_gets_the_reading_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failure in the middle of a hand-over, what the child still had to say is not heard."""
    real, failures = _Task.settle, iter([MemoryError])

    def settle(task: _Task, answer: Reading | Unreadable) -> None:
        for failure in failures:
            raise failure
        real(task, answer)

    with new_readers(Limits(processes=1)) as readers:
        monkeypatch.setattr(_Task, "settle", settle)
        tasks = [_Task(an_envelope()) for _ in range(4)]
        readers._fast.add(tasks)
        assert [type(task.future.exception(PATIENCE)) for task in tasks] == [Busy] * 4
        other = readers.read(an_envelope(a_mail(Subject="other"))).result(PATIENCE)

    assert other.mail.subject == "other"
    assert next(failures, None) is None


def test_a_child_that_takes_nothing_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that waits past its deadline is stuck, be it for an answer or for being heard at all."""
    monkeypatch.setattr(lanes, "GRACE", 0.0)
    large = an_envelope(a_mail() + b"x" * (1 << 20))
    with new_readers(Limits(processes=1)) as readers:
        (asleep,) = [each._process.pid or 0 for each in readers._fast._children]
        assert readers.stuck() == []
        os.kill(asleep, signal.SIGSTOP)
        reading = readers.read(large)
        deadline = time.monotonic() + PATIENCE
        try:
            while readers.stuck() != ["reader-0"]:
                assert time.monotonic() < deadline
        finally:
            os.kill(asleep, signal.SIGKILL)

        assert reading.result(PATIENCE).plans[0].specs
        assert readers.stuck() == []


def test_closing_answers_everybody() -> None:
    """On the way out no mail is left without a word."""
    readers = Readers(DEFAULTS, LIMITS)
    readers.start()
    futures = [readers.read(trap("hang")) for _ in range(6)]

    readers.close()

    assert all(isinstance(future.exception(0), Busy | Broken) for future in futures)
    assert isinstance(readers.read(an_envelope()).exception(0), Busy)


def test_a_child_outlives_many_mails_and_its_cpu_limit_grows_with_them() -> None:
    """A limit set once would kill an innocent later mail."""
    with new_readers(Limits(processes=1, deadline=0.6, slow_deadline=0.6)) as readers:
        for _ in range(3):
            assert readers.read(trap("slow")).result(PATIENCE).plans[0].specs


def test_no_child_is_left_behind() -> None:
    """When the readers are closed, their processes are gone."""
    with new_readers() as readers:
        readers.read(an_envelope()).result(PATIENCE)
        pids = [child._process.pid for child in readers._fast._children + readers._slow._children]

    assert pids
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid or 0, 0)

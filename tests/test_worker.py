"""Jobs: done once, by one daemon at a time, again when they fail, and given up in the open."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from daemon.worker import BACKOFF, BACKOFF_MAX, Kind, Worker, backoff
from db import jobs
from db.pool import open_pool
from tests.fix_house import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from psycopg import Connection
    from psycopg_pool import ConnectionPool

    from db.jobs import Taken
    from tests.fix_database import Database

MAILS = [UUID(int=number) for number in range(1, 21)]
A_MAIL = """
insert into intake.mails (id, raw_id, source, size, verdict, received_at)
select id, id, 'smtp', 1, 'accepted', now() from unnest(%s::uuid[]) as id
"""


@dataclass
class Desk:
    """Mails with jobs of the kind ``test``, and all that was done and written."""

    pool: ConnectionPool[Any]
    owner: Connection[Any]
    done: list[UUID] = field(default_factory=list)
    written: list[UUID] = field(default_factory=list)

    def do(self, job: Taken) -> Callable[[Connection[Any]], None]:
        """What every job here does."""
        self.done.append(job.mail_id)
        return lambda _: self.written.append(job.mail_id)

    def worker(self, do: Callable[[Taken], Any] | None = None, name: str = "w", **kind: Any) -> Worker:
        """A daemon's worker that knows this kind alone."""
        return Worker(self.pool, {"test": Kind(do or self.do, **kind)}, name)

    def ask(self, *mails: UUID) -> None:
        """Have jobs done for ``mails``."""
        with self.pool.connection() as conn:
            jobs.enqueue(conn, "test", mails)

    def states(self) -> list[tuple[Any, ...]]:
        """State, attempts, owner and trouble of each job."""
        query = "select state, attempts, owner, trouble from intake.jobs order by mail_id"
        return self.owner.execute(query).fetchall()

    def pass_time(self) -> None:
        """Let every lease and pause be over, by the database's clock."""
        self.owner.execute("update intake.jobs set due_at = due_at - interval '2 hours'")


@pytest.fixture
def desk(database: Database) -> Iterator[Desk]:
    """A database with mails, and nothing to do."""
    with (
        open_pool(database.url, size=4) as pool,
        database.connect("owner", autocommit=True) as owner,
    ):
        owner.execute(A_MAIL, [MAILS])
        yield Desk(pool, owner)


def test_a_job_is_done_once_however_often_it_is_asked_for(desk: Desk) -> None:
    """The mail and the kind are its id."""
    desk.ask(MAILS[0])
    desk.ask(MAILS[0], MAILS[1])
    worker = desk.worker()

    assert [worker.turn() for _ in range(3)] == [True, True, False]

    assert sorted(desk.written) == MAILS[:2]
    assert desk.states() == [("done", 1, None, None)] * 2


def test_what_is_asked_for_after_it_was_done_is_done_again(desk: Desk) -> None:
    """There was a reason."""
    desk.ask(MAILS[0])
    worker = desk.worker()
    assert worker.turn()

    desk.ask(MAILS[0])

    assert worker.turn()
    assert desk.written == [MAILS[0]] * 2


def test_a_job_is_there_when_its_transaction_is_and_not_otherwise(desk: Desk) -> None:
    """Nobody sees it before, and a rollback takes it away."""
    with desk.pool.connection() as conn:
        jobs.enqueue(conn, "test", [MAILS[0]])
        assert desk.worker().turn() is False
        conn.rollback()

    assert desk.states() == []


def test_many_daemons_do_each_job_once(desk: Desk) -> None:
    """Those that one has taken the others skip."""
    desk.ask(*MAILS)
    workers = [desk.worker(name=f"w{number}") for number in range(4)]

    def until_idle(worker: Worker) -> None:
        while worker.turn():
            pass

    threads = [Thread(target=until_idle, args=[worker]) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)

    assert sorted(desk.done) == sorted(desk.written) == MAILS


def test_nobody_waits_for_who_is_just_taking_a_job(desk: Desk) -> None:
    """The next one is free."""
    desk.ask(*MAILS[:2])
    with desk.pool.connection() as conn:
        taken = jobs.take(conn, "other", {"test": 60.0})
        assert taken
        assert desk.worker().turn()
        assert {taken.mail_id, *desk.written} == set(MAILS[:2])


def test_what_fails_is_tried_again_later_and_given_up_in_the_open(desk: Desk) -> None:
    """With its trouble to be read; not at once; and no more once it is dead, until somebody asks."""

    def fail(job: Taken) -> None:
        desk.done.append(job.mail_id)
        raise OSError("the printer\nis on fire")

    desk.ask(MAILS[0])
    worker = desk.worker(fail, attempts=2)
    with capture_logs() as logs:
        assert worker.turn()
        assert worker.turn() is False
        desk.pass_time()
        assert worker.turn()
        desk.pass_time()
        assert worker.turn() is False

    assert [line["event"] for line in logs] == ["job failed", "job dead"]
    assert logs[1]["log_level"] == "error"
    assert desk.states() == [("dead", 2, None, r"OSError: the printer\nis on fire")]
    (job,) = desk.owner.execute("select id from intake.jobs").fetchone() or ()
    with desk.pool.connection() as conn:
        assert jobs.revive(conn, job)
    assert desk.worker().turn()
    assert desk.states() == [("done", 1, None, None)]


def test_what_a_job_writes_is_written_with_its_end_or_not_at_all(desk: Desk) -> None:
    """A write that fails leaves the job to be tried again."""

    def half(_: Taken) -> Callable[[Connection[Any]], None]:
        def write(conn: Connection[Any]) -> None:
            conn.execute("insert into status_events (phase) values ('TEST')")
            raise OSError("no")

        return write

    desk.ask(MAILS[0])
    assert desk.worker(half).turn()

    assert desk.owner.execute("select from status_events").rowcount == 0
    assert desk.states() == [("waiting", 1, None, "OSError: no")]


def test_who_wakes_up_after_their_lease_writes_nothing(desk: Desk) -> None:
    """Another daemon has done it meanwhile."""
    desk.ask(MAILS[0])

    def sleepy(job: Taken) -> Callable[[Connection[Any]], None]:
        desk.pass_time()
        assert desk.worker(name="other").turn()
        return lambda _: desk.written.append(UUID(int=job.epoch << 64))

    with capture_logs() as logs:
        assert desk.worker(sleepy).turn()

    assert desk.written == [MAILS[0]]
    assert [line["event"] for line in logs] == ["job lost"]
    assert desk.states() == [("done", 2, None, None)]


@pytest.mark.parametrize("attempts", [1, 2])
def test_who_wakes_up_and_failed_takes_nothing_back(desk: Desk, attempts: int) -> None:
    """What is done stays done, and what another is at stays theirs."""
    desk.ask(MAILS[0])

    def sleepy(_: Taken) -> None:
        desk.pass_time()
        with desk.pool.connection() as conn:
            assert jobs.take(conn, "other", {"test": 60.0})
        raise OSError("too late")

    assert desk.worker(sleepy, attempts=attempts).turn()

    assert desk.states() == [("waiting", 2, "other", None)]


def test_a_job_that_kills_its_daemons_is_given_up(desk: Desk) -> None:
    """Whoever took it was never heard of again, as often as the kind may be tried."""
    desk.ask(MAILS[0])
    for _ in range(2):
        with desk.pool.connection() as conn:
            assert jobs.take(conn, "doomed", {"test": 60.0})
        desk.pass_time()

    assert desk.worker(attempts=2).turn()

    assert desk.done == []
    assert desk.states()[0][0] == "dead"


def test_kinds_of_a_newer_release_are_left_to_it(desk: Desk) -> None:
    """Daemons of two releases may share a database for a while."""
    desk.ask(MAILS[0])

    assert Worker(desk.pool, {"other": Kind(desk.do)}, "old").turn() is False
    assert desk.states() == [("waiting", 0, None, None)]


def test_the_end_waits_for_what_was_begun_and_begins_nothing(desk: Desk) -> None:
    """Drained: the job under way is finished, the next is somebody else's."""
    begun, finish = Event(), Event()

    def slow(job: Taken) -> Callable[[Connection[Any]], None]:
        begun.set()
        assert finish.wait(PATIENCE)
        return desk.do(job)

    desk.ask(MAILS[0])
    with running(desk.worker(slow)) as worker:
        assert begun.wait(PATIENCE)
        closing = Thread(target=worker.close)
        closing.start()
        while sum(hand.is_alive() for hand in worker._threads) > 1:
            closing.join(0.01)  # until the idle hand has gone
        desk.ask(MAILS[1])
        finish.set()
        closing.join(PATIENCE)

    assert desk.written == [MAILS[0]]
    assert [state for state, *_ in desk.states()] == ["done", "waiting"]


def test_a_database_that_is_away_ends_no_worker(desk: Desk) -> None:
    """It goes on once the database is back; nothing is logged as an error of ours."""
    written = Event()

    def do(_: Taken) -> Callable[[Connection[Any]], None]:
        return lambda _: written.set()

    with capture_logs() as logs, running(desk.worker(do)) as worker:
        desk.owner.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )
        desk.owner.execute(
            "insert into intake.jobs (id, kind, mail_id) values (%s, 'test', %s)", [MAILS[0]] * 2
        )
        assert written.wait(PATIENCE)
        assert worker.alive()

    assert "internal error" not in {line["event"] for line in logs}


def test_pauses_grow_to_a_limit_and_differ() -> None:
    """A crowd that failed together doesn't come back together."""
    firsts = {backoff(1) for _ in range(100)}
    assert len(firsts) > 90
    assert all(BACKOFF / 2 <= pause <= BACKOFF for pause in firsts)
    assert BACKOFF_MAX / 2 <= backoff(50) <= BACKOFF_MAX


@contextmanager
def running(worker: Worker) -> Iterator[Worker]:
    """A worker in its threads."""
    worker.start()
    try:
        yield worker
    finally:
        worker.close()

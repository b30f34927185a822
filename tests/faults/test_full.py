"""There is no room left, or nothing takes writing any more: for objects, for rows, for the log."""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys
import time
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.faults.server import new_server
from tests.faults.small import new_small
from tests.fix_daemon import specpost
from tests.fix_database import new_database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from db.embedded import Server
    from tests.faults.lab import Lab
    from tests.faults.server import OwnServer
    from tests.faults.small import Small
    from tests.fix_database import Database
    from tests.fix_dovecot import Box

    NewLab = Callable[..., AbstractContextManager[Lab]]

pytestmark = pytest.mark.faults

#: Room for all that a test sends, in MiB.
ROOM = 256


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Small]:
    """A file system to fill."""
    with new_small(tmp_path / "small", ROOM) as made:
        yield made


@pytest.fixture
def small_storage(small: Small, tmp_path: Path) -> Small:
    """One on which the lab's objects are."""
    (small.outside / "storage").mkdir()
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "storage").symlink_to(small.outside / "storage")
    return small


def is_recorded(running: Lab) -> int:
    """How many mails are."""
    return int(running.rows("select count(*) from intake.mails")[0][0])


@pytest.mark.parametrize("fault", ["full", "read-only"])
def test_storage_that_takes_nothing(
    fault: str, lab: NewLab, database: Database, box: Box, small_storage: Small
) -> None:
    """Storage that is full or read-only defers mails, and nothing of them is recorded until it is mended."""
    strike, mend = {
        "full": (small_storage.fill, small_storage.make_room),
        "read-only": (small_storage.forbid_writing, small_storage.allow_writing),
    }[fault]
    with lab(database, box=box) as running:
        running.sender.post(running.take(20))
        running.sender.finish()
        strike()
        running.mail(running.take(20))
        running.sender.post(running.take(20))
        running.sender.await_answer(451)
        running.await_logged('"event":"storage down"')
        assert is_recorded(running) == 20
        mend()
        running.sender.await_taken(10)

        running.sender.keep_busy()
        for _ in range(3):
            running.sender.await_taken(10)
            strike()
            running.sender.await_answer(451)
            mend()
            running.sender.await_taken(10)
        running.settle()

        assert running.unit.ends == [0]
        assert running.events()["storage up"] >= 4
        held = specpost("reconcile", env=dict(running.unit.env))
        assert (held.returncode, held.stderr) == (0, ""), held.stdout


#: So that the rows' log of changes fits, too.
LITTLE = {"min_wal_size": "32MB", "max_wal_size": "32MB"}


@pytest.fixture
def server_in_the_small(tmp_path: Path, small: Small) -> Iterator[OwnServer]:
    """A server that has its log of changes, and a tablespace ``small``, on the small file system."""
    with new_server(tmp_path / "own", **LITTLE) as own:
        own.end(signal.SIGINT)
        changes = own.server.data_dir / "pg_wal"
        shutil.move(changes, small.outside / "changes")
        changes.symlink_to(small.place / "changes")
        (small.outside / "rows").mkdir()
        restart(own, small)
        with psycopg.connect(own.server.url("postgres"), autocommit=True) as admin:
            admin.execute(f"create tablespace small location '{small.place}/rows'".encode())
        yield own


def restart(own: OwnServer, small: Small) -> None:
    """Start a server that sees the small file system."""
    start = f"OwnServer(Path({str(own.folder)!r}), {own.settings!r}).start()"
    small.do(sys.executable, "-c", f"from tests.faults.server import OwnServer, Path; {start}")
    own.start()  # it finds it running


@pytest.fixture
def database_in_the_small(
    server_in_the_small: OwnServer, migrated: Callable[[Server], str]
) -> Iterator[Database]:
    """A migrated database whose rows are in the tablespace."""
    server = server_in_the_small.server
    with new_database(server, migrated(server)) as made:
        with made.server_admin() as admin:
            admin.execute(f"alter database {made.name} set tablespace small".encode())
        yield made


def test_a_full_database(
    lab: NewLab, server_in_the_small: OwnServer, database_in_the_small: Database, small: Small
) -> None:
    """A PostgreSQL that is out of room, or has died of that, defers mails until it has room again."""
    with lab(database_in_the_small) as running:
        running.sender.keep_busy()
        for _ in range(2):
            running.sender.await_taken(10)
            small.fill()
            running.sender.await_answer(451)
            small.make_room()
            running.sender.await_taken(10)

        small.fill()
        use_up(server_in_the_small)
        running.sender.await_answer(451)
        small.make_room()
        restart(server_in_the_small, small)
        running.sender.await_taken(10)
        running.settle()

        assert running.unit.ends == [0]
        assert running.events()["database up"] >= 3


def use_up(own: OwnServer) -> None:
    """Have a server write down changes until it dies of having no room for more."""
    with suppress(psycopg.OperationalError):
        while True:
            with psycopg.connect(own.server.url("postgres"), autocommit=True) as admin:
                admin.execute("select pg_switch_wal(), pg_logical_emit_message(false, '', 'more')")


def test_a_full_log(lab: NewLab, database: Database, small: Small) -> None:
    """A log that has no room for another line loses lines, and no mail."""
    log = small.outside / "log"
    with lab(database, command=("-m", "tests.faults.redirected", str(log))) as running:
        running.sender.keep_busy()
        running.sender.await_taken(20)
        small.fill()
        running.sender.await_taken(100)
        small.make_room()
        running.sender.await_taken(20)
        size = log.stat().st_size
        running.sender.await_taken(20)
        assert log.stat().st_size > size
        small.fill()
        running.settle()

        assert running.unit.ends == [0]
        assert all(line.startswith("{") for line in log.read_text().splitlines())


@pytest.mark.parametrize("reader", ["gone", "asleep"])
def test_a_log_that_nobody_reads(reader: str, lab: NewLab, database: Database, tmp_path: Path) -> None:
    """A log whose reader is gone stops no mail, and one whose reader is asleep only delays them."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    log = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with lab(database, command=("-m", "tests.faults.redirected", str(pipe))) as running:
        running.sender.keep_busy()
        if reader == "gone":
            running.sender.await_taken(10)
            os.close(log)
            running.sender.await_taken(200)
        else:
            await_full(pipe)
            awake = Thread(target=read_all, args=[log])
            awake.start()
            running.sender.await_taken(200)
        running.settle()
        assert running.unit.ends == [0]
    if reader == "asleep":
        awake.join()


def await_full(pipe: Path) -> None:
    """Return when there is no room in a pipe for a line more."""
    end = os.open(pipe, os.O_WRONLY)
    while select.select([], [end], [], 0)[1]:
        time.sleep(0.02)
    os.close(end)


def read_all(pipe: int) -> None:
    """Read a pipe until nobody writes to it any more."""
    os.set_blocking(pipe, True)
    with open(pipe, "rb") as reading:
        while reading.read(1 << 16):
            pass

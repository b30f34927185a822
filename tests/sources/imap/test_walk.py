"""A mailbox from outside: mail goes in at the server, rows come out, and whatever happens to the daemon."""

from __future__ import annotations

import random
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.fix_imap import a_letter, an_account, watching

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fix_daemon import Daemon
    from tests.fix_database import Database
    from tests.fix_dovecot import Box
    from tests.fix_imap import Rows


def test_the_walk(box: Box, database: Database, rows: Rows, tmp_path: Path) -> None:
    """A mail in the mailbox is a spec with its sprints within a second, and lies in Processed."""
    with watching(tmp_path / "d", database, {"specs": an_account(box)}) as daemon:
        daemon.await_event("reconciled")
        started = time.monotonic()
        box.append(a_letter())
        daemon.await_event("mail")
        took = time.monotonic() - started
        box.await_count("Processed", 1)

    assert took < 3
    assert rows.of("select count(*) from specs") == [(1,)]
    assert rows.of("select account, folder, verdict from intake.arrivals") == [("specs", "INBOX", "accepted")]
    assert box.count() == 0
    assert daemon.events()[-1] == "stopped"


def test_a_stranger_is_refused_and_their_mail_stays(
    box: Box, database: Database, rows: Rows, tmp_path: Path
) -> None:
    """Only what the mailbox's own server says on top is believed; what is refused is not touched."""
    forged = a_letter().replace(b"mx.example.net;", b"mx.evil.example;")
    with watching(tmp_path / "d", database, {"specs": an_account(box)}) as daemon:
        daemon.await_event("reconciled")
        uid = box.append(b"Received: from evil.example\r\n" + forged)
        daemon.await_event("mail")

    assert rows.of("select verdict from intake.mails") == [("refused",)]
    assert box.flags() == {uid: set()}


def test_a_bounce_is_known_by_its_return_path(
    box: Box, database: Database, rows: Rows, tmp_path: Path
) -> None:
    """In a mailbox nobody tells MAIL FROM but the header."""
    with watching(tmp_path / "d", database, {"specs": an_account(box)}) as daemon:
        daemon.await_event("reconciled")
        box.append(b"Return-Path: <>\r\n" + a_letter())
        daemon.await_event("mail")

    assert rows.of("select verdict, reason from intake.mails") == [("ignored", "null sender")]


def test_a_second_daemon_stands_by_until_the_first_is_gone(
    box: Box, database: Database, rows: Rows, tmp_path: Path
) -> None:
    """One watches; when it has ended in order, the other goes on at once."""
    boxes = {"specs": an_account(box)}
    with watching(tmp_path / "first", database, boxes) as first:
        first.await_event("reconciled")
        with watching(tmp_path / "second", database, boxes) as second:
            box.append(a_letter(1))
            first.await_event("mail")
            assert first.stop() == 0
            second.await_event("reconciled")
            box.append(a_letter(2))
            second.await_event("mail")
            box.await_count("Processed", 2)

    assert rows.of("select count(*), count(distinct mail_id) from intake.arrivals") == [(2, 2)]


@pytest.mark.long
def test_a_daemon_takes_over_from_a_dead_one_within_half_a_minute(
    box: Box, database: Database, rows: Rows, tmp_path: Path
) -> None:
    """On another machine nobody knows that it died: then its lease runs out."""
    boxes = {"specs": an_account(box)}
    with watching(tmp_path / "first", database, boxes) as first:
        first.await_event("reconciled")
        with watching(tmp_path / "second", database, boxes) as second:
            first.stop(signal.SIGKILL)
            died = time.monotonic()
            box.append(a_letter(1))
            second.await_event("mail")

    assert time.monotonic() - died < 30
    assert rows.of("select verdict from intake.arrivals") == [("accepted",)]


def test_an_outage_of_the_database_pauses_and_passes(box: Box, database: Database, tmp_path: Path) -> None:
    """Nothing is shelved: the mails stay where they are until they can be recorded."""
    with watching(tmp_path / "d", database, {"specs": an_account(box)}) as daemon:
        daemon.await_event("reconciled")
        with database.server_admin() as admin:
            admin.execute(f"alter database {database.name} with allow_connections false".encode())
            admin.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [database.name]
            )
            box.append(a_letter(1))
            daemon.await_event("mailbox", 3)
            assert box.count() == 1
            admin.execute(f"alter database {database.name} with allow_connections true".encode())
        box.await_count("Processed", 1)

    assert [line["verdict"] for line in daemon.log() if line["event"] == "mail"][-1] == "accepted"


def kill_while_it_works(daemon: Daemon, chance: random.Random) -> None:
    """End it at a moment of its work that nobody chose."""
    time.sleep(chance.uniform(0.0, 0.6))
    daemon.stop(signal.SIGKILL)


@pytest.mark.long
@pytest.mark.timeout(300)
def test_no_mail_is_lost_or_doubled_however_often_it_is_killed(
    box: Box, database: Database, rows: Rows, tmp_path: Path
) -> None:
    """Killed at random moments of a backlog: each mail is one spec, none is held, and all are filed."""
    mails, kills = 500, 20
    chance = random.Random(kills)
    boxes = {"specs": an_account(box, existing="take")}
    box.append_many(a_letter(number) for number in range(mails // 2))
    for turn in range(kills):
        with watching(tmp_path / "d", database, boxes) as daemon:
            box.append_many(a_letter(number) for number in range(mails // 2 + turn, mails, kills))
            kill_while_it_works(daemon, chance)
    with watching(tmp_path / "d", database, boxes):
        box.await_count("Processed", mails)

    assert box.count() == 0
    assert rows.of("select count(*) from specs") == [(mails,)]
    assert rows.of("select verdict, count(*) from intake.arrivals group by verdict") == [("accepted", mails)]
    assert rows.of("select count(*) from status_events where phase = 'SPEC_RECEIVED'") == [(mails,)]


def test_it_ends_in_order_in_the_middle_of_a_backlog(
    box: Box, database: Database, rows: Rows, tmp_path: Path
) -> None:
    """What was taken is filed, the rest stays for the next start, and nobody waits for long."""
    box.append_many(a_letter(number) for number in range(600))
    with watching(tmp_path / "d", database, {"specs": an_account(box, existing="take")}) as daemon:
        daemon.await_event("mail", 100)
        started = time.monotonic()
        assert daemon.stop() == 0
        took = time.monotonic() - started

    ((taken,),) = rows.of("select count(*) from intake.arrivals")
    assert took < 15
    assert 100 <= taken < 600
    assert box.count() == 600 - taken
    assert rows.of("select leased_until <= now() from intake.mailboxes") == [(True,)]

"""The kinds of jobs: what each does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from daemon import jobs as kinds
from daemon.outcome import Verdict
from daemon.worker import Worker
from db import jobs, mails
from db.pool import open_pool
from tests.fix_house import PATIENCE, a_mail, an_envelope

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from tests.fix_house import House


@pytest.fixture
def worker(house: House) -> Iterator[Worker]:
    """Who does the house's jobs, one a turn."""
    with open_pool(house.database.url, size=2) as pool:
        yield Worker(pool, kinds.kinds(house.storage.delete), "test")


def hold(house: House, raw: bytes) -> UUID:
    """A mail that is held, which nobody could read."""
    outcome = house.intake.hold(an_envelope(raw), "broke its reader").result(PATIENCE)
    assert outcome.verdict is Verdict.HELD
    assert outcome.mail_id
    return outcome.mail_id


def drop(house: House, mail_id: UUID) -> None:
    """What the command writes."""
    with house.database.connect("daemon") as conn:
        assert mails.drop(conn, mail_id, "spam")
        jobs.enqueue(conn, kinds.FORGET, [mail_id])


def stored(house: House) -> list[str]:
    """What lies in storage."""
    return sorted(each.key for each in house.storage.list())


def test_the_bytes_of_a_dropped_mail_are_removed_and_no_others(house: House, worker: Worker) -> None:
    """Its row stays."""
    accepted = house.take()
    before = stored(house)
    drop(house, hold(house, b"X: y\r\n\r\n"))
    assert stored(house) != before

    assert worker.turn()

    assert stored(house) == before
    assert all(str(accepted.mail_id) in key for key in before)
    assert house.counts()["mails"] == 2


def test_a_mail_that_is_accepted_later_is_kept_once(house: House, worker: Worker) -> None:
    """As what it is by now; who asks for its old id is told."""
    raw = a_mail()
    held = hold(house, raw)
    accepted = house.take(raw)
    assert accepted.verdict is Verdict.ACCEPTED

    assert worker.turn()

    assert [key for key in stored(house) if key.endswith("raw.eml")] == [
        f"mails/{str(accepted.mail_id)[:2]}/{accepted.mail_id}/raw.eml"
    ]
    assert house.rows("select id from intake.mails where supersedes = %s", held) == [(accepted.mail_id,)]


def test_a_mail_that_is_held_again_meanwhile_keeps_its_bytes(house: House, worker: Worker) -> None:
    """Whoever sent it heard 250 a second time."""
    raw = b"X: y\r\n\r\n"
    drop(house, hold(house, raw))
    held = hold(house, raw)

    assert worker.turn()

    assert stored(house) == [f"mails/{str(held)[:2]}/{held}/raw.eml"]
    assert house.rows("select state from intake.jobs") == [("done",)]


def test_who_holds_a_mail_again_waits_until_it_is_forgotten(house: House) -> None:
    """Else its new bytes would be removed as the old ones."""
    raw = b"X: y\r\n\r\n"
    held = hold(house, raw)
    drop(house, held)
    with house.database.connect("daemon") as conn:
        assert mails.is_forgotten(conn, held)
        again = house.intake.hold(an_envelope(raw), "broke its reader")
        house.await_locked()
        assert not again.done()
        house.storage.delete(stored(house))
        conn.commit()

        assert again.result(PATIENCE).verdict is Verdict.HELD
    assert stored(house) == [f"mails/{str(held)[:2]}/{held}/raw.eml"]


def test_a_job_waits_for_storage(house: House) -> None:
    """It fails, says of what, and is tried again."""

    def away(_: object) -> None:
        raise OSError("storage is away")

    drop(house, hold(house, b"X: y\r\n\r\n"))
    with open_pool(house.database.url, size=2) as pool:
        assert Worker(pool, kinds.kinds(away), "test").turn()

    assert house.rows("select state, trouble from intake.jobs") == [("waiting", "OSError: storage is away")]
    assert len(stored(house)) == 1


def test_held_mails_that_are_settled_take_no_room(house: House) -> None:
    """Neither dropped ones nor those accepted later count towards the limits."""
    dropped, raw = hold(house, b"X: y\r\n\r\n"), a_mail()
    drop(house, dropped)
    replaced = hold(house, raw)
    house.take(raw)

    with house.database.connect("daemon") as conn:
        found = [mails.held(conn, "127.0.0.1", each) for each in (dropped, replaced)]

    assert [(each.mails, each.size, each.of_peer, each.known) for each in found] == [(0, 0, 0, False)] * 2

"""Rows against storage and mailboxes: what is found wrong, and what is mended."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from daemon.cli import main
from daemon.commands.findings import SWEEP_AFTER
from daemon.mail import parse
from daemon.storage import StoredObject
from db import mails
from tests.fix_house import DEFAULTS, PATIENCE, SPEC, US, a_mail, an_envelope

if TYPE_CHECKING:
    from uuid import UUID

    from click.testing import Result

    from tests.fix_house import House


def reconcile(house: House, *args: str, **env: str) -> Result:
    """The command on what the house has."""
    usual = {
        "SPECPOST_CONFIG": "/dev/null",
        "SPECPOST_DATABASE__URL": house.database.url,
        "SPECPOST_STORAGE__URL": f"file:{house.storage.root}",
        "SPECPOST_STATE_DIR": str(house.storage.root.parent / "state"),
        "SPECPOST_SMTP__RECIPIENTS": US,
    }
    return CliRunner().invoke(main, ["reconcile", *args], env=usual | env)


def objects(house: House) -> dict[str, bytes]:
    """Everything that lies in storage."""
    return {each.key: house.storage.get(each.key) for each in house.storage.list()}


def an_orphan(house: House, key: str, *, old: bool = True) -> None:
    """An object that no row refers to, older than is waited for."""
    house.storage.put([StoredObject(key, b"x")])
    if old:
        then = time.time() - SWEEP_AFTER.total_seconds() - 60
        os.utime(house.storage.path(key), (then, then))


@pytest.fixture
def taken(house: House) -> House:
    """A house with a mail of two specifications and a picture, one rejected and one held."""
    files = [("a.yaml", SPEC), ("b.yaml", SPEC.replace("tides", "moons")), ("c.png", b"\x89PNG")]
    house.take(a_mail(*files))
    house.take(a_mail(("spec.yaml", SPEC.replace("epics", "epic")), Message_ID="<2@x>"))
    house.intake.hold(an_envelope(b"X: y\r\n\r\n"), "broke its reader").result(PATIENCE)
    return house


def test_when_all_is_well_it_says_so(taken: House) -> None:
    """With how much was looked at."""
    done = reconcile(taken)

    assert (done.exit_code, done.stdout) == (0, "8 objects for 8 rows: all is well\n")


def test_everything_but_the_mail_itself_can_be_made_again(taken: House) -> None:
    """To the byte, whatever is missing or cut off: documents, plans, attachments."""
    before = objects(taken)
    lost = [key for key in before if not key.endswith("raw.eml")]
    assert len(lost) == 5
    taken.storage.delete(lost[1:])
    taken.storage.put([StoredObject(lost[0], before[lost[0]][:-1])])

    found = reconcile(taken)
    mended = reconcile(taken, "--repair")

    assert (found.exit_code, mended.exit_code) == (1, 0)
    assert "4 missing, 1 damaged (--repair mends)" in found.stdout
    assert mended.stdout.count(", repaired") == 5
    assert objects(taken) == before
    assert reconcile(taken).exit_code == 0


def test_a_mail_that_is_lost_itself_is_told_and_stays_lost(taken: House) -> None:
    """Nothing is made up."""
    (key,) = [key for key, content in objects(taken).items() if content == b"X: y\r\n\r\n"]
    taken.storage.delete([key])

    done = reconcile(taken, "--repair")

    assert done.exit_code == 1
    assert f"missing    {key}  8 bytes\n" in done.stdout
    assert reconcile(taken).exit_code == 1


def test_out_of_a_damaged_mail_nothing_is_made(taken: House) -> None:
    """Its parts stay missing, and those of others are made all the same."""
    before = objects(taken)
    (mail_id,) = taken.rows("select id from intake.mails where verdict = 'accepted'")[0]
    other = taken.take(a_mail(Message_ID="<3@x>")).mail_id
    raw = f"mails/{str(mail_id)[:2]}/{mail_id}/raw.eml"
    taken.storage.delete([key for key in objects(taken) if not key.endswith("raw.eml")])
    taken.storage.put([StoredObject(raw, b"x" * len(before[raw]))])

    done = reconcile(taken, "--repair")

    assert done.exit_code == 1
    assert "7 missing; 2 repaired" in done.stdout
    assert len(list(taken.storage.list(f"mails/{str(other)[:2]}/{other}/"))) == 3


def test_objects_that_no_row_refers_to_are_removed_once_they_are_old(taken: House) -> None:
    """Leftovers of a kill among them; what is young may be being recorded."""
    before = objects(taken)
    folder = "mails/ab/abcdef00-0000-5000-8000-000000000000"
    an_orphan(taken, f"{folder}/raw.eml")
    an_orphan(taken, "mails/ab/.abcdef00.0123456789abcdef/raw.eml")
    an_orphan(taken, "mails/cd/cdcdcd00-0000-5000-8000-000000000000/raw.eml", old=False)

    found = reconcile(taken, "--json")
    assert found.exit_code == 1
    assert [json.loads(line)["what"] for line in found.stdout.splitlines()[:-1]] == ["orphan"] * 2
    assert json.loads(found.stdout.splitlines()[-1])["orphan"] == 2
    assert reconcile(taken, "--repair").exit_code == 0

    assert set(objects(taken)) - set(before) == {"mails/cd/cdcdcd00-0000-5000-8000-000000000000/raw.eml"}


def test_an_orphan_whose_mail_comes_at_this_moment_stays(
    taken: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever records a mail waits for who removes its leftovers, or is seen by them."""
    raw = a_mail(Message_ID="<late@x>")
    ids: list[UUID | None] = []
    real = mails.reserve

    def late(conn: Any, mail_id: UUID) -> None:
        ids.append(taken.take(raw).mail_id)
        real(conn, mail_id)

    mail_id = an_id(taken, raw)
    an_orphan(taken, f"mails/{str(mail_id)[:2]}/{mail_id}/raw.eml")
    monkeypatch.setattr(mails, "reserve", late)

    assert reconcile(taken, "--repair").exit_code == 0

    assert ids == [mail_id]
    assert taken.storage.get(f"mails/{str(mail_id)[:2]}/{mail_id}/raw.eml") == raw


def test_who_records_a_mail_waits_for_who_removes_its_leftovers(taken: House) -> None:
    """Though no row of it is there yet."""
    raw = a_mail(Message_ID="<late@x>")
    mail_id = an_id(taken, raw)
    with taken.database.connect("daemon") as conn:
        mails.reserve(conn, mail_id)
        coming = taken.intake.take(an_envelope(raw))
        taken.await_locked()
        assert not list(taken.storage.list(f"mails/{str(mail_id)[:2]}/{mail_id}/"))
        conn.rollback()

    assert coming.result(PATIENCE).mail_id == mail_id
    assert len(list(taken.storage.list(f"mails/{str(mail_id)[:2]}/{mail_id}/"))) == 3


def test_what_is_left_over_of_a_dropped_mail_is_removed_by_a_job(taken: House) -> None:
    """Where that was missed, as after a restored backup; while it is still to be done it is no finding."""
    (held,) = taken.rows("select id from intake.mails where verdict = 'held'")
    taken.owner.execute("update intake.mails set dropped_at = now() where id = %s", held)

    found, mended = reconcile(taken), reconcile(taken, "--repair")

    assert (found.exit_code, mended.exit_code) == (1, 0)
    assert "1 left over" in found.stdout
    assert taken.rows("select kind, mail_id from intake.jobs") == [("forget", *held)]
    assert reconcile(taken).exit_code == 0


def test_storage_that_is_away_is_no_finding(taken: House) -> None:
    """Who can't look says so, and mends nothing."""
    done = reconcile(taken, "--repair", SPECPOST_STORAGE__URL="file:/proc/nowhere")

    assert done.exit_code == 1
    assert "/proc/nowhere" in done.output
    assert "missing" not in done.output


def an_id(house: House, raw: bytes) -> UUID:
    """Under which id a mail will be accepted."""
    return parse(an_envelope(raw), DEFAULTS.ours).content_id

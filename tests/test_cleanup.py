"""What is old goes, rows and stored objects together, and everything else stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from click.testing import CliRunner
from psycopg.errors import InsufficientPrivilege

from daemon.cli import main
from daemon.outcome import Verdict
from daemon.storage import StoredObject
from daemon.storage.files import FileStorage
from db.migrate import create_login
from db.pool import CLEANUP_GROUP
from tests.fix_house import PATIENCE, SPEC, US, a_mail, an_envelope

if TYPE_CHECKING:
    from uuid import UUID

    from click.testing import Result

    from tests.fix_house import House

CLEANER = "specpost_cleaner"
ALL = {f"SPECPOST_RETENTION__{kind}": "30 d" for kind in ("REFUSED", "HELD", "RAW", "SPECS", "EVENTS")}
AGES = """
update intake.mails set received_at = received_at - interval '40 days' where id = any(%(ids)s);
update intake.arrivals set received_at = received_at - interval '40 days' where mail_id = any(%(ids)s);
"""


def cleaner(house: House) -> str:
    """The URL of a login that may delete."""
    create_login(house.owner, CLEANER, None, CLEANUP_GROUP)
    return house.database.server.url(CLEANER, house.database.name)


def clean(house: House, *args: str, **env: str | None) -> Result:
    """The command on what the house has."""
    usual = {
        "SPECPOST_CONFIG": "/dev/null",
        "SPECPOST_DATABASE__URL": house.database.url,
        "SPECPOST_DATABASE__CLEANUP_URL": cleaner(house),
        "SPECPOST_STORAGE__URL": f"file:{house.storage.root}",
        "SPECPOST_STATE_DIR": str(house.storage.root.parent / "state"),
        "SPECPOST_SMTP__RECIPIENTS": US,
        "SPECPOST_LOG__LEVEL": "warning",
    }
    return CliRunner().invoke(main, ["cleanup", *args], env=usual | env)


def make_old(house: House, *mails: UUID | None) -> None:
    """Let mails have come forty days ago, and what was made of them."""
    ids = list(mails)
    for statement in AGES.strip().split("\n"):
        house.owner.execute(statement.encode(), {"ids": ids})
    house.owner.execute(
        "update specs set created_at = created_at - interval '40 days'"
        " where id in (select spec_id from intake.parts where mail_id = any(%s))",
        [ids],
    )
    house.owner.execute("update status_events set created_at = created_at - interval '40 days'")


def stored(house: House) -> set[str]:
    """The keys of all that lies in storage."""
    return {each.key for each in house.storage.list()}


def finish(house: House, spec: UUID, days: int = 40) -> UUID:
    """Let a specification's sprints be done, by one run each that ended so long ago, one with a report."""
    house.owner.execute("update sprints set state = 'DONE' where spec_id = %s", [spec])
    house.owner.execute(
        "insert into runs (sprint_id, started_at, finished_at)"
        " select id, now() - %(days)s * interval '1 day', now() - %(days)s * interval '1 day'"
        " from sprints where spec_id = %(spec)s",
        {"spec": spec, "days": days},
    )
    (run,) = house.rows(
        "select r.id from runs r join sprints p on p.id = r.sprint_id where p.spec_id = %s limit 1", spec
    )[0]
    key = f"reports/{run}/junit/report.xml"
    house.storage.put([StoredObject(key, b"<xml/>")])
    for path in (key, "elsewhere/report.xml", "mails/ab/not-yours"):
        house.owner.execute("insert into artifacts (run_id, storage_path) values (%s, %s)", [run, path])
    return run


def test_without_a_word_nothing_is_removed(house: House) -> None:
    """However old it is."""
    make_old(house, house.take().mail_id)
    before = house.counts(), stored(house)

    done = clean(house)

    assert (done.exit_code, done.output) == (0, "nothing is ever too old: [retention] says nothing\n")
    assert (house.counts(), stored(house)) == before


def test_mails_that_got_nowhere_go_and_young_ones_stay(house: House) -> None:
    """Rejected, ignored and held ones, with their bytes; one that came again lately is young."""
    broken = ("spec.yaml", SPEC.replace("epics", "epic"))
    old, young, again = (a_mail(broken, Message_ID=f"<{number}@x>") for number in range(3))
    rejected, came_again = house.take(old), house.take(again)
    held = house.intake.hold(an_envelope(b"X: y\r\n\r\n"), "broke its reader").result(PATIENCE)
    ignored = house.take(a_mail(Message_ID="<4@x>"), mail_from=None)
    assert [each.verdict for each in (rejected, held, ignored)] == [
        Verdict.REJECTED,
        Verdict.HELD,
        Verdict.IGNORED,
    ]
    make_old(house, rejected.mail_id, held.mail_id, ignored.mail_id, came_again.mail_id)
    house.take(again)
    stays = house.take(young)

    done = clean(house, **ALL)

    assert done.exit_code == 0, done.output
    assert "refused  2 older than 30 d removed, with 1 stored objects" in done.output
    assert "held     1 older than 30 d removed, with 1 stored objects" in done.output
    left = {stays.mail_id, came_again.mail_id}
    assert {row[0] for row in house.rows("select id from intake.mails")} == left
    assert stored(house) == {f"mails/{str(each)[:2]}/{each}/raw.eml" for each in left}


def test_an_accepted_mail_loses_its_raw_bytes_and_nothing_else(house: House) -> None:
    """And whoever sends it again is told the same ids."""
    raw = a_mail()
    accepted = house.take(raw)
    make_old(house, accepted.mail_id)
    before = stored(house)

    assert clean(house, SPECPOST_RETENTION__RAW="30 d").exit_code == 0

    assert before - stored(house) == {f"mails/{str(accepted.mail_id)[:2]}/{accepted.mail_id}/raw.eml"}
    again = house.take(raw)
    assert (again.verdict, again.spec_ids) == (Verdict.DUPLICATE, accepted.spec_ids)
    assert CliRunner().invoke(main, ["export", str(accepted.mail_id)], env=reading(house)).exit_code == 1
    assert CliRunner().invoke(main, ["reconcile"], env=reading(house)).exit_code == 0


def test_a_finished_specification_goes_with_its_runs_and_what_is_stored_of_it(house: House) -> None:
    """And what came beside it when it is the last of its mail; what others wrote elsewhere is not ours."""
    files = [("a.yaml", SPEC), ("b.yaml", SPEC.replace("tides", "moons")), ("c.png", b"\x89PNG")]
    raw = a_mail(*files)
    accepted = house.take(raw)
    first, second = accepted.spec_ids
    make_old(house, accepted.mail_id)
    before = stored(house)
    run = finish(house, first)

    done = clean(house, SPECPOST_RETENTION__SPECS="30 d")
    assert "specs    1 older than 30 d removed, with 3 stored objects" in done.output, done.output
    assert house.rows("select id from specs") == [(second,)]
    assert house.rows("select count(*) from runs") == house.rows("select count(*) from artifacts") == [(0,)]
    assert f"reports/{run}/junit/report.xml" not in stored(house)
    assert len(before - stored(house)) == 2

    finish(house, second)
    assert clean(house, SPECPOST_RETENTION__SPECS="30 d").exit_code == 0
    assert {key.rpartition("/")[2] for key in stored(house)} == {"raw.eml"}
    again = house.take(raw)
    assert (again.verdict, again.spec_ids) == (Verdict.DUPLICATE, accepted.spec_ids)
    assert house.counts()["specs"] == 0


@pytest.mark.parametrize(
    "change", ["one sprint runs", "a run ended lately", "nothing has begun", "it is young"]
)
def test_a_specification_that_is_needed_stays(house: House, change: str) -> None:
    """Whatever else is old."""
    accepted = house.take()
    (spec,) = accepted.spec_ids
    if change != "it is young":
        make_old(house, accepted.mail_id)
    if change != "nothing has begun":
        finish(house, spec, days=20 if change == "a run ended lately" else 40)
    if change == "one sprint runs":
        house.owner.execute("update sprints set state = 'RUNNING' where label = 'S2'")
    before = house.counts(), stored(house)

    done = clean(house, SPECPOST_RETENTION__SPECS="30 d", SPECPOST_RETENTION__EVENTS="30 d")

    assert done.exit_code == 0
    assert (house.counts(), stored(house)) == before


def test_events_go_but_those_of_what_is_there(house: House) -> None:
    """An event that names a specification or a run goes after it."""
    house.take(a_mail(("spec.yaml", SPEC.replace("epics", "epic"))))
    accepted = house.take(a_mail(Message_ID="<2@x>"))
    make_old(house, accepted.mail_id)
    env = {"SPECPOST_RETENTION__EVENTS": "30 d"}

    assert "events   1 older" in clean(house, **env).output
    assert house.counts()["status_events"] == 2
    house.owner.execute("delete from specs")
    assert "events   2 older" in clean(house, **env).output


def test_a_dry_run_counts_and_removes_nothing(house: House) -> None:
    """The same numbers."""
    make_old(house, house.take().mail_id)
    before = house.counts(), stored(house)

    done = clean(house, "--dry-run", **ALL)

    assert "raw      1 older than 30 d would be removed\n" in done.output
    assert "specs    0 older than 30 d would be removed\n" in done.output
    assert (house.counts(), stored(house)) == before


def test_what_storage_does_not_let_go_stays_recorded(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch is removed whole or not at all, and the rest another time."""
    accepted = house.take()
    make_old(house, accepted.mail_id)

    def away(*_: Any) -> None:
        raise OSError("storage is away")

    with monkeypatch.context() as patched:
        patched.setattr(FileStorage, "delete", away)
        failed = clean(house, **ALL)
    assert failed.exit_code == 1
    assert "raw      0 older than 30 d removed" in failed.output
    assert house.rows("select from intake.parts where removed_at is not null") == []
    assert "raw      1 older than 30 d removed" in clean(house, **ALL).output


def test_a_slot_of_a_mailbox_stays_done_though_its_mail_is_gone(house: House) -> None:
    """Else the mail that was left there would be looked at again."""
    ignored = house.take(mail_from=None)
    make_old(house, ignored.mail_id)
    house.owner.execute("update intake.arrivals set account = 'a', folder = 'f', uidvalidity = 1, uid = 1")

    assert clean(house, **ALL).exit_code == 0

    assert house.rows("select mail_id, uid from intake.arrivals") == [(None, 1)]
    assert house.counts()["mails"] == 0


def test_the_daemons_login_may_delete_nothing_and_the_cleaners_nothing_else(house: House) -> None:
    """Each has what it needs."""
    make_old(house, house.intake.hold(an_envelope(b"X: y\r\n\r\n"), "x").result(PATIENCE).mail_id)
    refused = clean(house, **(ALL | {"SPECPOST_DATABASE__CLEANUP_URL": house.database.url}))
    assert refused.exit_code == 1
    assert "permission denied" in refused.output
    with psycopg.connect(cleaner(house), autocommit=True) as conn:
        for forbidden in (
            "insert into specs (repo, branch, storage_path) values ('a/b', 'c', 'd')",
            "update sprints set state = 'DONE'",
            "delete from runs",
            "delete from intake.parts",
            "update intake.mails set verdict = 'accepted'",
            "select from intake.tokens",
        ):
            with pytest.raises(InsufficientPrivilege):
                conn.execute(forbidden)


def test_who_may_not_delete_is_told_how_to(house: House) -> None:
    """With the command that makes a login that may."""
    done = clean(house, SPECPOST_DATABASE__CLEANUP_URL=None, **ALL)

    assert done.exit_code == 78
    assert "--role specpost_cleanup" in done.output


def reading(house: House) -> dict[str, str]:
    """What other commands need to know."""
    return {
        "SPECPOST_CONFIG": "/dev/null",
        "SPECPOST_DATABASE__URL": house.database.url,
        "SPECPOST_STORAGE__URL": f"file:{house.storage.root}",
        "SPECPOST_STATE_DIR": str(house.storage.root.parent / "state"),
    }

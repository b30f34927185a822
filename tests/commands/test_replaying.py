"""Mail that was set aside: read again by today's rules, or given up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from daemon.cli import main
from daemon.mail import Login, Slot
from daemon.outcome import Verdict
from db import mailboxes
from tests.fix_house import PATIENCE, SPEC, US, a_mail, an_envelope

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

    from daemon.outcome import Outcome
    from tests.fix_house import House

NOWHERE = SPEC.replace("  repo: example/tides\n", "")
RULES = {
    "SPECPOST_SENDERS__EXAMPLE__FROM": "*@example.org",
    "SPECPOST_SENDERS__EXAMPLE__REPOS": "example/*",
    "SPECPOST_SENDERS__EXAMPLE__PROOF": "dkim",
}


def run(house: House, *args: str, given: str = "", **env: str) -> Result:
    """A command on what the house has."""
    usual = {
        "SPECPOST_CONFIG": "/dev/null",
        "SPECPOST_DATABASE__URL": house.database.url,
        "SPECPOST_STORAGE__URL": f"file:{house.storage.root}",
        "SPECPOST_STATE_DIR": str(house.storage.root.parent / "state"),
        "SPECPOST_SMTP__RECIPIENTS": US,
    }
    return CliRunner().invoke(main, list(args), env=usual | env, input=given)


def held(house: House, **more: Any) -> tuple[bytes, Outcome]:
    """A good mail that is held, as by an older release that could not read it."""
    raw = a_mail()
    outcome = house.intake.hold(an_envelope(raw, **more), "broke its reader").result(PATIENCE)
    assert outcome.verdict is Verdict.HELD
    return raw, outcome


def facts(house: House) -> dict[str, Any]:
    """All that a replay may change."""
    return {
        "mails": house.rows(
            "select id, verdict, supersedes, dropped_at is null from intake.mails order by id"
        ),
        "jobs": house.rows("select kind, mail_id, state from intake.jobs"),
        "files": sorted(each.key for each in house.storage.list()),
        **house.counts(),
    }


def test_a_held_mail_becomes_what_it_would_have_been(house: House) -> None:
    """The accepted row stands beside the held one, and replaces it; its stored copy is to be removed."""
    raw, before = held(house)

    done = run(house, "replay", "--held")

    assert done.exit_code == 0, done.output
    assert f"{before.mail_id}  held -> accepted: spec=" in done.stdout
    (accepted,) = house.rows(
        "select id, supersedes, source, sender from intake.mails where verdict = 'accepted'"
    )
    assert accepted[1:] == (before.mail_id, "replay", "ana@example.org")
    assert house.storage.get(f"mails/{str(accepted[0])[:2]}/{accepted[0]}/raw.eml") == raw
    assert house.rows("select phase from status_events order by id") == [("SPEC_RECEIVED",), ("PLANNING",)]
    assert house.rows("select kind, mail_id from intake.jobs") == [("forget", before.mail_id)]
    again = run(house, "replay", str(before.mail_id))
    assert again.exit_code == 1
    assert f"was accepted by now, as {accepted[0]}" in again.stderr
    assert run(house, "replay", "--held").stdout == "no mail is held\n"


def test_who_sends_it_again_afterwards_is_told_the_same_ids(house: House) -> None:
    """Replayed or delivered, it is the same mail."""
    raw, _ = held(house)
    assert run(house, "replay", "--held").exit_code == 0

    outcome = house.take(raw)

    assert outcome.verdict is Verdict.DUPLICATE
    assert [(spec,) for spec in outcome.spec_ids] == house.rows("select id from specs")


def test_a_dry_run_says_the_same_and_changes_nothing(house: House) -> None:
    """Nothing is written, nothing stored."""
    held(house)
    before = facts(house)

    rehearsed = run(house, "replay", "--held", "--dry-run")

    assert rehearsed.exit_code == 0
    assert facts(house) == before
    assert run(house, "replay", "--held").stdout == rehearsed.stdout


def test_a_rejected_mail_is_taken_once_a_repository_is_configured(house: House) -> None:
    """Rules that are mended are today's rules."""
    rejected = house.take(a_mail(("spec.yaml", NOWHERE)))
    assert rejected.verdict is Verdict.REJECTED

    still = run(house, "replay", str(rejected.mail_id))
    mended = run(house, "replay", "<tides@example.org>", SPECPOST_ROUTING__REPO="example/tides")

    assert (still.exit_code, mended.exit_code) == (1, 0)
    assert "rejected -> rejected: spec.yaml: " in still.stdout
    assert "rejected -> accepted: " in mended.stdout
    assert house.rows("select repo from specs") == [("example/tides",)]


def test_a_mail_of_a_mailbox_has_no_null_sender(house: House) -> None:
    """Nobody knows its envelope, which is no sign of a bounce."""
    slot = Slot("specs", "INBOX", 1, 1, 1)
    with house.database.connect("daemon") as conn:
        assert mailboxes.take(conn, "specs", "test", 60.0) == slot.epoch
    held(house, source="imap", mail_from="", slot=slot)

    assert "held -> accepted" in run(house, "replay", "--held").stdout


def test_a_mail_whose_bytes_are_lost_stands_in_nobodys_way(house: House) -> None:
    """It is told, and the next one is read."""
    gone = house.intake.hold(an_envelope(b"X: y\r\n\r\n"), "broke its reader").result(PATIENCE).mail_id
    house.storage.delete([f"mails/{str(gone)[:2]}/{gone}/raw.eml"])
    _, good = held(house)

    done = run(house, "replay", "--held")

    assert done.exit_code == 1
    assert f"{gone}  held -> deferred, so it stays held: what was kept of it is lost: " in done.stdout
    assert f"{good.mail_id}  held -> accepted: " in done.stdout


def test_what_may_not_be_taken_stays_held(house: House) -> None:
    """A replay lets nobody in: who sent it is judged as at its first coming."""
    _, before = held(house)

    done = run(house, "replay", "--held", **RULES)

    assert done.exit_code == 1
    assert "held -> refused, so it stays held: rule example: not proven" in done.stdout
    assert house.rows("select id, verdict from intake.mails") == [(before.mail_id, "held")]
    assert house.counts()["specs"] == 0


@pytest.mark.parametrize(("owned", "status"), [("bo@example.org", 1), ("ana@example.org", 0)])
def test_who_had_logged_in_is_asked_of_todays_logins(
    house: House, certificate: Path, owned: str, status: int
) -> None:
    """The name is remembered; whose addresses are that login's, the file says."""
    held(house, login=Login("ana", ("ana@example.org",)))
    logins = house.storage.root.parent / "logins"
    more = RULES | {
        "SPECPOST_SENDERS__EXAMPLE__PROOF": "smtp-auth",
        "SPECPOST_SMTP__LOGINS_FILE": str(logins),
        "SPECPOST_SMTP__TLS_CERT": str(certificate),
        "SPECPOST_SMTP__TLS_KEY": str(certificate),
    }
    password = "correct horse battery\n"
    added = run(house, "login", "add", "ana", "--file", str(logins), "--from", owned, given=password)
    assert added.exit_code == 0, added.output

    assert run(house, "replay", "--held", **more).exit_code == status


def test_a_dropped_mail_is_no_longer_held_and_its_bytes_are_to_be_removed(house: House) -> None:
    """With the reason, which why tells; once."""
    _, before = held(house)

    done = run(house, "drop", str(before.mail_id), "--why", "spam")

    assert done.exit_code == 0, done.output
    assert facts(house)["jobs"] == [("forget", before.mail_id, "waiting")]
    assert run(house, "replay", "--held").stdout == "no mail is held\n"
    assert ": spam" in run(house, "why", str(before.mail_id)).stdout
    again = run(house, "drop", str(before.mail_id), "--why", "x")
    assert again.exit_code == 1
    assert "was dropped: spam" in again.stderr


def test_a_dropped_mail_that_comes_again_is_held_again(house: House) -> None:
    """Whoever sends it hears 250, so it must be there to be looked at."""
    _, before = held(house)
    assert run(house, "drop", str(before.mail_id), "--why", "spam").exit_code == 0

    held(house)

    assert "held -> accepted" in run(house, "replay", "--held", "--dry-run").stdout


def test_a_rejected_mail_that_was_dropped_and_comes_again_is_kept_again(house: House) -> None:
    """Its sender is told what to mend, and so is the control plane."""
    raw = a_mail(("spec.yaml", NOWHERE))
    rejected = house.take(raw)
    assert run(house, "drop", str(rejected.mail_id), "--why", "spam").exit_code == 0

    house.take(raw)

    assert house.rows("select dropped_at from intake.mails") == [(None,)]
    assert house.counts()["status_events"] == 2


@pytest.mark.parametrize("command", [["replay"], ["drop", "--why", "x"]])
def test_what_is_not_set_aside_is_left_alone(house: House, command: list[str]) -> None:
    """Accepted mail is nobody's to replay or drop, and what isn't there is said."""
    accepted = house.take().mail_id

    for name, told in ((str(accepted), "was accepted; only held and rejected"), ("<x@y>", "names no mail")):
        done = run(house, *command, name)
        assert done.exit_code == 1
        assert told in done.output


def test_a_replay_needs_to_be_told_which(house: House) -> None:
    """Neither all by accident, nor none."""
    assert run(house, "replay").exit_code == 2
    assert "say --held" in run(house, "replay").stderr

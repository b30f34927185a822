"""What an operator is told of mails: which came, and why each became what it is."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from daemon.commands.stories import since
from tests.fix_daemon import specpost
from tests.fix_house import SPEC, a_mail

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fix_daemon import Daemon
    from tests.fix_database import Database

BROKEN = SPEC.replace("epics:", "epic:")
NEVER = "00000000-0000-0000-0000-000000000000"
MAILBOX = """
[imap.specs]
host = "imap.example.net"
user = "specs@example.net"
password = "x"

[senders.example]
from = ["*@example.com"]
repos = ["example/*"]
proof = ["dkim"]
"""
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


@pytest.fixture
def taken(daemon: Daemon) -> Daemon:
    """A daemon that has accepted a mail, twice, rejected one and held one."""
    accepted = a_mail(Message_ID="<one@example.org>")
    assert [daemon.mail(accepted)[0], daemon.mail(accepted)[0]] == [250, 250]
    assert (
        daemon.mail(a_mail(("spec.yaml", BROKEN), Subject="broken", Message_ID="<two@example.org>"))[0] == 550
    )
    assert daemon.mail(b"X: y\r\n" * 1001 + a_mail(Subject="too much", From="Bo <bo@example.net>"))[0] == 250
    return daemon


def mails(daemon: Daemon, *args: str) -> list[dict[str, Any]]:
    """What ``specpost mails --json`` prints."""
    done = specpost("mails", "--json", *args, env=daemon.env)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def why(daemon: Daemon, what: str) -> str:
    """What ``specpost why`` prints."""
    done = specpost("why", what, env=daemon.env)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_mails_are_listed_newest_first_with_what_became_of_each(taken: Daemon) -> None:
    """One line for a mail however often it came, with the reason or the first problem."""
    told = specpost("mails", env=taken.env).stdout.splitlines()

    assert [line.split()[3] for line in told[1:]] == ["held", "rejected", "accepted"]
    assert "headers: 1008, and no more than 1000 can be read" in told[1]
    assert "did you mean epics?" in told[2]
    assert "accepted x2" in told[3]


def test_mails_can_be_asked_for_by_verdict_and_time(taken: Daemon) -> None:
    """Both narrow it down, and both are explained when they make no sense."""
    assert [mail["verdict"] for mail in mails(taken, "--verdict", "held")] == ["held"]
    assert len(mails(taken, "--since", "1h")) == 3
    assert mails(taken, "--since", "2999-01-01") == []
    wrong = specpost("mails", "--since", "soon", env=taken.env)
    assert wrong.returncode == 2
    assert "'soon' is not a time such as" in wrong.stderr


def test_the_life_of_an_accepted_mail(taken: Daemon) -> None:
    """How it came each time, what was found and stored, and what it led to; by each of its names."""
    (mail,) = mails(taken, "--verdict", "accepted")
    page = why(taken, mail["id"])

    for word in (
        "verdict   accepted",
        "ana@example.org",
        "<one@example.org>",
        "raw.eml",
        "spec.yaml",
        "plan-1.json",
    ):
        assert word in page, word
    assert page.count("came      ") == 2
    assert ": duplicate" in page
    assert "SPEC_RECEIVED" in page
    assert "PLANNING" in page
    (spec,) = [json.loads(line) for line in specpost("specs", "--json", env=taken.env).stdout.splitlines()]
    for name in ("one@example.org", "<one@example.org>", mail["content_id"], mail["raw_id"], spec["id"]):
        assert why(taken, name) == page


def test_the_life_of_a_mail_that_got_nowhere(taken: Daemon) -> None:
    """What its sender was told, or why it is held."""
    rejected = why(taken, "<two@example.org>")
    assert "problem   spec.yaml:" in rejected
    assert "FAILED" in rejected
    (held,) = mails(taken, "--verdict", "held")
    assert "verdict   held: headers: 1008" in why(taken, held["id"])


def test_of_a_sender_all_mails_are_listed(taken: Daemon) -> None:
    """An address names several."""
    page = why(taken, "ANA@example.org")

    assert page.splitlines()[0].startswith("RECEIVED")
    assert "accepted x2" in page
    assert "rejected" in page


def test_for_programs_all_of_it_is_one_object(taken: Daemon) -> None:
    """With its arrivals, parts, specifications and events."""
    story = json.loads(specpost("why", "<one@example.org>", "--json", env=taken.env).stdout)

    assert [arrival["verdict"] for arrival in story["arrivals"]] == ["accepted", "duplicate"]
    assert [part["place"] for part in story["parts"]] == ["raw", "2", "plan-1"]
    assert [event["phase"] for event in story["events"]] == ["SPEC_RECEIVED", "PLANNING"]
    assert len(story["specs"]) == 1


def test_a_mail_that_never_came_is_told_where_it_may_still_be(
    database: Database, daemon: Daemon, tmp_path: Path
) -> None:
    """How each mailbox fares, and that nobody watches it."""
    with database.connect("owner") as conn:
        conn.execute(
            "insert into intake.mailboxes (account, owner, leased_until, state, looked_at)"
            " values ('specs', 'x', now() - interval '1 s', 'waiting', now() - interval '12 s')"
        )
    config = tmp_path / "specpost.toml"
    config.write_text(MAILBOX)

    done = specpost("why", NEVER, "--config", str(config), env=daemon.env)

    assert done.returncode == 1
    assert f"never seen: no mail has the id, the Message-ID or the sender '{NEVER}'" in done.stderr
    assert re.search(r"mailbox specs: last looked through \d+ s ago; ", done.stderr)
    with database.connect("owner") as conn:
        conn.execute("update intake.mailboxes set leased_until = now() + interval '1 h', looked_at = now()")
    watched = specpost("why", NEVER, "--config", str(config), env=daemon.env).stderr
    assert re.search(r"last looked through \d+ s ago, again in 1[012]\d s at the latest; waiting\n", watched)
    assert "waiting, and nobody watches it now" in done.stderr


def test_a_mail_is_written_out_to_the_byte(daemon: Daemon) -> None:
    """As it came."""
    raw = a_mail(Message_ID="<one@example.org>")
    daemon.mail(raw)

    done = specpost("export", "<one@example.org>", env=daemon.env)

    assert done.stdout.encode().replace(b"\r\n", b"\n") == raw.replace(b"\r\n", b"\n")
    none = specpost("export", NEVER, env=daemon.env)
    assert none.returncode == 1
    assert "names 0 mails; specpost mails lists those there are" in none.stderr


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("90s", timedelta(seconds=90)),
        ("5min", timedelta(minutes=5)),
        ("1.5h", timedelta(minutes=90)),
        ("7 d", timedelta(days=7)),
        ("2w", timedelta(days=14)),
        ("2026-11-27T11:00+00:00", timedelta(hours=1)),
    ],
)
def test_a_time_is_said_as_people_say_it(text: str, ago: timedelta) -> None:
    """So long ago, or when."""
    assert since(text, NOW) == NOW - ago


@pytest.mark.parametrize("text", ["", "h", "soon", "5 parsecs", "1e999d", "-", "2026-13-01"])
def test_what_is_no_time_is_said_to_be_none(text: str) -> None:
    """With what would be one."""
    with pytest.raises(ValueError, match='a time such as "2h"'):
        since(text, NOW)

"""A look at a mailbox, as an operator takes it before the daemon does."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.fix_daemon import specpost
from tests.fix_dovecot import free_port
from tests.fix_imap import SENDERS, a_letter, an_account, toml
from tests.scripted_imap import scripted_imap

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from tests.fix_database import Database
    from tests.fix_dovecot import Box, Dovecot

    Check = Callable[..., subprocess.CompletedProcess[str]]


#: Commands that make no folder, and fetch or mark no mail.
HARMLESS = {"AUTHENTICATE", "CAPABILITY", "NAMESPACE", "LIST", "SELECT", "EXAMINE", "NOOP", "LOGOUT"}


@pytest.fixture
def check(tmp_path: Path) -> Check:
    """Checks an account, by default the one that a configuration with the given table has."""

    def run(
        table: dict[str, Any], account: str = "specs", **variables: str
    ) -> subprocess.CompletedProcess[str]:
        path = tmp_path / "specpost.toml"
        path.write_text(toml(imap={"specs": table}, senders=SENDERS))
        done = specpost("imap", "check", account, "--config", os.fspath(path), env=variables)
        assert not [secret for secret in ("secret", "geheim") if secret in done.stdout + done.stderr]
        return done

    return run


def a_table(host: str, port: int, **changes: Any) -> dict[str, Any]:
    """The configuration of a mailbox on a server of a test's own; what is None is left out."""
    usual = {"host": host, "port": port, "tls": "none", "user": "ana", "password": "secret"}
    changed = usual | {"authserv_id": "mx.example.net"} | changes
    return {key: value for key, value in changed.items() if value is not None}


def test_not_even_what_is_new_is_less_so(box: Box, check: Check) -> None:
    r"""\Recent is for the first session that selects a folder, and looking is none."""
    box.append(a_letter())
    assert check(a_table(*box.address, user=box.user)).returncode == 0

    with box.opened("INBOX", readonly=False) as client:
        assert b"\\Recent" in client.uid("FETCH", "1", "(FLAGS)")[1][0]


def test_a_mailbox_is_shown_and_not_changed(box: Box, check: Check) -> None:
    """What would be taken, where it would go, and how; no folder is made, and no mail touched."""
    uid = box.append(a_letter(1))
    box.create("Done")

    done = check(an_account(box, processed="Done", refused="Specs/Refused", ignored=""))

    host, port = box.address
    assert (done.returncode, done.stderr) == (0, "")
    assert f"logged in to {host}:{port} (no TLS) as {box.user} in " in done.stdout
    assert re.search(r"^the server can: .*\bIDLE\b.*\bMOVE\b", done.stdout, re.MULTILINE)
    assert "it says at once that a mail has come (IDLE)" in done.stdout
    assert "mails are moved (MOVE)" in done.stdout
    assert re.search(r"^folders: (INBOX, Done|Done, INBOX)$", done.stdout, re.MULTILINE)
    assert f"INBOX: 1 mail, UIDVALIDITY {box.uidvalidity()}, next UID {uid + 1}\n" in done.stdout
    assert 'existing = "skip" (chosen) takes none of them' in done.stdout
    assert 'and "take" takes 1 mail\n' in done.stdout
    assert "processed: Done (is there)" in done.stdout
    assert "rejected: Rejected (will be made)" in done.stdout
    assert "refused: Specs.Refused (will be made)" in done.stdout
    assert "ignored: left where they are" in done.stdout
    assert re.search(r"^a round trip takes [\d.]+ ms \([\d.]+ to [\d.]+\)$", done.stdout, re.MULTILINE)
    assert box.folders() == ["Done", "INBOX"]
    assert box.flags() == {uid: set()}


def test_what_is_chosen_for_what_is_there_is_said(box: Box, check: Check) -> None:
    """And the folder that is watched is the one that was looked into."""
    box.create("Specs")

    done = check(an_account(box, existing="take", folder="Specs"))

    assert "Specs: 0 mails, UIDVALIDITY " in done.stdout
    assert 'existing = "skip" takes none of them' in done.stdout
    assert 'and "take" (chosen) takes 0 mails' in done.stdout


@pytest.mark.parametrize(
    ("hidden", "says"),
    [
        (
            {"IDLE", "MOVE"},
            [
                "it is looked at every 7 s (poll)",
                "mails are copied and expunged, each by itself (UIDPLUS; no MOVE)",
            ],
        ),
        (
            {"MOVE", "UIDPLUS"},
            ["it says at once", "mails can't be moved (neither MOVE nor UIDPLUS): they stay, and"],
        ),
    ],
)
def test_what_a_server_can_not_do_is_said(hidden: set[str], says: list[str], check: Check) -> None:
    """With what is done instead; it is no reason to fail, and nothing is asked for that changes anything."""
    with scripted_imap(hidden=hidden) as server:
        server.append(a_letter(1))
        done = check(a_table(server.host, server.port, poll=7))

    assert done.returncode == 0
    assert [words for words in says if words not in done.stdout] == []
    assert {command.name for command in server.commands} <= HARMLESS


def test_a_password_that_is_refused_is_said_and_not_shown(box: Box, check: Check) -> None:
    """In the server's words, with what a person can do."""
    done = check(an_account(box, password="geheim"))

    assert (done.returncode, done.stdout) == (1, "")
    first, advice = done.stderr.splitlines()
    assert first == "specpost: login refused: [AUTHENTICATIONFAILED] Authentication failed."
    assert advice.startswith("  are user and password right?")


def test_an_account_that_is_none_is_said_and_those_there_are(check: Check) -> None:
    """Nobody is connected to."""
    done = check(a_table("127.0.0.1", free_port()), "spex")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "specpost: there is no account spex in [imap]; there are: specs\n"


def test_a_server_that_is_not_there_is_said(check: Check) -> None:
    """With the settings to look at."""
    done = check(a_table("127.0.0.1", free_port(), password="geheim"))

    assert (done.returncode, done.stdout) == (1, "")
    first, advice = done.stderr.splitlines()
    assert first == "specpost: unreachable: connect: [Errno 111] Connection refused"
    assert advice == "  are host, port and tls right, and may this machine connect there?"


def test_a_server_that_proves_nothing_gets_no_password(dovecot: Dovecot, box: Box, check: Check) -> None:
    """Its certificate is nobody's that this machine trusts."""
    done = check(an_account(box, tls="implicit", port=dovecot.tls_port))

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("specpost: not trusted: its certificate: ")


def test_a_folder_that_is_not_there_is_said(box: Box, check: Check) -> None:
    """After what there is, so that the right one can be picked; it isn't made."""
    done = check(an_account(box, folder="Spex"))

    assert done.returncode == 1
    assert "folders: INBOX\n" in done.stdout
    first, advice = done.stderr.splitlines()
    assert first.startswith("specpost: declined: NO to select Spex: ")
    assert "is folder the name of one that this user may open?" in advice
    assert box.folders() == ["INBOX"]


def test_a_mailbox_that_nobody_has_consented_to_names_the_command(database: Database, check: Check) -> None:
    """Tokens are looked for in the daemon's database."""
    client = {"provider": "google", "client_id": "id", "client_secret": "geheim"}
    variables = {"SPECPOST_DATABASE__URL": database.url, "SPECPOST_OAUTH__KEY": "A" * 43 + "="}

    done = check(a_table("127.0.0.1", free_port(), password=None, oauth=client), **variables)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("specpost: no consent: ")
    assert "specpost oauth login specs" in done.stderr


def test_no_terminal_obeys_the_name_of_a_folder(check: Check) -> None:
    """It may be somebody else's, who gave it any name."""
    with scripted_imap() as server:
        server.folders["&ABs-]0,x"] = server.folders["INBOX"]
        done = check(a_table(server.host, server.port))

    assert "]0,x" in done.stdout
    assert "\x1b" not in done.stdout


def test_no_terminal_obeys_what_was_typed(check: Check) -> None:
    """A name that was pasted, say."""
    done = check(a_table("127.0.0.1", free_port()), "\x1b]0,x")

    assert "there is no account" in done.stderr
    assert "\x1b" not in done.stderr


def test_a_mailbox_is_held_against_what_is_recorded_of_it(
    box: Box, database: Database, tmp_path: Path
) -> None:
    """How many mails of ours are still to be taken in, and how many to be moved."""
    uids = [box.append(a_letter(number)) for number in range(4)]
    slot = ("specs", "INBOX", box.uidvalidity())
    with database.connect("daemon") as conn:
        conn.execute(
            "insert into intake.folders (account, folder, uidvalidity, first_uid) values (%s, %s, %s, %s)",
            [*slot, uids[1]],
        )
        for uid, verdict in ((uids[1], "accepted"), (uids[2], "refused")):
            conn.execute(
                "insert into intake.arrivals"
                " (account, folder, uidvalidity, uid, source, verdict, received_at)"
                " values (%s, %s, %s, %s, 'imap', %s, now())",
                [*slot, uid, verdict],
            )
    path = tmp_path / "specpost.toml"
    path.write_text(toml(imap={"specs": an_account(box)}, senders=SENDERS))
    env = {"SPECPOST_DATABASE__URL": database.url, "SPECPOST_STATE_DIR": str(tmp_path)}

    done = specpost("reconcile", "--config", os.fspath(path), env=env)
    env["SPECPOST_IMAP__SPECS__PASSWORD"] = "geheim"
    shut = specpost("reconcile", "--config", os.fspath(path), env=env)

    assert (done.returncode, shut.returncode) == (0, 1)
    assert "mailbox specs: 3 mails of ours: 1 to be taken in, 1 to be moved\n" in done.stdout
    assert "mailbox specs: login refused: " in shut.stdout
    assert box.count() == 4

"""The running daemon's other doors: logins over TLS, and LMTP for mail servers of ours."""

from __future__ import annotations

import base64
import signal
import smtplib
import time
from typing import TYPE_CHECKING

import pytest

from tests.entitled.letter import above, letter
from tests.fix_daemon import PATIENCE, new_daemon, specpost
from tests.fix_house import SPEC, US

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fix_daemon import Daemon
    from tests.fix_database import Database

CONFIGURATION = """\
[smtp]
listen = ["127.0.0.1:0", "lmtp://{folder}/lmtp"]
tls_cert = "{certificate}"
tls_key = "{certificate}"
logins_file = "{folder}/logins"
authserv_id = "mx.example.net"
relays = ["unix"]

[senders.staff]
from = ["*@staff.example"]
repos = ["example/*"]
proof = ["smtp-auth", "authentication-results"]
"""
ANA, BOB = "ana@staff.example", "bob@staff.example"
PASSWORD = "correct horse"
BELIEVED = "Authentication-Results: mx.example.net; dkim=pass header.d=staff.example"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the file of logins is, with Ana in it."""
    add_login(tmp_path, "ana", ANA)
    return tmp_path


@pytest.fixture
def doors(folder: Path, certificate: Path, database: Database) -> Iterator[Daemon]:
    """A daemon that takes mail by both protocols."""
    file = folder / "specpost.toml"
    file.write_text(CONFIGURATION.format(folder=folder, certificate=certificate))
    variables = {
        "SPECPOST_CONFIG": str(file),
        "SPECPOST_DATABASE__URL": database.url,
    }
    with new_daemon(folder / "daemon", listen=None, **variables) as daemon:
        yield daemon


def add_login(folder: Path, name: str, address: str) -> None:
    """Let somebody log in, as an operator does."""
    done = specpost(
        "login", "add", name, "--from", address, "--file", str(folder / "logins"), given=PASSWORD.encode()
    )
    assert done.returncode == 0, done.stderr


def mailed(daemon: Daemon, trusting: ssl.SSLContext, name: str, raw: bytes) -> tuple[int, str]:
    """What a mail in a session of ``name`` is answered."""
    with smtplib.SMTP(*daemon.smtp, timeout=PATIENCE) as client:
        client.starttls(context=trusting)
        client.login(name, PASSWORD)
        client.mail(ANA)
        client.rcpt(US)
        code, text = client.data(raw)
    return code, text.decode()


def test_who_logged_in_may_send_as_themselves(doors: Daemon, trusting: ssl.SSLContext) -> None:
    """And as nobody else, though the same rule is for both."""
    assert mailed(doors, trusting, "ana", letter(From=ANA))[0] == 250
    assert mailed(doors, trusting, "ana", letter(From=BOB)) == (550, "5.7.1 not accepted from this sender")


def test_logins_are_read_again_when_the_operator_says_so(
    doors: Daemon, folder: Path, trusting: ssl.SSLContext
) -> None:
    """SIGHUP lets a new one in; a file that is broken meanwhile changes nothing, and is told."""
    with pytest.raises(smtplib.SMTPAuthenticationError):
        mailed(doors, trusting, "bob", letter(From=BOB))
    add_login(folder, "bob", BOB)

    hang_up(doors, "logins")
    assert mailed(doors, trusting, "bob", letter(From=BOB))[0] == 250

    (folder / "logins").write_text("nonsense\n")
    hang_up(doors, "logins broken")
    assert mailed(doors, trusting, "bob", letter(From=BOB))[0] == 250


def hang_up(daemon: Daemon, event: str) -> None:
    """Send SIGHUP, and wait until the log has ``event`` once more."""
    before = daemon.events().count(event)
    daemon.process.send_signal(signal.SIGHUP)
    daemon.await_event(event, before + 1)


def test_no_password_is_ever_logged(doors: Daemon, trusting: ssl.SSLContext) -> None:
    """Neither a right one nor a wrong one, in clear or as it goes over the wire."""
    with smtplib.SMTP(*doors.smtp, timeout=PATIENCE) as client:
        client.starttls(context=trusting)
        with pytest.raises(smtplib.SMTPAuthenticationError):
            client.login("ana", "wrong horse")
    mailed(doors, trusting, "ana", letter(From=ANA))

    log = doors.log_file.read_text()
    assert '"login failed"' in log
    for word in ("horse", base64.b64encode(b"\0ana\0wrong horse").decode()):
        assert word not in log


def test_a_mail_server_of_ours_delivers_by_lmtp(doors: Daemon, folder: Path) -> None:
    """One mail, one specification, and an answer for each of its recipients."""
    with smtplib.LMTP(str(folder / "lmtp")) as client:
        client.ehlo()
        client.mail(ANA)
        client.rcpt(US)
        client.rcpt(US.replace("@", "+other@"))
        first = client.data(above(letter(From=ANA), BELIEVED))
        second = client.getreply()
        stranger = client.rcpt("somebody@example.net")

    assert first == second
    assert first[0] == 250
    assert stranger[0] in (503, 550)


def test_send_says_when_mail_is_taken_by_lmtp_alone(
    folder: Path, certificate: Path, database: Database
) -> None:
    """There is nothing that it could speak to."""
    file = folder / "specpost.toml"
    only = CONFIGURATION.replace('"127.0.0.1:0", ', "")
    file.write_text(only.format(folder=folder, certificate=certificate))
    spec = folder / "spec.yaml"
    spec.write_text(SPEC)
    variables = {"SPECPOST_CONFIG": str(file), "SPECPOST_DATABASE__URL": database.url}
    with new_daemon(folder / "daemon", listen=None, **variables) as daemon:
        done = specpost("send", str(spec), env=daemon.env)

    assert done.returncode == 1
    assert "takes mail by LMTP alone" in done.stderr


def test_a_hang_up_while_it_ends_spoils_nothing(doors: Daemon) -> None:
    """Whoever reloads what is being stopped gets an orderly end."""
    doors.process.send_signal(signal.SIGTERM)
    doors.await_event("stopping")
    while doors.process.poll() is None:
        doors.process.send_signal(signal.SIGHUP)
        time.sleep(0.005)

    assert doors.process.returncode == 0
    assert doors.events()[-1] == "stopped"


def test_without_logins_a_hang_up_ends_nothing(daemon: Daemon) -> None:
    """There is nothing to read again, and no reason to go."""
    daemon.process.send_signal(signal.SIGHUP)

    assert daemon.mail(letter(From="ana@example.org"))[0] == 250

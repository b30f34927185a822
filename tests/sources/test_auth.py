"""Who logs in by SMTP AUTH, over a real wire."""

from __future__ import annotations

import base64
import select
import shutil
import smtplib
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from daemon.mail import Login
from daemon.sources import desk
from daemon.sources.auth import Credentials, plain
from tests.fix_smtp import PATIENCE
from tests.parts import need

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from pathlib import Path

    from tests.fix_smtp import Running, Wire

    Start = Callable[..., Running]
    Inside = Callable[[Running], Wire]

MESSAGE = b"From: ana@example.org\r\nSubject: a spec\r\n\r\nbody\r\n"
ANA = Login("ana", ("ana@example.org",))
PASSWORDS = {"ana": "geheim"}


def auth(name: str, password: str) -> str:
    """The command that logs in."""
    return "AUTH PLAIN " + base64.b64encode(f"\0{name}\0{password}".encode()).decode()


RIGHT, WRONG = auth("ana", "geheim"), auth("ana", "falsch")


@pytest.fixture
def source(smtp_source: Start, tls: ssl.SSLContext) -> Running:
    """A source that ana can log in to."""
    return smtp_source(tls=tls, passwords=PASSWORDS)


@pytest.fixture
def inside(trusting: ssl.SSLContext) -> Inside:
    """Connect, and go past STARTTLS and EHLO; ``inside(source, "127.0.0.2")`` from another neighbourhood."""
    return lambda source, peer=None: source.connect(peer).greet().secure(trusting).greet_again()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong guesses cost next to nothing."""
    monkeypatch.setattr(desk, "DELAYS", (0.01,))


def test_smtplib_logs_in(source: Running, trusting: ssl.SSLContext) -> None:
    """The standard library's client logs in by itself, and the envelope says who brought the mail."""
    with smtplib.SMTP("127.0.0.1", source.address[1], timeout=PATIENCE) as client:
        client.starttls(context=trusting)
        client.login("ana", "geheim")
        client.sendmail("ana@example.org", ["specs@example.net"], MESSAGE, ["AUTH=<>"])
    assert source.taker.taken[0].login == ANA
    assert source.logins.asked == [("ana", "geheim")]


def test_swaks_logs_in(source: Running, tmp_path: Path) -> None:
    """So does the operator's tool, which takes the challenge."""
    need(shutil.which("swaks"), "apt-get install swaks")
    (tmp_path / "mail.eml").write_bytes(MESSAGE)
    command = ["swaks", "--server", "{}:{}".format(*source.address), "--to", "specs@example.net", "-tls"]
    login = ["--auth", "PLAIN", "--auth-user", "ana", "--auth-password", "geheim", "--from", "a@example.org"]
    done = subprocess.run(
        [*command, *login, "--data", f"@{tmp_path / 'mail.eml'}"],
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 0, done.stdout.decode()
    assert source.taker.taken[0].login == ANA


def test_a_login_lasts_for_its_session_alone(source: Running, inside: Inside) -> None:
    """A second mail, RSET and EHLO change nothing about who is there; the next session is nobody's."""
    client = inside(source)
    assert client.ask(RIGHT) == "235 2.7.0 welcome"
    client.to_data().ask(".")
    client.ask("RSET")
    client.greet_again().to_data().ask(".")
    inside(source).to_data().ask(".")
    assert [envelope.login for envelope in source.taker.taken] == [ANA, ANA, None]


def test_the_challenge_is_empty(source: Running, inside: Inside) -> None:
    """To the octet: a client takes what is behind 334 for base64."""
    client = inside(source)
    client.say("AUTH PLAIN")
    assert client.hear() == "334 "
    assert client.ask(RIGHT.split()[-1]).startswith("235 ")


def test_a_password_may_be_in_any_language(smtp_source: Start, tls: ssl.SSLContext, inside: Inside) -> None:
    """UTF-8 arrives as it was sent, colons and spaces too."""
    source = smtp_source(tls=tls, passwords={"ana": "mot de passe : été 🌊"})
    assert inside(source).ask(auth("ana", "mot de passe : été 🌊")).startswith("235 ")


def test_who_acts_for_themselves_may_say_so() -> None:
    """The first field of PLAIN may repeat the name."""
    assert plain(base64.b64encode(b"ana\0ana\0geheim").decode()) == Credentials("ana", "geheim")


def test_the_longest_response_fits_into_a_command(source: Running, inside: Inside) -> None:
    """255 octets each, as RFC 4616 2 demands."""
    name, password = "n" * 255, "p" * 255
    response = base64.b64encode(f"{name}\0{name}\0{password}".encode()).decode()
    inside(source).say(f"AUTH PLAIN {response}")
    assert source.logins.has_begun.wait(PATIENCE)
    assert source.logins.asked == [(name, password)]


def test_nothing_said_in_clear_logs_anybody_in(source: Running, trusting: ssl.SSLContext) -> None:
    """Neither AUTH before TLS nor AUTH put behind STARTTLS by somebody in the middle."""
    client = source.connect().greet()
    assert client.ask(RIGHT).startswith("538 5.7.11 ")
    client.say("STARTTLS", "EHLO mallory.test", RIGHT)
    assert client.hear().startswith("220 ")
    client.shake_hands(trusting).greet_again().to_data().ask(".")
    assert source.logins.asked == []
    assert source.taker.taken[0].login is None


def test_what_is_no_response_is_nobodys_guess(source: Running, inside: Inside) -> None:
    """It costs no check and no time, but counts as an error."""
    client = inside(source)
    for response in ("=", "AAAA", "*", "ana"):
        assert client.ask(f"AUTH PLAIN {response}").startswith("501 5.5.2 ")
    assert source.logins.asked == []
    assert client.ask(RIGHT).startswith("235 ")


def test_guessing_takes_time_and_others_lose_none(
    source: Running, inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer to a wrong guess is late, the next one later, and every other session goes on."""
    monkeypatch.setattr(desk, "DELAYS", (0.3, 0.5))
    client, other = inside(source), inside(source)
    for delay in (0.3, 0.5):
        began = time.monotonic()
        client.say(WRONG)
        assert other.ask("NOOP").startswith("250 ")
        assert select.select([client.socket], [], [], 0)[0] == []
        assert client.hear().startswith("535 5.7.8 ")
        assert time.monotonic() - began >= delay


def test_a_new_connection_is_no_quicker(
    source: Running, inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who does not wait for the no waits before the next guess, even a right one; elsewhere nobody waits."""
    monkeypatch.setattr(desk, "DELAYS", (1.0,))
    began = time.monotonic()
    client = inside(source)
    client.say(WRONG)
    assert source.logins.has_begun.wait(PATIENCE)
    client.close()

    assert inside(source, "127.0.0.2").ask(RIGHT).startswith("235 ")
    assert time.monotonic() - began < 1.0
    assert inside(source).ask(RIGHT).startswith("235 ")
    assert time.monotonic() - began >= 1.0


@pytest.mark.usefixtures("quick")
def test_a_wrong_guess_is_logged_without_its_secret(source: Running, inside: Inside) -> None:
    """The operator sees who knocked as whom, in a name that can do no harm; the peer reads one text."""
    name = "ana\x1b[2J\u202e" + "x" * 100
    with capture_logs() as logged:
        replies = {inside(source).ask(command) for command in (WRONG, auth(name, "geheim"))}
    assert replies == {"535 5.7.8 name or password is wrong"}
    first, second = logged
    assert first == {
        "event": "login failed",
        "log_level": "warning",
        "peer": "127.0.0.1",
        "name": "ana",
    }
    assert second["name"].startswith(r"ana\x1b[2J\u202ex")
    assert len(second["name"]) == 64
    assert "geheim" not in str(logged)
    assert "falsch" not in str(logged)


def test_our_trouble_is_no_wrong_password(source: Running, inside: Inside) -> None:
    """454 lets the client try later; what broke is logged by its kind, for its text may hold the password."""
    source.logins.trouble = ValueError("geheim")
    with capture_logs() as logged:
        assert inside(source).ask(RIGHT).startswith("454 4.7.0 ")
    assert [(entry["event"], entry["error"]) for entry in logged] == [("internal error", "ValueError")]
    assert "geheim" not in str(logged)

    source.logins.trouble = None
    assert inside(source).ask(RIGHT).startswith("235 ")


def test_credentials_keep_their_secret() -> None:
    """Whatever prints them."""
    assert repr(Credentials("ana", "geheim")) == "Credentials(name='ana')"


def test_a_mail_needs_no_login(source: Running) -> None:
    """Who may send without one is not decided here."""
    source.connect().greet().to_data().ask(".")
    assert source.taker.taken[0].login is None

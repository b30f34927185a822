"""Consenting, as a mailbox's owner does it at a terminal."""

from __future__ import annotations

import base64
import os
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import urlopen

import click
import psycopg
import pytest
from click.testing import CliRunner

from daemon.cli import access, edge, main
from daemon.commands import consenting
from daemon.settings.oauth import OAuth
from daemon.vault import KEY, Vault
from db import tokens
from tests.fix_daemon import REPO, environment, specpost
from tests.fix_provider import SECRET, Reply, refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from click.testing import Result

    from tests.fix_database import Database
    from tests.fix_provider import TokenServer

PATIENCE = 20
VAULT = Vault(bytes(range(KEY)))


@dataclass
class Operator:
    """Whoever types the command, with a configuration of theirs."""

    settings: SimpleNamespace
    monkeypatch: pytest.MonkeyPatch
    slept: list[float] = field(default_factory=list)

    def types(self, *args: str, **more: Any) -> Result:
        """``specpost oauth login …``, and what came of it."""
        self.monkeypatch.setattr(edge, "settings", lambda _: self.settings)
        return CliRunner().invoke(main, ["oauth", "login", *args], **more)

    def sees(self, act: Callable[[str], None]) -> None:
        """Let a person ``act`` when they are shown a line."""
        echo = click.echo

        def shown(message: str = "", **options: Any) -> None:
            echo(message, **options)
            act(message)

        self.monkeypatch.setattr(consenting.click, "echo", shown)


@pytest.fixture
def operator(token_server: TokenServer, database: Database, monkeypatch: pytest.MonkeyPatch) -> Operator:
    """With one account of the provider's, and one with a password; nobody waits in earnest."""
    client = OAuth.model_validate(
        {
            "provider": "other",
            "client_id": "our-client",
            "client_secret": SECRET,
            "scope": "mail offline_access",
            "token_url": f"{token_server.url}/token",
            "device_url": f"{token_server.url}/device",
            "authorize_url": f"{token_server.url}/authorize",
        }
    )
    settings = SimpleNamespace(
        imap={"specs": SimpleNamespace(oauth=client), "old": SimpleNamespace(oauth=None)},
        oauth=SimpleNamespace(key=bytes(range(KEY))),
        database=SimpleNamespace(url=database.url),
    )
    made = Operator(settings, monkeypatch)
    monkeypatch.setattr(consenting.time, "sleep", made.slept.append)
    return made


def stored(database: Database, account: str = "specs") -> str | None:
    """The refresh token in the row."""
    with database.connect("daemon") as conn:
        row = tokens.get(conn, account)
    return VAULT.open(account, row.sealed) if row else None


def test_a_code_is_shown_and_its_token_is_stored(
    operator: Operator, token_server: TokenServer, database: Database
) -> None:
    """Where to type it, and what comes next; no secret is printed, and the row is sealed."""
    token_server.pending = 2
    done = operator.types("specs")

    assert done.exit_code == 0, done.output
    assert "  https://provider.example/device\n" in done.output
    assert "  ABCD-EFGH\n" in done.output
    assert "good for 15 minutes" in done.output
    assert "the daemon gets into specs with it from its next connection on" in done.output
    assert {stored(database)} == token_server.good
    assert operator.slept == [1, 1, 1]
    assert not [word for word in ("access-1", "refresh-1", "device-geheim", SECRET) if word in done.output]


@pytest.fixture
def config(token_server: TokenServer, tmp_path: Path) -> Path:
    """A whole configuration, as an operator writes it."""
    file = tmp_path / "specpost.toml"
    url = token_server.url
    file.write_text(
        f"""
[senders.ana]
from = ["ana@example.com"]
repos = ["example/*"]
proof = ["dkim"]

[imap.specs]
host = "mail.example"
user = "specs@example.org"
[imap.specs.oauth]
provider = "other"
client_id = "our-client"
scope = "mail offline_access"
token_url = "{url}/token"
device_url = "{url}/device"
"""
    )
    return file


@pytest.fixture
def env(database: Database) -> dict[str, str]:
    """Its secrets."""
    return {
        "SPECPOST_DATABASE__URL": database.url,
        "SPECPOST_OAUTH__KEY": base64.b64encode(bytes(range(KEY))).decode(),
        "SPECPOST_IMAP__SPECS__OAUTH__CLIENT_SECRET": SECRET,
    }


def test_it_is_a_command(
    token_server: TokenServer, database: Database, config: Path, env: dict[str, str]
) -> None:
    """With a configuration in a file, and its secrets from elsewhere."""
    done = specpost("oauth", "login", "specs", "--config", str(config), env=env)

    assert (done.returncode, done.stderr) == (0, "")
    assert "ABCD-EFGH" in done.stdout
    assert {stored(database)} == token_server.good


def test_it_ends_by_a_signal(token_server: TokenServer, config: Path, env: dict[str, str]) -> None:
    """Ctrl-C while a person is about it."""
    token_server.pending = 1000
    process = subprocess.Popen(
        [sys.executable, "-m", "daemon", "oauth", "login", "specs", "--config", str(config)],
        env=environment({"PYTHONUNBUFFERED": "1"} | env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=REPO,
    )
    assert process.stdout
    for line in process.stdout:
        if b"ABCD-EFGH" in line:
            process.send_signal(signal.SIGINT)
            break
    _, said = process.communicate(timeout=PATIENCE)

    assert (process.returncode, said) == (1, b"specpost: ended; nothing was stored\n")


def test_a_second_login_takes_the_place_of_the_first(
    operator: Operator, token_server: TokenServer, database: Database
) -> None:
    """As when consent was withdrawn."""
    operator.types("specs")
    first = stored(database)
    operator.types("specs")

    assert stored(database) not in (None, first)


@pytest.mark.parametrize(
    ("account", "said"),
    [
        ("spex", "there is no account 'spex'; there are: old, specs"),
        ("\x1b[31m", r"there is no account '\\x1b[31m'; there are: old, specs"),
        ("old", "old is not entered by OAuth2; that takes oauth = {"),
    ],
)
def test_an_account_that_is_none_is_said_and_those_there_are(
    operator: Operator, token_server: TokenServer, account: str, said: str
) -> None:
    """One line, and nobody is asked for anything."""
    done = operator.types(account)

    assert done.exit_code == 1
    assert done.stderr.startswith(f"specpost: {said}")
    assert len(done.stderr.splitlines()) == 1
    assert token_server.asked == []


def test_without_accounts_the_words_say_how_to_make_one(operator: Operator) -> None:
    """A newcomer begins here."""
    operator.settings.imap = {}

    assert "there are: none; [imap.NAME] in the configuration makes one" in operator.types("specs").stderr


def test_without_a_key_nobody_is_asked_to_consent(operator: Operator, token_server: TokenServer) -> None:
    """The words make one."""
    operator.settings.oauth.key = None
    done = operator.types("specs")

    assert done.exit_code == 1
    assert "openssl rand -base64 32" in done.stderr
    assert "oauth__key" in done.stderr
    assert token_server.asked == []


def test_a_database_that_is_down_is_heard_before_anybody_consents(
    operator: Operator, token_server: TokenServer
) -> None:
    """Else they would have to do it twice."""
    operator.settings.database.url = "postgresql://127.0.0.1:1/nothing"
    done = operator.types("specs")

    assert done.exit_code == 1
    assert done.stderr.startswith("specpost: the database says: ")
    assert token_server.asked == []


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (refusal("invalid_client", 401), "example says invalid_client: it doesn't know this client"),
        (refusal("access_denied"), "says access_denied: consent was refused"),
        (Reply(503), "127.0.0.1 answered 503"),
    ],
    ids=["client", "denied", "503"],
)
def test_what_went_wrong_is_one_line_and_status_1(
    operator: Operator, token_server: TokenServer, database: Database, reply: Reply, said: str
) -> None:
    """And nothing is stored."""
    token_server.next.append(reply)
    done = operator.types("specs")

    assert done.exit_code == 1
    assert said.removeprefix("example") in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert stored(database) is None


def test_a_provider_that_gives_no_refresh_token_is_told_of(
    operator: Operator, token_server: TokenServer, database: Database
) -> None:
    """An hour is no use; the words say what it must be asked for."""
    token_server.gives_refresh_token = False
    done = operator.types("specs")

    assert done.exit_code == 1
    assert all(word in done.stderr for word in ("no refresh token", "offline_access", "access_type=offline"))
    assert stored(database) is None


def test_ctrl_c_ends_it(operator: Operator, database: Database) -> None:
    """In a line, without a traceback, and with nothing stored."""

    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    operator.monkeypatch.setattr(consenting.time, "sleep", interrupt)
    done = operator.types("specs")

    assert done.exit_code == 1
    assert done.stderr == "specpost: ended; nothing was stored\n"
    assert stored(database) is None


def test_a_browser_on_this_machine_brings_the_answer(
    operator: Operator, token_server: TokenServer, database: Database
) -> None:
    """It is shown that it did; what else it asks for doesn't matter, and no code is printed."""
    pages: list[bytes] = []

    def browse(line: str) -> None:
        if "/authorize" in line:
            browser = threading.Thread(target=_brought, args=[token_server.consent(line.strip()), pages])
            browser.start()

    operator.sees(browse)
    done = operator.types("specs", "--browser")

    assert done.exit_code == 0, done.output
    assert b"Go back to the terminal" in pages[0]
    assert {stored(database)} == token_server.good
    assert "code-0" not in done.output
    assert "/device" not in done.output


def _brought(address: str, pages: list[bytes]) -> None:
    """As a browser does, which asks for an icon first, and hangs up on one connection."""
    there = ("127.0.0.1", urlsplit(address).port or 0)
    socket.create_connection(there).close()
    with pytest.raises(HTTPError) as no_icon:
        urlopen(f"http://127.0.0.1:{there[1]}/favicon.ico", timeout=PATIENCE)
    no_icon.value.close()
    with urlopen(f"http://127.0.0.1:{there[1]}/?{urlsplit(address).query}", timeout=PATIENCE) as page:
        pages.append(page.read())


@pytest.fixture
def keyboard(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """A terminal's input; what is typed arrives as it is, and the click runner leaves it alone."""
    ours, theirs = os.pipe()
    with os.fdopen(ours) as stdin:
        real = consenting._Door

        def door() -> consenting._Door:
            monkeypatch.setattr(sys, "stdin", stdin)
            return real()

        monkeypatch.setattr(consenting, "_Door", door)
        yield lambda text: (os.write(theirs, text.encode()) and None) or (text or os.close(theirs))


def test_an_address_is_pasted_where_the_browser_is_elsewhere(
    operator: Operator, token_server: TokenServer, database: Database, keyboard: Callable[[str], None]
) -> None:
    """A provider without codes needs no option; a slip is told and asked about again."""
    object.__setattr__(operator.settings.imap["specs"].oauth, "device_url", None)

    def paste(line: str) -> None:
        if "/authorize" in line:
            keyboard(f"\nwhat?\n{token_server.consent(line.strip())}\n")

    operator.sees(paste)
    done = operator.types("specs")

    assert done.exit_code == 0, done.output
    assert "that is not the address of the page" in done.stderr
    assert {stored(database)} == token_server.good


def test_an_address_without_a_line_end_is_one(
    operator: Operator, token_server: TokenServer, database: Database, keyboard: Callable[[str], None]
) -> None:
    """As another program hands it over; then there is no more input, and no endless loop."""

    def paste(line: str) -> None:
        if "/authorize" in line:
            keyboard(token_server.consent(line.strip()))
            keyboard("")

    operator.sees(paste)

    assert operator.types("specs", "--browser").exit_code == 0
    assert {stored(database)} == token_server.good


def test_nobody_waits_for_ever(
    operator: Operator, database: Database, keyboard: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A terminal that was forgotten ends by itself."""
    monkeypatch.setattr(consenting, "PATIENCE", 0.05)
    done = operator.types("specs", "--browser")

    assert done.exit_code == 1
    assert "nobody consented at the provider in time" in done.stderr
    assert stored(database) is None


def test_the_row_is_the_daemon_s_to_read(
    operator: Operator, token_server: TokenServer, database: Database
) -> None:
    """It is sealed: nobody who reads the database finds a token in it."""
    operator.types("specs")
    with psycopg.connect(database.owner_url) as conn:
        ((sealed,),) = conn.execute("select sealed from intake.tokens").fetchall()

    assert b"refresh" not in sealed


def test_the_help_teaches_how_to_begin() -> None:
    """What is typed where, and that once is enough."""
    text = access.oauth_login.get_help(click.Context(access.oauth_login, info_name="specpost oauth login"))

    assert "specpost oauth login specs --config specpost.toml --browser" in text
    assert all(word in text for word in ("[imap.NAME]", "[oauth] key", "no restart"))

"""The tokens of an account: whoever dies or fails between two steps, consent is not lost."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
import pytest

from daemon import oauth
from daemon.credentials import Bearer, ConsentError
from daemon.tokens import ATTEMPTS, LEAST, PAUSES, Tokens
from daemon.vault import KEY, Vault
from db import tokens
from db.pool import open_pool
from tests.fix_daemon import REPO
from tests.fix_provider import SECRET, Asked, Reply, refusal, said

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from psycopg_pool import ConnectionPool

    from tests.fix_database import Database
    from tests.fix_provider import TokenServer

PATIENCE = 20
VAULT = Vault(bytes(range(KEY)))


@pytest.fixture
def pool(database: Database) -> Iterator[ConnectionPool]:
    """The daemon's connections."""
    with open_pool(database.url, size=2) as opened:
        yield opened


@pytest.fixture
def make(token_server: TokenServer, database: Database, pool: ConnectionPool) -> Callable[..., Tokens]:
    """Credentials of an account that somebody has consented for, as one daemon has them."""
    with database.connect("daemon") as conn:
        tokens.put(conn, "specs", VAULT.seal("specs", str(token_server.grant()["refresh_token"])))

    def made(sleep: Callable[[float], None] = lambda _: None, account: str = "specs") -> Tokens:
        return Tokens(pool, VAULT, token_server.provider(), account, sleep=sleep)

    return made


def stored(database: Database, account: str = "specs") -> str:
    """The refresh token in the row."""
    with database.connect("daemon") as conn:
        row = tokens.get(conn, account)
    assert row
    return VAULT.open(account, row.sealed)


def test_an_access_token_is_had_and_the_next_refresh_token_kept(
    make: Callable[..., Tokens], database: Database, token_server: TokenServer
) -> None:
    """Each time anew: the row always has the one that is good."""
    credentials = make()

    assert credentials() == Bearer("access-2", 3599)
    assert {stored(database)} == token_server.good == {"refresh-2"}
    assert credentials() == Bearer("access-3", 3599)
    assert {stored(database)} == token_server.good == {"refresh-3"}


def test_a_refresh_token_that_stays_is_not_written_again(
    make: Callable[..., Tokens], database: Database, token_server: TokenServer
) -> None:
    """Google's stays; another provider repeats it."""
    token_server.rotates = False
    credentials = make()
    credentials()
    token_server.next.append(said(200, access_token="a", refresh_token="refresh-1"))
    credentials()

    with database.connect("daemon") as conn:
        row = tokens.get(conn, "specs")
    assert row
    assert row.version == 1


def test_it_is_stored_before_it_is_used(
    make: Callable[..., Tokens], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When there is an access token to use, the row is written and committed."""
    seen: list[str] = []
    monkeypatch.setattr("daemon.tokens.Bearer", lambda *told: seen.append(stored(database)) or Bearer(*told))
    make()()

    assert seen == ["refresh-2"]


def test_whoever_is_killed_before_using_it_loses_nothing(
    make: Callable[..., Tokens], database: Database, token_server: TokenServer
) -> None:
    """The provider has taken the old one back; the next daemon gets in all the same."""
    script = f"""
import os, signal
from daemon.oauth import Provider
from daemon.tokens import Tokens
from daemon.vault import KEY, Vault
from db.pool import open_pool
provider = Provider(name="x", client_id="our-client", client_secret={SECRET!r}, scope="s",
                    token_url={token_server.url + "/token"!r})
pool = open_pool({database.url!r}, size=1)
Tokens(pool, Vault(bytes(range(KEY))), provider, "specs")()
os.kill(os.getpid(), signal.SIGKILL)
"""
    credentials = make()
    killed = subprocess.run([sys.executable, "-c", script], cwd=REPO, check=False, timeout=PATIENCE)

    assert killed.returncode == -signal.SIGKILL
    assert token_server.good == {"refresh-2"}
    assert credentials().token == "access-3"


@pytest.mark.parametrize("takes_back", [True, False], ids=["taken back", "both good"])
def test_two_daemons_at_a_time_both_get_in(
    make: Callable[..., Tokens], database: Database, token_server: TokenServer, *, takes_back: bool
) -> None:
    """Both ask with the same token; the row ends with one that is good, whoever came first."""
    token_server.takes_back = takes_back
    together = threading.Barrier(2)
    first_two = iter(range(2))
    token_server.before = lambda _: next(first_two, None) is not None and together.wait(PATIENCE)

    with ThreadPoolExecutor(2) as threads:
        asked = [threads.submit(make(time.sleep)) for _ in range(2)]
        bearers = {each.result(PATIENCE).token for each in asked}

    assert len(bearers) == 2
    assert bearers <= token_server.access
    brought = [each.fields["refresh_token"] for each in token_server.asked]
    assert brought[:2] == ["refresh-1", "refresh-1"]
    assert brought[2] != "refresh-1"
    assert stored(database) in token_server.good
    assert make()().token in token_server.access


def test_the_other_s_token_is_waited_for(
    make: Callable[..., Tokens], database: Database, token_server: TokenServer
) -> None:
    """Ours is good no longer, and theirs not stored yet: that is no end of consent."""
    with ThreadPoolExecutor(1) as threads, database.connect("owner") as owner:
        owner.execute("select from intake.tokens for update")
        theirs = threads.submit(make())
        _await_waiting(database)

        def until_stored(_pause: float) -> None:
            owner.rollback()
            theirs.result(PATIENCE)

        bearer = make(until_stored)()

    assert bearer.token in token_server.access
    assert [each.fields["refresh_token"] for each in token_server.asked] == [
        "refresh-1",
        "refresh-1",
        "refresh-2",
    ]
    assert stored(database) in token_server.good


def _await_waiting(database: Database) -> None:
    with database.connect("owner", autocommit=True) as conn:
        deadline = time.monotonic() + PATIENCE
        while not conn.execute("select from pg_locks where not granted").fetchall():
            assert time.monotonic() < deadline


def test_the_one_who_comes_second_takes_what_the_first_has_stored(
    make: Callable[..., Tokens], database: Database, token_server: TokenServer
) -> None:
    """A row that is no longer the one that was read stays, and is what is used next."""
    token_server.takes_back = False
    other = threading.Event()

    def meanwhile(asked: Asked) -> None:
        if not other.is_set():
            other.set()
            with database.connect("daemon") as conn:
                tokens.put(conn, "specs", VAULT.seal("specs", str(token_server.grant()["refresh_token"])))

    token_server.after = meanwhile
    bearer = make()()

    assert [each.fields["refresh_token"] for each in token_server.asked] == ["refresh-1", "refresh-3"]
    assert bearer.token == "access-4"
    assert stored(database) == "refresh-4"


def test_it_is_given_up_for_now_when_others_never_cease(
    make: Callable[..., Tokens], database: Database, token_server: TokenServer
) -> None:
    """Two that outpace each other must not go on for ever."""
    token_server.takes_back = False

    def meanwhile(_asked: Asked) -> None:
        with database.connect("daemon") as conn:
            tokens.put(conn, "specs", VAULT.seal("specs", str(token_server.grant()["refresh_token"])))

    token_server.after = meanwhile
    with pytest.raises(OSError, match="other daemons keep replacing the token of specs"):
        make()()
    assert len(token_server.asked) == ATTEMPTS


def test_consent_that_was_withdrawn_is_said_with_what_to_do(
    make: Callable[..., Tokens], token_server: TokenServer
) -> None:
    """After a look whether another daemon has a newer token."""
    token_server.good.clear()
    slept: list[float] = []
    with pytest.raises(ConsentError) as refused:
        make(slept.append)()

    assert str(refused.value) == (
        "example says invalid_grant: consent was withdrawn or has run out (told by the provider);"
        " run: specpost oauth login specs"
    )
    assert slept == list(PAUSES)
    assert len(token_server.asked) == 1


def test_a_login_is_noticed_without_a_restart(
    make: Callable[..., Tokens], database: Database, token_server: TokenServer
) -> None:
    """The next connection is made with it."""
    credentials = make()
    token_server.good.clear()
    with pytest.raises(ConsentError):
        credentials()
    with database.connect("daemon") as conn:
        tokens.put(conn, "specs", VAULT.seal("specs", str(token_server.grant()["refresh_token"])))

    assert credentials().token in token_server.access


def test_nobody_has_logged_in_yet(make: Callable[..., Tokens], token_server: TokenServer) -> None:
    """The provider isn't asked, and the words say what to do."""
    with pytest.raises(ConsentError) as refused:
        make(account="other")()

    assert str(refused.value) == "nobody has consented for other yet; run: specpost oauth login other"
    assert token_server.asked == []


def test_a_row_that_cannot_be_opened_is_said(
    make: Callable[..., Tokens], database: Database, token_server: TokenServer
) -> None:
    """One that was moved from another account, say; nothing is sent anywhere."""
    with database.connect("daemon") as conn:
        tokens.put(conn, "specs", VAULT.seal("other", "geheim"))
    with pytest.raises(ConsentError, match=r"the token of specs can't be opened.*specpost oauth login specs"):
        make()()

    assert token_server.asked == []


@pytest.mark.parametrize("reply", [Reply(500), Reply(429), Reply(200, b"<html>")])
def test_trouble_of_the_provider_s_changes_nothing(
    make: Callable[..., Tokens], database: Database, token_server: TokenServer, reply: Reply
) -> None:
    """It is raised as what may pass, and the token is tried again another time."""
    credentials = make()
    token_server.next.append(reply)
    with pytest.raises(oauth.ProviderError):
        credentials()

    assert stored(database) == "refresh-1"
    assert credentials().token == "access-2"


def test_a_client_that_is_not_known_is_no_reason_to_look_for_a_newer_token(
    make: Callable[..., Tokens], token_server: TokenServer
) -> None:
    """It is the configuration's, and said at once."""
    slept: list[float] = []
    token_server.next.append(refusal("invalid_client", 401))
    with pytest.raises(ConsentError, match="look at client_id and client_secret"):
        make(slept.append)()

    assert slept == []


@pytest.mark.parametrize(("told", "seconds"), [({}, 3600), ({"expires_in": 0}, LEAST)], ids=str)
def test_a_token_is_good_for_a_while(
    make: Callable[..., Tokens], token_server: TokenServer, told: dict[str, int], seconds: float
) -> None:
    """Else a provider that says 0 would be asked without a pause."""
    token_server.next.append(said(200, access_token="a", **told))

    assert make()() == Bearer("a", seconds)


def test_a_database_that_is_down_is_trouble_that_passes(
    make: Callable[..., Tokens], database: Database, pool: ConnectionPool, token_server: TokenServer
) -> None:
    """Said without its URL, and before the provider is asked for a token that couldn't be kept."""
    pool.timeout = 0.3
    credentials = make()
    with down(database), pytest.raises(OSError, match=r"^the database says: ") as trouble:
        credentials()

    assert not isinstance(trouble.value, psycopg.Error)
    assert token_server.asked == []


def test_a_token_that_could_not_be_stored_is_kept_until_it_can(
    make: Callable[..., Tokens], database: Database, pool: ConnectionPool, token_server: TokenServer
) -> None:
    """The provider has taken the old one back, so this process has the only one that is good."""
    pool.timeout = 0.3
    credentials = make()
    with down(database, begin=False) as go_down:
        token_server.after = lambda _: go_down()
        with pytest.raises(OSError, match=r"^the database says: "):
            credentials()
    token_server.after = lambda _: None
    assert token_server.good == {"refresh-2"}

    assert _as_soon_as_it_is_up(credentials).token == "access-3"
    assert [each.fields["refresh_token"] for each in token_server.asked] == ["refresh-1", "refresh-2"]
    assert {stored(database)} == token_server.good


def test_what_is_kept_does_not_replace_a_later_login(
    make: Callable[..., Tokens], database: Database, pool: ConnectionPool, token_server: TokenServer
) -> None:
    """A person who logged in meanwhile has the last word."""
    pool.timeout = 0.3
    credentials = make()
    with down(database, begin=False) as go_down:
        token_server.after = lambda _: go_down()
        with pytest.raises(OSError, match=r"^the database says: "):
            credentials()
    token_server.after = lambda _: None
    with database.connect("daemon") as conn:
        tokens.put(conn, "specs", VAULT.seal("specs", str(token_server.grant()["refresh_token"])))

    _as_soon_as_it_is_up(credentials)

    assert token_server.asked[-1].fields["refresh_token"] == "refresh-3"
    assert stored(database) == "refresh-4"


@contextmanager
def down(database: Database, *, begin: bool = True) -> Iterator[Callable[[], None]]:
    """A database that takes no connection, from the beginning or from when it is told."""
    with psycopg.connect(database.server.url("postgres"), autocommit=True) as conn:

        def go_down() -> None:
            conn.execute(f"alter database {database.name} allow_connections false".encode())
            conn.execute(
                "select pg_terminate_backend(pid, 10000) from pg_stat_activity where datname = %s",
                [database.name],
            )

        if begin:
            go_down()
        try:
            yield go_down
        finally:
            conn.execute(f"alter database {database.name} allow_connections true".encode())


def _as_soon_as_it_is_up(credentials: Tokens) -> Bearer:
    """What is had once the pool has noticed; it is asked as often as the mailbox would."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return credentials()
        except OSError:
            assert time.monotonic() < deadline

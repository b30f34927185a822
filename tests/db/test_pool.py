"""Connections: fast to say that the database is away, quick to come back, safe, and narrow."""

from __future__ import annotations

from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import PoolTimeout

from db.pool import NOT_A_MEMBER, UrlError, excess, open_pool, privileges, redact, with_tls

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from psycopg_pool import ConnectionPool

    from tests.fix_database import Database

OTHERS = "from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"


@contextmanager
def closed_to_all(database: Database) -> Iterator[None]:
    """Meanwhile the database drops its sessions and lets nobody in."""
    with psycopg.connect(database.server.url("postgres"), autocommit=True) as admin:
        admin.execute(f"alter database {database.name} allow_connections false".encode())
        drop = "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s"
        admin.execute(drop, (database.name,))
        yield
        admin.execute(f"alter database {database.name} allow_connections true".encode())


@pytest.fixture
def pool(database: Database) -> Iterator[ConnectionPool[Any]]:
    """The daemon's pool, filled."""
    with open_pool(database.url) as pool:
        pool.wait(5)
        yield pool


def test_the_pools_connections_suit_any_pooler(pool: ConnectionPool[Any], database: Database) -> None:
    """Four sessions that name themselves, prepare nothing and commit only when told."""
    with pool.connection() as conn:
        assert conn.prepare_threshold is None
        assert not conn.autocommit
        mine = "select from pg_stat_activity where application_name = 'specpost' and datname = %s"
        assert conn.execute(mine, (database.name,)).rowcount == 4


def test_what_the_url_says_wins() -> None:
    """An operator's own timeout or name in the URL is not overruled by ours."""
    with open_pool("postgresql:///x?host=/nowhere&application_name=mine&connect_timeout=3", size=1) as pool:
        params = conninfo_to_dict(str(pool.conninfo))

    assert params["application_name"] == "mine"
    assert str(params["connect_timeout"]) == "3"
    assert params["tcp_user_timeout"] == "30000"


def test_a_database_that_is_down_at_start_is_no_error_until_asked(tmp_path: Path) -> None:
    """The pool opens at once; who asks it is told soon, by an error of the operational kind."""
    refused = pytest.raises(psycopg.OperationalError)
    with open_pool(f"postgresql:///x?host={tmp_path}", size=1) as pool, refused, pool.connection(timeout=0.1):
        pass


def test_dead_connections_cost_no_caller_an_error(pool: ConnectionPool[Any], database: Database) -> None:
    """After the server dropped every session, the next caller gets a new one instead of an error."""
    with database.connect(autocommit=True) as owner:
        assert owner.execute(f"select pg_terminate_backend(pid) {OTHERS}".encode()).rowcount == 4

    for _ in range(4):
        with pool.connection(timeout=1) as conn:
            assert conn.execute("select 1").fetchone() == (1,)


@pytest.mark.parametrize("seconds", [0.5, pytest.param(8, marks=pytest.mark.long)])
def test_the_pool_recovers_by_itself(pool: ConnectionPool[Any], database: Database, seconds: float) -> None:
    """While the database lets nobody in, callers are told; the first one afterwards is served."""
    with closed_to_all(database):
        until = monotonic() + seconds
        while monotonic() < until:
            with pytest.raises(PoolTimeout), pool.connection(timeout=0.5):
                pass

    with pool.connection() as conn:
        assert conn.execute("select 1").fetchone() == (1,)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u@db.example.org/x",
        "host=db.example.org user=u",
        "postgresql://u@10.0.0.1/x",
        "postgresql://u@localhost,db.example.org/x",
        "postgresql:///x?host=db.example.org",
        "postgresql://localhost/x?hostaddr=192.0.2.1",
    ],
)
def test_a_remote_server_must_prove_itself(url: str) -> None:
    """Whatever form the URL has: over a network the server's certificate and name are checked."""
    assert conninfo_to_dict(with_tls(url)) == conninfo_to_dict(url) | {"sslmode": "verify-full"}


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u@db.example.org/x?sslmode=require",
        "postgresql:///x",
        "postgresql:///x?host=/run/postgresql&user=u",
        "host=/run/postgresql",
        "postgresql://u@localhost:5432/x",
        "postgresql://127.0.0.1/x",
        "postgresql://u:p@[::1]/x",
    ],
)
def test_a_local_server_or_an_explicit_wish_is_left_alone(url: str) -> None:
    """Sockets and loopback need no certificate, and an sslmode in the URL is the operator's."""
    assert with_tls(url) == url


def test_a_remote_server_named_by_the_environment_must_prove_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing host is taken from PGHOST, so that is where the connection would go."""
    monkeypatch.setenv("PGHOST", "db.example.org")

    assert with_tls("postgresql:///x") == "postgresql:///x?sslmode=verify-full"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:hunter2@h:5432/x", "postgresql://u:***@h:5432/x"),
        ("host=h user=u password=hunter2", "postgresql://u:***@h/"),
        ("postgresql:///x?host=/s&password=hunter2", "postgresql:///x?password=***&host=/s"),
        ("postgresql://u:%68unter2@h/x?sslpassword=hunter2", "postgresql://u:***@h/x?sslpassword=***"),
        ("postgresql://u@h/x", "postgresql://u@h/x"),
        ("postgrs://u:hunter2@h/x", "(unreadable database URL)"),
        ("postgresql://u:hun/hunter2@h/x", "(unreadable database URL)"),
        ("postgresql://u:hun@hunter2@h/x", "(unreadable database URL)"),
        ("postgresql://u:hun?hunter2@h/x", "postgresql://u:***@h/x"),
        ("postgresql://u:1/hunter2@h/x", "(unreadable database URL)"),
        ("postgresql://u:hun#hunter2@h/x", "postgresql://u:***@h/x"),
        ("postgresql://u:hun%zhunter2@h/x", "(unreadable database URL)"),
        ("postgresql://u:hun@ter/hunter2@h/x", "(unreadable database URL)"),
    ],
)
def test_a_shown_url_has_no_password(url: str, shown: str) -> None:
    """Not in either form, not percent-encoded, and not a piece of one that was put in unescaped."""
    assert redact(url) == shown


@pytest.mark.parametrize("url", ["postgrs://u:hunter2@h/x", "postgresql://u:1/hunter2@h/x", "hunter2"])
def test_complaints_about_a_url_do_not_quote_it(url: str) -> None:
    """What can't be read may be a password: the error tells the right form and nothing of the wrong one."""
    with pytest.raises(UrlError) as caught:
        with_tls(url)

    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_the_daemons_login_is_a_proper_one(any_database: Database) -> None:
    """The login that was made for the daemon has nothing too much and nothing too little."""
    with any_database.connect("daemon") as conn:
        assert privileges(conn) == []


def test_a_superuser_is_told_so_even_under_another_role(any_database: Database) -> None:
    """It is the login that counts: ``set role`` can be undone by a single statement."""
    with any_database.connect() as conn:
        conn.execute("set role specpost_daemon")

        assert privileges(conn) == ["superuser", *([] if conn.info.user == "postgres" else [NOT_A_MEMBER])]


@pytest.mark.parametrize(
    ("made", "reasons"),
    [
        ("create role odd", []),
        ("create role odd bypassrls", ["bypassrls"]),
        ("create role odd createrole bypassrls", ["bypassrls", "createrole"]),
        ("create role odd; alter table specs owner to odd", ["owner of public.specs"]),
        ("create role odd; alter table intake.mails owner to odd", ["owner of intake.mails"]),
        ("create role odd; grant service_role to odd", ["member of service_role, bypassrls"]),
        ("create role odd; grant postgres to odd", [
            "member of postgres, superuser", "member of postgres, bypassrls",
            "member of postgres, createrole", "member of postgres, owner of public.specs",
        ]),
        ("create role odd; grant delete on runs to odd", ["may DELETE public.runs"]),
        ("create role odd; grant pg_write_all_data to odd", ["may UPDATE public.specs"]),
        ("create role odd; grant update (state) on sprints to odd", ["may UPDATE public.sprints"]),
        ("create role odd; grant specpost_gate to odd", ["may UPDATE public.sprints"]),
        ("create role odd; grant ci_runner to odd", ["may call intake.start_run"]),
    ],
)  # fmt: skip
def test_a_role_is_too_mighty_for_each_of_these_reasons(
    database: Database, made: str, reasons: list[str]
) -> None:
    """Attributes, ownership and rights are found, also those a role could take by its memberships."""
    with database.connect() as conn, conn.transaction(force_rollback=True):
        conn.execute(made.encode())

        assert excess(conn, "odd") == reasons


def test_a_role_without_the_groups_rights_is_reported_distinctly(any_database: Database) -> None:
    """Too few rights is another complaint than too many: the group not granted, or not inherited."""
    with any_database.connect() as conn, conn.transaction(force_rollback=True):
        conn.execute("create role stranger; set local session authorization stranger")
        assert privileges(conn) == [NOT_A_MEMBER]
        conn.execute("reset session authorization")
        conn.execute("create role aloof noinherit in role specpost_daemon")
        conn.execute("set local session authorization aloof")
        assert privileges(conn) == [NOT_A_MEMBER]


def test_a_database_without_our_roles_can_be_asked(empty_database: Database) -> None:
    """Before the first migration the question has an answer, and no error."""
    with empty_database.connect() as conn:
        assert privileges(conn)[0] == "superuser"

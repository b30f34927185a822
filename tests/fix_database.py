"""A migrated database for each test, copied from one template per server."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from db.migrate import create_login, migrate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from db.embedded import Server

Role = Literal["owner", "daemon", "anon", "authenticated", "service_role", "ci_runner"]

TEMPLATE = "specpost_template"

LOGIN = "specpost"


@dataclass(frozen=True)
class Database:
    """A database of one test: ``owner`` is who migrated it, ``url`` is the daemon's login."""

    server: Server
    name: str
    owner: str = "postgres"

    @property
    def owner_url(self) -> str:
        """For migrating, and for looking at everything."""
        return self.server.url(self.owner, self.name)

    @property
    def url(self) -> str:
        """For everything the daemon does."""
        return self.server.url(LOGIN, self.name)

    def server_admin(self) -> psycopg.Connection[Any]:
        """Connect to another database of the same server, as its superuser, to do things to this one."""
        return psycopg.connect(self.server.url("postgres"), autocommit=True)

    def connect(self, role: Role = "owner", *, autocommit: bool = False) -> psycopg.Connection[Any]:
        """Connect as ``role``; the API's roles are taken as PostgREST takes them."""
        if role == "daemon":
            return psycopg.connect(self.url, autocommit=autocommit)
        conn = psycopg.connect(self.owner_url, autocommit=True)
        if role != "owner":
            claims = json.dumps({"role": role})
            conn.execute("select set_config('request.jwt.claims', %s, false)", (claims,))
            conn.execute(sql.SQL("set role {}").format(sql.Identifier(role)))
        conn.autocommit = autocommit
        return conn


@contextmanager
def new_database(server: Server, template: str = "template0") -> Iterator[Database]:
    """A copy of ``template`` that goes away again."""
    name = f"test_{uuid4().hex}"
    with psycopg.connect(server.url("postgres"), autocommit=True) as conn:
        conn.execute(f"create database {name} template {template}".encode())
    try:
        yield Database(server, name)
    finally:
        with psycopg.connect(
            server.url("postgres"), autocommit=True
        ) as conn:  # it may be another server by now
            conn.execute(f"drop database {name} with (force)".encode())


@pytest.fixture(scope="session")
def migrated() -> Callable[[Server], str]:
    """Name the migrated template of a server, made when it is first asked for."""
    made: set[Server] = set()

    def template(server: Server) -> str:
        if server not in made:
            _make_template(server)
            made.add(server)
        return TEMPLATE

    return template


def _make_template(server: Server) -> None:
    with psycopg.connect(server.url("postgres"), autocommit=True) as conn:
        conn.execute(f"create database {TEMPLATE} template template0".encode())
    with psycopg.connect(server.url("postgres", TEMPLATE)) as conn:
        migrate(conn)
        create_login(conn, LOGIN, None)


@pytest.fixture
def database(postgres: Server, migrated: Callable[[Server], str]) -> Iterator[Database]:
    """A migrated database with the daemon's login, on the embedded server."""
    with new_database(postgres, migrated(postgres)) as made:
        yield made


@pytest.fixture
def empty_database(postgres: Server) -> Iterator[Database]:
    """A database nobody has migrated, on the embedded server."""
    with new_database(postgres) as made:
        yield made


@pytest.fixture(params=["postgres", "debian_postgres"])
def any_database(request: pytest.FixtureRequest, migrated: Callable[[Server], str]) -> Iterator[Database]:
    """A migrated database on the newest and on the oldest PostgreSQL, one after the other."""
    server: Server = request.getfixturevalue(request.param)
    with new_database(server, migrated(server)) as made:
        yield made

"""Bringing a database to this version's schema, and making the logins that use it."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from db import pool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from importlib.resources.abc import Traversable

    from psycopg import Connection

#: Supabase's own layout, so that its command line applies the same files.
FOLDER: Traversable = resources.files("db") / "supabase" / "migrations"

#: Supabase's own table, so that its command line and ours know of each other's work.
_HISTORY = b"""
create schema if not exists supabase_migrations;
create table if not exists supabase_migrations.schema_migrations
  (version text primary key, statements text[], name text);
"""

_LOCK = "pg_catalog.hashtextextended('specpost migrations', 0)"

_RECORD = """
insert into supabase_migrations.schema_migrations (version, statements, name) values (%s, %s, %s)
"""

_LONGEST_NAME = 63  # bytes; PostgreSQL cuts a longer one and would make some other role


class MigrationError(Exception):
    """A migration that PostgreSQL refused; nothing of its file was applied."""

    def __init__(self, file: str, line: int | None, message: str) -> None:
        self.file = file
        self.line = line
        self.message = message
        super().__init__(": ".join([f"{file}:{line}" if line else file, message]))


class LoginError(Exception):
    """A login that can't be made, or must not have its group's rights."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of SQL; ``version`` is the timestamp its name starts with."""

    version: str
    name: str
    sql: str

    @property
    def file(self) -> str:
        """The name of the file it came from."""
        return f"{self.version}_{self.name}.sql"


@dataclass(frozen=True, slots=True)
class SchemaState:
    """How a database differs from this version of the schema, as versions in their order.

    ``unknown`` are younger than ours: a newer specpost's, or somebody else's.
    """

    missing: list[str]
    unknown: list[str]


def bundled() -> list[Migration]:
    """The migrations that came with this version, in the order of their application."""
    files = sorted((f for f in FOLDER.iterdir() if f.name.endswith(".sql")), key=lambda file: file.name)
    return [_read(file) for file in files]


def _read(file: Traversable) -> Migration:
    version, _, name = file.name.removesuffix(".sql").partition("_")
    return Migration(version, name, file.read_text(encoding="utf-8"))


def applied(conn: Connection[Any]) -> list[str]:
    """The versions that were applied, as their owner sees them."""
    return _versions(conn, "supabase_migrations.schema_migrations")


def pending(conn: Connection[Any]) -> list[Migration]:
    """The bundled migrations that were not applied yet."""
    there = set(applied(conn))
    return [migration for migration in bundled() if migration.version not in there]


def compare(conn: Connection[Any]) -> SchemaState:
    """Compare the schema with this version's; the daemon's own role may.

    Raises:
        psycopg.errors.InsufficientPrivilege: this is not the daemon's role.
    """
    there = _versions(conn, "intake.migrations")
    ours = [migration.version for migration in bundled()]
    return SchemaState(
        missing=[version for version in ours if version not in there],
        unknown=[version for version in there if version > max(ours)],
    )


def _versions(conn: Connection[Any], table: str) -> list[str]:
    """The versions in ``table``; none when it does not exist."""
    found = conn.execute("select pg_catalog.to_regclass(%s) is not null", (table,)).fetchone()
    if not found or not found[0]:
        return []
    names = sql.Identifier(*table.split("."))
    rows = conn.execute(sql.SQL("select version from {} order by version").format(names))
    return [version for (version,) in rows]


def _say_nothing(_: Migration) -> None:
    pass


def migrate(conn: Connection[Any], on_applied: Callable[[Migration], None] = _say_nothing) -> list[Migration]:
    """Apply what is pending, each file in its own transaction, and return it.

    Safe to repeat, and for several to do at once: the later ones find nothing.
    ``conn`` is the owner's and direct, or through a session pooler: a
    transaction pooler would leave the lock with another client. It must be
    outside a transaction.

    Raises:
        MigrationError: PostgreSQL refused a file; those before it stay applied.
    """
    done = []
    with _alone(conn):
        conn.execute(_HISTORY)
        for migration in pending(conn):
            _apply(conn, migration)
            done.append(migration)
            on_applied(migration)
    return done


@contextmanager
def _alone(conn: Connection[Any]) -> Iterator[None]:
    """Hold the lock of all who migrate this database; meanwhile ``conn`` commits by itself."""
    before = conn.autocommit
    conn.autocommit = True
    conn.execute(f"select pg_catalog.pg_advisory_lock({_LOCK})".encode())
    try:
        yield
    finally:
        if not conn.closed:  # else the server has released it
            conn.execute(f"select pg_catalog.pg_advisory_unlock({_LOCK})".encode())
            conn.autocommit = before


def _apply(conn: Connection[Any], migration: Migration) -> None:
    try:
        with conn.transaction():
            conn.execute(migration.sql.encode())
            conn.execute(_RECORD, (migration.version, [migration.sql], migration.name))
    except psycopg.Error as error:
        raise MigrationError(migration.file, _line(migration, error), _message(error)) from error


def _line(migration: Migration, error: psycopg.Error) -> int | None:
    """The line PostgreSQL stumbled over; it tells where it parses, and not where it runs."""
    position = error.diag.statement_position
    return migration.sql.count("\n", 0, int(position) - 1) + 1 if position else None


def _message(error: psycopg.Error) -> str:
    said = [error.diag.message_primary, error.diag.message_detail, error.diag.message_hint]
    return "; ".join(filter(None, said)) or str(error)


def create_login(conn: Connection[Any], name: str, password: str | None, group: str = pool.GROUP) -> None:
    """Make ``name`` a login with the rights of ``group`` and no more; safe to repeat.

    The group is the daemon's or CI's, and never both: CI runs other people's code.

    An existing role gets the password, when one is given, and the
    membership. Only a SCRAM verifier (RFC 5803) is sent, so the password
    can't end in a server's log.

    Raises:
        LoginError: ``name`` is none, or is a role that may more than its group.
        psycopg.Error: the caller may not make roles.
    """
    _refuse_odd(conn, name, group)
    role = sql.Identifier(name)
    with conn.transaction():
        if not _exists(conn, name):
            conn.execute(sql.SQL("create role {}").format(role))
        conn.execute(sql.SQL("alter role {} login inherit").format(role))
        conn.execute(sql.SQL("grant {} to {}").format(sql.Identifier(group), role))
        if password is not None:
            verifier = conn.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256")
            said = sql.Literal(verifier.decode())
            conn.execute(sql.SQL("alter role {} password {}").format(role, said))


def _refuse_odd(conn: Connection[Any], name: str, group: str) -> None:
    if not name or "\0" in name or len(name.encode()) > _LONGEST_NAME:
        raise LoginError(f"a login's name has 1 to {_LONGEST_NAME} bytes")
    if name in {
        pool.GROUP,
        pool.CI_GROUP,
        pool.CLEANUP_GROUP,
        "specpost_gate",
        "anon",
        "authenticated",
        "service_role",
    }:
        raise LoginError(
            f"{name} is a role that rights are granted to: choose a name of its own for the login"
        )
    reasons = pool.excess(conn, name, group) if _exists(conn, name) else []
    if reasons:
        raise LoginError(f"{name} exists and may more than {group} should: {', '.join(reasons)}")


def _exists(conn: Connection[Any], name: str) -> bool:
    return conn.execute("select from pg_catalog.pg_roles where rolname = %s", (name,)).rowcount > 0


def login_url(owner_url: str, name: str, password: str) -> str:
    """The owner's URL with another user and password, as a ``postgresql://`` URL.

    Supabase's pooler tells projects apart by what follows the user's dot
    (``postgres.<project>``), which therefore stays.

    Raises:
        UrlError: ``owner_url`` is none.
    """
    params = pool.parse(owner_url)
    _, dot, project = params.get("user", "").partition(".")
    pooled = params.get("host", "").endswith(".pooler.supabase.com")
    user = f"{name}{dot}{project}" if pooled else name
    return pool.as_url(params | {"user": user, "password": password})

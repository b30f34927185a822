"""Migrations are applied once, whole and in order, whoever applies them; logins get the daemon's rights."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from db import migrate as under_test
from db.embedded import running
from db.migrate import (
    LoginError,
    MigrationError,
    SchemaState,
    applied,
    bundled,
    compare,
    create_login,
    login_url,
    migrate,
    pending,
)
from db.pool import CI_GROUP, NOT_A_MEMBER, excess, privileges
from tests.fix_postgres import QUICK
from tests.fix_supabase import told

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg import Connection

    from tests.fix_database import Database

SUPABASE_FOLDER = Path(under_test.__file__).parent / "supabase"


@pytest.fixture
def owner(database: Database) -> Iterator[Connection[Any]]:
    """The owner in a transaction that is undone, since roles outlive a database."""
    with database.connect() as conn, conn.transaction(force_rollback=True):
        yield conn


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in the place of the bundled migrations."""
    monkeypatch.setattr(under_test, "FOLDER", tmp_path)
    return tmp_path


def locks(conn: Connection[Any]) -> int:
    """How many advisory locks are held on the whole server."""
    return conn.execute("select from pg_locks where locktype = 'advisory'").rowcount


def test_migrating_twice_does_nothing_the_second_time(empty_database: Database) -> None:
    """All that is bundled is applied in its order and told one by one, and then nothing is left to do."""
    told: list[str] = []
    with empty_database.connect() as conn:
        first = migrate(conn, lambda migration: told.append(migration.version))
        second = migrate(conn)

        assert first == bundled()
        assert second == []
        assert told == applied(conn) == sorted(told)
        assert pending(conn) == []


def test_migrating_leaves_the_connection_as_it_was(empty_database: Database) -> None:
    """The lock is released, and a connection that did not commit by itself does not do so afterwards."""
    with empty_database.connect() as conn:
        migrate(conn)

        assert not conn.autocommit
        assert locks(conn) == 0


def test_two_migrators_at_once_share_the_work(empty_database: Database) -> None:
    """Each migration is applied by one of them, and the other finds it done instead of failing."""
    start = Barrier(2)

    def work(_: int) -> list[str]:
        with empty_database.connect() as conn:
            start.wait(5)
            return [migration.version for migration in migrate(conn)]

    with ThreadPoolExecutor(2) as both:
        first, second = both.map(work, range(2))

    assert sorted(first + second) == [migration.version for migration in bundled()]


def test_two_databases_of_a_server_can_be_migrated_at_once(tmp_path: Path) -> None:
    """Roles are the server's: who finds them being made for another database waits, and goes on."""
    roles = bundled()[0].sql.encode()
    with running(tmp_path, options=QUICK) as server, ThreadPoolExecutor(1) as thread:
        one = psycopg.connect(server.url("postgres"))
        other = psycopg.connect(server.url("postgres", "template1"))
        with one, other, psycopg.connect(server.url("postgres"), autocommit=True) as watch:
            one.execute(roles)
            waiting = thread.submit(other.execute, roles)
            while not waiting.done() and not watch.execute("select from pg_locks where not granted").rowcount:
                pass
            assert not waiting.done()
            one.commit()

            waiting.result(5)


def test_a_broken_migration_leaves_nothing_and_names_file_and_line(
    empty_database: Database, folder: Path
) -> None:
    """What was good stays, the broken file is undone whole, and the error says where it broke."""
    (folder / "20300101000000_good.sql").write_text("create table good ();")
    (folder / "20300102000000_bad.sql").write_text(
        "create table half ();\n\n-- é\nselect nothing from nowhere;\n"
    )

    with empty_database.connect() as conn:
        with pytest.raises(MigrationError) as caught:
            migrate(conn)

        assert str(caught.value) == '20300102000000_bad.sql:4: relation "nowhere" does not exist'
        assert applied(conn) == ["20300101000000"]
        assert conn.execute("select to_regclass('half'), to_regclass('good') is null").fetchone() == (
            None,
            False,
        )
        assert locks(conn) == 0


def test_a_migration_and_its_record_are_one(empty_database: Database, folder: Path) -> None:
    """What can't be recorded, since the version is taken, is not applied either."""
    (folder / "20300101000000_a.sql").write_text("create table a ();")
    (folder / "20300101000000_b.sql").write_text("create table b ();")

    with empty_database.connect() as conn:
        with pytest.raises(MigrationError, match=r"_b\.sql: duplicate key"):
            migrate(conn)

        assert conn.execute("select to_regclass('a') is null, to_regclass('b')").fetchone() == (False, None)


def test_a_migration_that_fails_as_it_runs_tells_what_postgresql_said(
    empty_database: Database, folder: Path
) -> None:
    """Where PostgreSQL names no place, the error names the file and PostgreSQL's words, detail included."""
    (folder / "20300101000000_twice.sql").write_text(
        "create table t (a int primary key);\ninsert into t values (1), (1);"
    )

    with empty_database.connect() as conn, pytest.raises(MigrationError) as caught:
        migrate(conn)

    assert caught.value.line is None
    assert str(caught.value).startswith("20300101000000_twice.sql: duplicate key value violates unique")
    assert "Key (a)=(1) already exists." in str(caught.value)


def test_a_mended_migration_is_applied_by_the_next_attempt(empty_database: Database, folder: Path) -> None:
    """Failing is no state: the file is tried again as it is then."""
    file = folder / "20300101000000_mended.sql"
    file.write_text("create tabel t ();")
    with empty_database.connect() as conn:
        with pytest.raises(MigrationError, match=r"mended\.sql:1: syntax error"):
            migrate(conn)
        file.write_text("create table t ();")

        assert [migration.name for migration in migrate(conn)] == ["mended"]


def test_bundled_files_follow_supabases_rules() -> None:
    """Names are a timestamp and a word, versions ascend, and the text is plain SQL without transactions."""
    for migration in bundled():
        assert re.fullmatch(r"\d{14}_[a-z_]+\.sql", migration.file)
        assert not re.search(r"(?im)^\s*(\\|begin;|commit|rollback|vacuum|analyze)", migration.sql)
    assert len({migration.version for migration in bundled()}) == len(bundled()) > 0


def test_the_daemon_can_compare_the_schema(database: Database) -> None:
    """The daemon's own role sees what is missing, and what a newer version or somebody else applied."""
    with database.connect() as conn:
        conn.execute(
            "update supabase_migrations.schema_migrations set version = '2999' where name = 'cleanup'"
        )

    with database.connect("daemon") as conn:
        assert compare(conn) == SchemaState(missing=[bundled()[-1].version], unknown=["2999"])


def test_a_database_without_the_schema_lacks_everything(empty_database: Database) -> None:
    """Before the first migration every version is missing, and asking is no error."""
    with empty_database.connect() as conn:
        assert compare(conn) == SchemaState([migration.version for migration in bundled()], [])


def test_a_login_has_the_daemons_rights(owner: Connection[Any]) -> None:
    """A login that was made, with a name of any letters, is a proper daemon login; twice is as once."""
    name = 'naïve "daemon"; drop role postgres'
    for password in (None, "one", "two"):
        create_login(owner, name, password)

    owner.execute(psycopg.sql.SQL("set session authorization {}").format(psycopg.sql.Identifier(name)))
    assert privileges(owner) == []
    assert owner.execute("select from specs").rowcount == 0


def test_a_login_of_cis_has_cis_rights(owner: Connection[Any]) -> None:
    """It calls what CI calls and reads what CI reads; it is no daemon's, and can't become one."""
    for password in (None, "one"):
        create_login(owner, "ci", password, CI_GROUP)

    assert excess(owner, "ci", CI_GROUP) == []
    with pytest.raises(
        LoginError, match=r"ci exists and may more than specpost_daemon should: may call intake"
    ):
        create_login(owner, "ci", None)
    create_login(owner, "specpost_two", None)
    with pytest.raises(
        LoginError, match=r"specpost_two exists and may more than ci_runner should: may INSERT"
    ):
        create_login(owner, "specpost_two", None, CI_GROUP)
    owner.execute("set session authorization ci")
    assert privileges(owner)[-1] == NOT_A_MEMBER
    assert owner.execute("select from specs").rowcount == 0
    with pytest.raises(psycopg.Error, match="no specification has the id"):
        owner.execute("select next_sprint('00000000-0000-4000-8000-000000000001')")


def test_a_login_that_could_not_work_is_mended(owner: Connection[Any]) -> None:
    """A role that exists, without LOGIN and inheriting nothing, becomes a working login."""
    owner.execute("create role dull nologin noinherit")

    create_login(owner, "dull", "secret")

    found = owner.execute("select rolcanlogin, pg_has_role('dull', 'specpost_daemon', 'USAGE') from pg_roles"
                          " where rolname = 'dull'")  # fmt: skip
    assert found.fetchone() == (True, True)


def test_a_password_crosses_the_wire_as_a_verifier_only(owner: Connection[Any], tmp_path: Path) -> None:
    """The server gets the SCRAM verifier of just this password, and never the password, in any statement."""
    wire = tmp_path / "wire"
    with wire.open("wb") as file:
        owner.pgconn.trace(file.fileno())
        create_login(owner, "quiet", "pässword-in-clear")
        owner.pgconn.untrace()

    assert b"alter role" in wire.read_bytes()
    assert b"word-in-clear" not in wire.read_bytes()
    stored = owner.execute("select rolpassword from pg_authid where rolname = 'quiet'").fetchone()
    assert stored
    assert is_verifier_of("pässword-in-clear", stored[0])


def is_verifier_of(password: str, verifier: str) -> bool:
    """Whether a stored SCRAM-SHA-256 verifier is this password's (RFC 5802, section 3)."""
    _, rounds_and_salt, keys = verifier.split("$")
    rounds, salt = rounds_and_salt.split(":")
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(salt), int(rounds))
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    return keys.split(":")[0] == base64.b64encode(hashlib.sha256(client_key).digest()).decode()


@pytest.mark.parametrize(
    ("role", "why"),
    [
        ("postgres", "superuser"),
        ("specpost_daemon", "rights are granted to"),
        ("service_role", "rights are granted to"),
        ("ci_runner", "rights are granted to"),
        ("specpost_gate", "rights are granted to"),
        ("mighty", "bypassrls"),
        ("landlord", "owner of public.specs"),
        ("maker", "createrole"),
        ("climber", "member of service_role, bypassrls"),
        ("", "1 to 63 bytes"),
        ("é" * 32, "1 to 63 bytes"),
    ],
)
def test_a_mighty_role_is_not_made_the_daemons(owner: Connection[Any], role: str, why: str) -> None:
    """A role that may more than the daemon should is refused with the reason, and left as it was."""
    owner.execute("create role mighty bypassrls; create role maker createrole; create role climber")
    owner.execute("create role landlord; alter table specs owner to landlord; grant service_role to climber")

    with pytest.raises(LoginError, match=why):
        create_login(owner, role, "secret")

    members = (
        "select from pg_auth_members where roleid = 'specpost_daemon'::regrole and member::regrole::text = %s"
    )
    assert owner.execute(members, (role,)).rowcount == 0


@pytest.mark.parametrize(
    ("owners", "expected"),
    [
        (
            "postgresql://postgres:x@db.example.org:6000/app",
            "postgresql://specpost:p%2F%40ss@db.example.org:6000/app",
        ),
        ("host=db.example.org dbname=app user=o", "postgresql://specpost:p%2F%40ss@db.example.org/app"),
        (
            "postgres://o@[::1]/app?sslmode=require&sslrootcert=/a%20b",
            "postgresql://specpost:p%2F%40ss@[::1]/app?sslmode=require&sslrootcert=/a%20b",
        ),
        (
            "postgresql:///app?host=/run/x&user=o",
            "postgresql:///app?user=specpost&host=/run/x&password=p/%40ss",
        ),
        (
            "postgresql://postgres.abc:x@aws-0.pooler.supabase.com:5432/postgres",
            "postgresql://specpost.abc:p%2F%40ss@aws-0.pooler.supabase.com:5432/postgres",
        ),
    ],
)
def test_a_logins_url_is_the_owners_with_another_user(owners: str, expected: str) -> None:
    """Host, port, database and options stay, in whichever form the owner wrote them."""
    made = login_url(owners, "specpost", "p/@ss")

    assert made == expected
    assert psycopg.conninfo.conninfo_to_dict(made)["password"] == "p/@ss"


def test_a_logins_url_connects(database: Database) -> None:
    """The URL that was made leads to the same database, as the login."""
    with psycopg.connect(login_url(database.owner_url, "specpost", "any")) as conn:
        assert conn.execute("select current_user, current_database()").fetchone() == (
            "specpost",
            database.name,
        )


def push(supabase: str, database: Database, home: Path) -> str:
    """Run ``supabase db push`` on a copy of our folder, since it leaves files where it works."""
    if not (home / "db").exists():
        shutil.copytree(SUPABASE_FOLDER, home / "db" / "supabase")
    options = ["--workdir", str(home / "db"), "--yes", "--db-url", database.owner_url]
    status, said = told(supabase, home, "db", "push", *options)
    assert status == 0, said
    return said


@pytest.mark.long
def test_after_supabases_push_we_find_nothing_to_do(
    supabase: str, empty_database: Database, tmp_path: Path
) -> None:
    """What Supabase's command line applied is recorded as ours would be, and works for the daemon."""
    assert f"Applying migration {bundled()[0].file}" in push(supabase, empty_database, tmp_path)

    with empty_database.connect(autocommit=True) as conn:
        assert applied(conn) == [migration.version for migration in bundled()]
        assert migrate(conn) == []
        create_login(conn, "specpost", None)
    with empty_database.connect("daemon") as conn:
        assert compare(conn) == SchemaState([], [])


@pytest.mark.long
def test_after_ours_supabases_push_finds_nothing_to_do(
    supabase: str, empty_database: Database, tmp_path: Path
) -> None:
    """What we applied is up to date in the eyes of Supabase's command line."""
    with empty_database.connect() as conn:
        migrate(conn)

    assert "Remote database is up to date." in push(supabase, empty_database, tmp_path)

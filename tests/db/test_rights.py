"""Who may do what: told by the catalogs for every table and privilege, and tried."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.errors import ForeignKeyViolation, InsufficientPrivilege

from db.embedded import running
from db.migrate import compare, create_login, migrate
from tests.fix_database import Database
from tests.fix_postgres import DEBIAN_15, QUICK
from tests.parts import need

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from psycopg import Connection

    from tests.fix_database import Role

FIVE = {"public.artifacts", "public.runs", "public.specs", "public.sprints", "public.status_events"}

VIEWS = {"public.spec_progress", "public.sprint_board"}

BOOKS = {
    f"intake.{table}" for table in ("arrivals", "folders", "jobs", "mailboxes", "mails", "parts", "tokens")
}

#: Who may call what decides over a sprint.
CALLERS = ("service_role", "ci_runner")

#: Every privilege on every table that anybody but the owner has.
MATRIX = (
    {(table, "authenticated", "SELECT") for table in FIVE | VIEWS}
    | {(table, "ci_runner", "SELECT") for table in FIVE | VIEWS}
    | {(table, "specpost_gate", "SELECT") for table in FIVE}
    | {(f"public.{table}", "specpost_gate", "INSERT") for table in ("artifacts", "runs", "status_events")}
    | {(f"public.{table}", "specpost_gate", "UPDATE") for table in ("artifacts", "runs", "sprints")}
    | {(table, role, "SELECT") for table in VIEWS for role in ("service_role", "specpost_daemon")}
    | {(table, "service_role", might) for table in FIVE for might in ("SELECT", "INSERT", "UPDATE", "DELETE")}
    | {(table, "specpost_daemon", might) for table in FIVE for might in ("SELECT", "INSERT")}
    | {(table, "specpost_daemon", might) for table in BOOKS for might in ("SELECT", "INSERT", "UPDATE")}
    | {("intake.migrations", "specpost_daemon", "SELECT")}
    | {(table, "specpost_cleanup", "SELECT") for table in FIVE}
    | {(f"public.{table}", "specpost_cleanup", "DELETE") for table in ("specs", "status_events")}
    | {(f"intake.{table}", "specpost_cleanup", "SELECT") for table in ("mails", "arrivals", "parts", "jobs")}
    | {(f"intake.{table}", "specpost_cleanup", "UPDATE") for table in ("arrivals", "parts")}
    | {("intake.mails", "specpost_cleanup", "DELETE"), ("intake.migrations", "specpost_cleanup", "SELECT")}
)

PRIVILEGES = """
select n.nspname || '.' || c.relname, r.rolname, might
from pg_class as c
join pg_namespace as n on n.oid = c.relnamespace
cross join pg_roles as r
cross join unnest(%s::text[]) as might
where n.nspname in ('public', 'intake', 'supabase_migrations') and c.relkind in ('r', 'v', 'm', 'p', 'f')
  and r.rolname in
    ('anon', 'authenticated', 'service_role', 'ci_runner', 'specpost_gate', 'specpost_daemon', 'specpost',
      'specpost_cleanup')
  and (has_table_privilege(r.oid, c.oid, might)
    or might in ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES')
      and has_any_column_privilege(r.oid, c.oid, might))
"""

SEQUENCES = """
select s.relname, r.rolname, might
from pg_class as s
cross join unnest(array[
  'anon', 'authenticated', 'service_role', 'ci_runner', 'specpost_gate', 'specpost_daemon', 'specpost'
]) as r (rolname)
cross join unnest(array['USAGE', 'SELECT', 'UPDATE']) as might
where s.relkind = 'S' and has_sequence_privilege(r.rolname, s.oid, might)
"""

SCHEMAS = """
select n.nspname, r.rolname, might
from pg_namespace as n
cross join unnest(array[
  'anon', 'authenticated', 'service_role', 'ci_runner', 'specpost_gate', 'specpost_daemon', 'specpost'
]) as r (rolname)
cross join unnest(array['USAGE', 'CREATE']) as might
where n.nspname in ('intake', 'supabase_migrations') and has_schema_privilege(r.rolname, n.oid, might)
  or n.nspname = 'public' and might = 'CREATE' and has_schema_privilege(r.rolname, n.oid, might)
"""

#: The columns that somebody may update without the whole table.
UPDATABLE = """
select a.attrelid::regclass::text || '.' || a.attname
from pg_attribute as a
join pg_class as c on c.oid = a.attrelid
where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and a.attnum > 0
  and has_column_privilege('specpost_gate', a.attrelid, a.attnum, 'UPDATE')
"""

FUNCTIONS = """
select p.oid::regproc::text, r.rolname
from pg_proc as p
join pg_namespace as n on n.oid = p.pronamespace
cross join unnest(array[
  'anon', 'authenticated', 'service_role', 'ci_runner', 'specpost_gate', 'specpost_daemon'
]) as r (rolname)
where n.nspname in ('public', 'intake') and has_function_privilege(r.rolname, p.oid, 'EXECUTE')
"""

EXECUTABLE_BY_PUBLIC = """
select p.oid::regprocedure::text
from pg_proc as p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) as granted
where p.pronamespace in (select oid from pg_namespace where nspname in ('public', 'intake', 'auth'))
  and granted.grantee = 0
"""

INSERTS = {
    "specs": "insert into specs (repo, branch, storage_path) values ('a/b', 'main', 'k') returning id",
    "sprints": "insert into sprints (label, dod_json) values ('S1', '{}') returning id",
    "runs": "insert into runs (ci_run_id) values ('1') returning id",
    "artifacts": "insert into artifacts (storage_path) values ('k') returning id",
    "status_events": "insert into status_events (phase) values ('BUILD') returning id",
}

UPDATES = {
    "specs": "update specs set sha = 'x'",
    "sprints": "update sprints set state = 'DONE'",
    "runs": "update runs set result = 'PASSED'",
    "artifacts": "update artifacts set size = 1",
    "status_events": "update status_events set message = 'x'",
}

DELETES = {table: f"delete from {table}" for table in [*INSERTS, *BOOKS]}

A_MAIL = """
insert into intake.mails (id, raw_id, source, size, verdict, received_at)
select id, id, 'smtp', 1, 'held', now() from (values ('00000000-0000-4000-8000-000000000001'::uuid)) as m (id)
on conflict (id) do update set decided_at = now() returning id
"""


def granted(conn: Connection[Any]) -> set[tuple[str, str, str]]:
    """Each privilege on each of our tables and views that somebody has."""
    might = ["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"]
    if conn.info.server_version >= 170000:
        might.append("MAINTAIN")
    return set(conn.execute(PRIVILEGES.encode(), (might,)))


def refused(conn: Connection[Any], statement: str) -> bool:
    """Whether ``statement`` fails for want of a right."""
    try:
        with conn.transaction(force_rollback=True):
            conn.execute(statement.encode())
    except InsufficientPrivilege:
        return True
    return False


def test_the_privileges_on_every_table_are_these_and_no_more(any_database: Database) -> None:
    """Every table, privilege and role; the login has what its group has, the history is the owner's."""
    with any_database.connect() as conn:
        login = {(table, "specpost", might) for table, role, might in MATRIX if role == "specpost_daemon"}
        assert granted(conn) == MATRIX | login


def test_the_privileges_on_sequences_and_schemas_are_these_and_no_more(any_database: Database) -> None:
    """The service role, the daemon and the gate number events; API users and anon don't get into intake."""
    with any_database.connect() as conn:
        assert set(conn.execute(SEQUENCES)) == {
            ("status_events_id_seq", "service_role", "USAGE"),
            ("status_events_id_seq", "service_role", "SELECT"),
            ("status_events_id_seq", "specpost_gate", "USAGE"),
            *(
                (sequence, role, "USAGE")
                for sequence in ("status_events_id_seq", "arrivals_id_seq")
                for role in ("specpost_daemon", "specpost")
            ),
        }
        assert set(conn.execute(SCHEMAS)) == {
            ("intake", role, "USAGE")
            for role in ("specpost_daemon", "specpost", "service_role", "ci_runner", "specpost_gate")
        }


#: The bodies of what CI calls.
CALLS = {"finish_run", "log_event", "next_sprint", "record_artifact", "start_run"}

#: What the bodies call.
STEPS = {
    f"intake.{step}"
    for step in (
        *("ask_count", "ask_number", "ask_object", "ask_size", "ask_text", "ask_truth", "ask_word"),
        *("gate", "refuse", "run_id", "shown"),
    )
}


MAY_CALL = {
    *((f"{schema}.{it}", role) for schema in ("public", "intake") for it in CALLS for role in CALLERS),
    *((f"intake.{it}", "specpost_gate") for it in CALLS),
    *((step, "specpost_gate") for step in STEPS),
}


def callers(conn: Connection[Any]) -> set[tuple[str, str]]:
    """Who may call which of our functions."""
    with conn.transaction():
        conn.execute("set local search_path = ''")
        return set(conn.execute(FUNCTIONS))


def test_functions_are_for_the_service_role_and_ci_and_nobody_else(any_database: Database) -> None:
    """Only these two call what decides over a sprint; the daemon gets no right by it."""
    with any_database.connect() as conn:
        conn.execute("set search_path = ''")
        assert set(conn.execute(FUNCTIONS)) == {
            *(
                (f"{schema}.{it}", role)
                for schema in ("public", "intake")
                for it in CALLS
                for role in CALLERS
            ),
            *((f"intake.{it}", "specpost_gate") for it in CALLS),
            *((step, "specpost_gate") for step in STEPS),
        }


def test_the_gate_updates_these_columns_and_no_more(any_database: Database) -> None:
    """Not even the gate can give a run to another sprint, or soften a Definition of Done."""
    with any_database.connect() as conn:
        assert {column for (column,) in conn.execute(UPDATABLE)} == {
            *("artifacts.size", "runs.finished_at", "runs.result", "runs.summary_json", "sprints.state")
        }


def test_ci_reads_and_writes_nothing(any_database: Database) -> None:
    """What a CI job may read it can't alter, whatever it runs, and no role lets it."""
    with any_database.connect() as conn:
        for insert in INSERTS.values():
            conn.execute(insert.encode())

    with any_database.connect("ci_runner") as conn:
        for table, insert in INSERTS.items():
            assert conn.execute(f"select from {table}".encode()).rowcount == 1
            for statement in (
                insert,
                UPDATES[table],
                DELETES[table],
                f"truncate {table}",
                f"select from {table} for update",
            ):
                assert refused(conn, statement)
        assert refused(conn, "select intake.gate('{}', '{}')")


def test_no_function_is_executable_by_everybody(any_database: Database) -> None:
    """PostgreSQL gives EXECUTE to PUBLIC unasked; it was taken back from each function of ours."""
    with any_database.connect() as conn:
        assert conn.execute(EXECUTABLE_BY_PUBLIC).fetchall() == []


def test_anon_can_do_nothing(database: Database) -> None:
    """Somebody without a login reads nothing and writes nothing."""
    with database.connect("anon") as conn:
        for table, insert in INSERTS.items():
            assert refused(conn, f"select from {table}")
            assert refused(conn, insert)


def test_a_user_reads_and_does_nothing_else(database: Database) -> None:
    """A person with a login sees every row and alters none."""
    with database.connect("owner") as conn:
        for insert in INSERTS.values():
            conn.execute(insert.encode())

    with database.connect("authenticated") as conn:
        for table, insert in INSERTS.items():
            assert conn.execute(f"select from {table}".encode()).rowcount == 1
            for statement in insert, UPDATES[table], DELETES[table], f"truncate {table}":
                assert refused(conn, statement)


def test_the_service_role_writes(any_database: Database) -> None:
    """CI inserts and reads back, alters and deletes in each of the five, but can't truncate."""
    with any_database.connect("service_role") as conn:
        for table, insert in INSERTS.items():
            assert conn.execute(insert.encode()).rowcount == 1
            assert conn.execute(UPDATES[table].encode()).rowcount == 1
            assert conn.execute(DELETES[table].encode()).rowcount == 1
            assert refused(conn, f"truncate {table} cascade")


def test_without_bypassrls_the_service_role_needs_its_claim(database: Database) -> None:
    """Where nobody could give it BYPASSRLS, it writes under its token's claim and not otherwise."""
    with database.connect() as conn:
        # Roles are the server's, so the attribute is taken away within a transaction that is undone.
        conn.execute("alter role service_role nobypassrls")
        conn.execute("set local role service_role")
        assert refused(conn, INSERTS["specs"])
        conn.execute("""select set_config('request.jwt.claims', '{"role": "service_role"}', true)""")
        for table, insert in INSERTS.items():
            assert conn.execute(insert.encode()).rowcount == 1
            assert conn.execute(UPDATES[table].encode()).rowcount == 1
            assert conn.execute(DELETES[table].encode()).rowcount == 1
        conn.rollback()


def test_the_daemon_adds_and_reads_but_never_alters(any_database: Database) -> None:
    """In the five the daemon inserts and reads back; it can't alter, remove or lock what is there."""
    with any_database.connect("daemon") as conn:
        for table, insert in INSERTS.items():
            assert conn.execute(insert.encode()).rowcount == 1
            for statement in (
                UPDATES[table],
                DELETES[table],
                f"truncate {table}",
                f"select from {table} for update",
                f"drop table {table}",
                f"alter table {table} disable row level security",
            ):
                assert refused(conn, statement)


def test_the_daemon_repeats_itself_harmlessly(database: Database) -> None:
    """The same spec again inserts nothing and returns nothing: the id decides."""
    again = """
        insert into specs (id, repo, branch, storage_path)
        values ('00000000-0000-4000-8000-000000000001', 'a/b', 'main', 'k')
        on conflict (id) do nothing returning id
    """
    with database.connect("daemon") as conn:
        assert [conn.execute(again).rowcount for _ in range(2)] == [1, 0]


def test_the_daemons_foreign_keys_are_checked(database: Database) -> None:
    """A sprint of no spec is refused, though the daemon has no REFERENCES; a sprint of one is taken."""
    with database.connect("daemon") as conn:
        spec = conn.execute(INSERTS["specs"].encode()).fetchone()
        assert spec
        insert = "insert into sprints (spec_id, label, dod_json) values (%s, 'S1', '{}')"
        assert conn.execute(insert, spec).rowcount == 1
        with pytest.raises(ForeignKeyViolation):
            conn.execute(insert, ("00000000-0000-4000-8000-000000000009",))


def test_the_daemon_keeps_its_books(any_database: Database) -> None:
    """In intake the daemon inserts, upserts, updates and reads, and can't delete."""
    with any_database.connect("daemon") as conn:
        assert [conn.execute(A_MAIL).rowcount for _ in range(2)] == [1, 1]
        conn.execute(
            "insert into intake.arrivals (mail_id, source, verdict, received_at)"
            " select id, 'smtp', 'held', now() from intake.mails"
        )
        conn.execute(
            "insert into intake.parts (mail_id, place, size, sha256, key)"
            " select id, '1', 1, '', '' from intake.mails"
        )
        conn.execute("insert into intake.mailboxes (account, owner, leased_until) values ('x', 'x', now())")
        conn.execute(
            "insert into intake.folders (account, folder, uidvalidity, first_uid) values ('x', 'x', 1, 1)"
        )
        conn.execute(
            "insert into intake.jobs (id, kind, mail_id) select gen_random_uuid(), 'x', id from intake.mails"
        )
        conn.execute("insert into intake.tokens (account, sealed) values ('x', '')")
        for table in sorted(BOOKS):
            assert conn.execute(f"select from {table}".encode()).rowcount == 1
            assert refused(conn, DELETES[table])
            assert refused(conn, f"truncate {table} cascade")
        assert conn.execute("update intake.arrivals set peer = 'x'").rowcount == 1


def test_the_daemon_can_neither_forge_nor_read_the_history(database: Database) -> None:
    """The view on the migrations takes no writes, and what is behind it is the owner's."""
    with database.connect("daemon") as conn:
        assert refused(conn, "insert into intake.migrations (version) values ('2')")
        assert refused(conn, "update intake.migrations set name = ''")
        assert refused(conn, "delete from intake.migrations")
        assert refused(conn, "select from supabase_migrations.schema_migrations")


@pytest.mark.parametrize("role", ["anon", "authenticated", "service_role", "ci_runner"])
def test_nobody_else_sees_the_daemons_books(any_database: Database, role: Role) -> None:
    """Who wrote to us and why they were refused is hidden from the API's roles, the service role included."""
    with any_database.connect(role) as conn:
        for table in sorted(BOOKS | {"intake.migrations"}):
            assert refused(conn, f"select from {table}")
        assert refused(conn, A_MAIL)
        assert refused(conn, "select intake.announce_events()")


def test_a_claim_makes_nobody_mightier(database: Database) -> None:
    """Any session can forge the service role's claim; a user who does still writes nothing."""
    with database.connect("authenticated") as conn:
        conn.execute("""select set_config('request.jwt.claims', '{"role": "service_role"}', false)""")
        assert refused(conn, INSERTS["specs"])


#: A Supabase project before our first migration; older ones grant everything to everybody by default.
SUPABASE = """
create role anon nologin noinherit;
create role authenticated nologin noinherit;
create role service_role nologin noinherit bypassrls;
create role supabase_admin superuser nologin;
create role authenticator login noinherit;
grant anon, authenticated, service_role to authenticator;
create schema auth authorization supabase_admin;
create function auth.role() returns text language sql stable
  as $$ select current_setting('request.jwt.claims', true)::jsonb ->> 'role' $$;
alter function auth.role() owner to supabase_admin;
grant usage on schema auth to anon, authenticated, service_role;
grant usage on schema auth to owner;
alter default privileges for role owner in schema public
  grant all on tables to anon, authenticated, service_role;
alter default privileges for role owner in schema public
  grant all on sequences to anon, authenticated, service_role;
alter default privileges for role owner
  grant all on functions to anon, authenticated, service_role;
"""


@pytest.fixture(params=["18", "15"])
def modest(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A server of its own, whose database belongs to an owner who is no superuser but may make roles."""
    bin_dir = DEBIAN_15 if request.param == "15" else None
    if bin_dir:
        need((bin_dir / "postgres").exists(), "apt-get install postgresql-15")
    with running(tmp_path, bin_dir=bin_dir, options=QUICK) as server:
        with psycopg.connect(server.url("postgres"), autocommit=True) as conn:
            conn.execute("create role owner login createrole createdb")
            conn.execute("alter database postgres owner to owner")
        yield Database(server, "postgres", owner="owner")


def test_an_owner_who_is_no_superuser_can_migrate(modest: Database) -> None:
    """On a plain server CREATEROLE is enough, and the daemon's login works as on any other."""
    with modest.connect() as conn:
        migrate(conn)
        create_login(conn, "specpost", None)
        assert {line for line in granted(conn) if line[1] != "specpost"} == MATRIX
        bypass = conn.execute("select rolbypassrls from pg_roles where rolname = 'service_role'").fetchone()

    assert bypass == (False,)
    with modest.connect("daemon") as conn:
        assert compare(conn).missing == []
        assert conn.execute(INSERTS["status_events"].encode()).rowcount == 1


def test_a_supabase_project_can_be_migrated_by_its_postgres(modest: Database) -> None:
    """What Supabase has is left as it is, and what it grants to everybody by default is taken back."""
    with psycopg.connect(modest.server.url("postgres"), autocommit=True) as conn:
        conn.execute(SUPABASE.encode())
        conn.execute("alter role owner bypassrls replication")

    with modest.connect() as conn:
        migrate(conn)
        create_login(conn, "specpost", None)
        assert {line for line in granted(conn) if line[1] != "specpost"} == MATRIX
        owner = conn.execute(
            "select proowner::regrole::text from pg_proc where oid = 'auth.role()'::regprocedure"
        )
        assert owner.fetchone() == ("supabase_admin",)
        assert callers(conn) == MAY_CALL
        member = conn.execute("select pg_has_role('authenticator', 'ci_runner', 'MEMBER')").fetchone()
        assert member == (True,)
    with modest.connect("daemon") as conn:
        assert compare(conn).missing == []

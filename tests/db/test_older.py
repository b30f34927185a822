"""An older copy of the control plane, with rows in it, becomes the contract's and loses none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from db.migrate import MigrationError, migrate
from tests.db.test_contract import CHECKS, COLUMNS, INDEXES, KEYS, POLICIES, RELATIONS, WITHOUT_RLS, told
from tests.db.test_rights import granted
from tests.fix_database import new_database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg import Connection

    from tests.fix_database import Database

FIVE = ("specs", "sprints", "runs", "artifacts", "status_events")

TABLES = """
create schema auth;
create function auth.role() returns text language sql stable
  as $$ select current_setting('request.jwt.claims', true)::jsonb ->> 'role' $$;
create table specs (
  id uuid primary key default gen_random_uuid(), repo text not null, branch text not null,
  storage_path text not null, sha text, created_at timestamptz default now(), created_by text
);
create table sprints (
  id uuid primary key default gen_random_uuid(), spec_id uuid references specs(id) on delete cascade,
  label text not null, dod_json jsonb not null, state text not null default 'PLANNED',
  created_at timestamptz default now()
);
create table runs (
  id uuid primary key default gen_random_uuid(), sprint_id uuid references sprints(id) on delete cascade,
  ci_run_id text, started_at timestamptz default now(), finished_at timestamptz, result text,
  summary_json jsonb
);
create table artifacts (
  id uuid primary key default gen_random_uuid(), run_id uuid references runs(id) on delete cascade, kind text,
  storage_path text not null, size bigint, created_at timestamptz default now()
);
create table status_events (
  id bigserial primary key, run_id uuid, phase text, message text, ts timestamptz default now()
);
grant all on specs, sprints, runs, artifacts, status_events to anon, authenticated, service_role;
create view mine as select repo, count(*) from specs group by repo;
"""

POLICED = """
alter table {0} enable row level security;
create policy "Authenticated users can read {0}" on {0} for select using (auth.role() = 'authenticated');
create policy "Service role has full access to {0}" on {0} for all using (auth.role() = 'service_role');
"""

ROWS = """
insert into specs (repo, branch, storage_path) select 'a/' || n, 'main', 'k' from generate_series(1, 3) as n;
insert into sprints (spec_id, label, dod_json, state) select id, 'S1', '{"lint_pass": true}', 'DONE'
from specs;
insert into runs (sprint_id, ci_run_id, result) select id, '77', 'PASSED' from sprints;
insert into runs (sprint_id, ci_run_id) select id, '77' from sprints;
insert into artifacts (run_id, kind, storage_path, size) select id, 'junit', 'k', 5 from runs;
insert into status_events (run_id, phase, message, ts)
select id, 'TESTS_FAILED', 'x', '2026-01-02T03:04:05Z'::timestamptz + make_interval(mins => 7) from runs;
insert into status_events (phase, ts) values ('BUILD', null);
"""


@pytest.fixture
def older(any_database: Database) -> Iterator[Database]:
    """The older copy on each of the servers, before any migration."""
    with new_database(any_database.server) as made:
        with made.connect() as conn:
            conn.execute(TABLES.encode())
            for table in FIVE:
                conn.execute(POLICED.format(table).encode())
            conn.execute(ROWS.encode())
        yield made


def rows(conn: Connection[Any]) -> dict[str, list[Any]]:
    """All rows, as JSON."""
    return {
        table: [row for (row,) in conn.execute(f"select to_jsonb(t) from {table} as t order by id".encode())]
        for table in FIVE
    }


def test_an_older_copy_becomes_the_contracts(older: Database, any_database: Database) -> None:
    """Tables, keys, indexes, policies and rights are as in a new database, and what hangs on them stays."""
    with older.connect(autocommit=True) as conn, any_database.connect() as fresh:
        migrate(conn)

        for query in COLUMNS, KEYS, CHECKS, INDEXES:
            assert sorted(told(conn, query)) == sorted(told(fresh, query))
        assert set(told(conn, RELATIONS)) == {*told(fresh, RELATIONS), "v mine"}
        assert set(conn.execute(POLICIES, ("public",))) == set(fresh.execute(POLICIES, ("public",)))
        assert conn.execute(WITHOUT_RLS).fetchall() == []
        assert granted(conn) == granted(fresh)
        assert migrate(conn) == []


def test_an_older_copy_loses_no_row(older: Database) -> None:
    """Each row is as it was; an event's time has another name, and a later event a later id."""
    with older.connect(autocommit=True) as conn:
        before = rows(conn)
        migrate(conn)
        after = rows(conn)

    for event in before["status_events"]:
        event |= {"created_at": event.pop("ts"), "metadata": None}
    assert after == before
    assert [len(found) for found in after.values()] == [3, 3, 6, 6, 7]
    with older.connect("daemon") as conn:
        (event,) = conn.execute(
            "insert into status_events (phase) values ('X') returning id, created_at > '2026-02-02'"
        )
    assert event == (8, True)


def test_a_table_of_the_same_name_that_is_another_is_left_alone(any_database: Database) -> None:
    """Somebody's own table is told by what it lacks, and nothing of it is changed."""
    with new_database(any_database.server) as made, made.connect(autocommit=True) as conn:
        conn.execute("create table artifacts (id uuid primary key, kind int, storage_path text)")
        lacks = "artifacts.run_id uuid, artifacts.kind text, artifacts.size bigint, artifacts.created_at"
        with pytest.raises(MigrationError, match=f"not as the contract has it: it lacks {lacks}"):
            migrate(conn)
        assert told(conn, COLUMNS) == [
            *("artifacts.id uuid not null", "artifacts.kind integer", "artifacts.storage_path text")
        ]

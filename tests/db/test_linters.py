"""Supabase's linters find nothing in the schema, and would find something if there were."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.fix_supabase import told
from tests.parts import need

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fix_database import Database

pytestmark = pytest.mark.long

#: The kinds of faults in what the advisors say.
NAMES = re.compile(r'"name": "(\w+)",\s+"title"')

CHECKER = "select from pg_available_extensions where name = 'plpgsql_check'"


def lint(supabase: str, database: Database, home: Path) -> tuple[int, str]:
    """What the linter of functions says, which needs an extension in the server."""
    with database.connect() as conn:
        need(conn.execute(CHECKER).rowcount, "apt-get install postgresql-15-plpgsql-check")
    options = ["--schema", "public,intake", "--level", "warning", "--fail-on", "warning"]
    return told(supabase, home, "db", "lint", *options, "--db-url", database.owner_url)


def advisors(supabase: str, database: Database, home: Path, level: str) -> tuple[int, str]:
    """What the advisors say on security and performance."""
    options = ["--level", level, "--fail-on", "warn"]
    return told(supabase, home, "db", "advisors", *options, "--db-url", database.owner_url)


@pytest.mark.parametrize("any_database", ["debian_postgres"], indirect=True)
def test_the_linter_finds_nothing_in_our_functions(
    supabase: str, any_database: Database, tmp_path: Path
) -> None:
    """Every body is checked against the schema it runs in; a wrong one would be found."""
    status, said = lint(supabase, any_database, tmp_path)
    assert (status, "No schema errors found" in said) == (0, True), said

    with any_database.connect() as conn:
        conn.execute(
            "create function public.odd() returns int language plpgsql as $$ begin return nowhere; end $$"
        )
    status, said = lint(supabase, any_database, tmp_path)
    assert (status, "public.odd" in said) == (1, True), said


def test_the_advisors_find_nothing_in_our_schema(
    supabase: str, any_database: Database, tmp_path: Path
) -> None:
    """No table is open, no policy is doubled; that nobody has used an index yet is all there is to say."""
    with any_database.connect(autocommit=True) as conn:  # the advisors ask which schemas the API exposes
        conn.execute(f"alter database {any_database.name} set pgrst.db_schemas = 'public'".encode())
    status, said = advisors(supabase, any_database, tmp_path, "info")
    assert status == 0, said
    assert set(NAMES.findall(said)) <= {"unused_index"}, said

    with any_database.connect() as conn:
        conn.execute('create policy "Again" on public.specs for select to ci_runner using (true)')
        conn.execute("create table public.odd (); grant select on public.odd to anon")
    status, said = advisors(supabase, any_database, tmp_path, "warn")
    assert status == 1, said
    assert {"multiple_permissive_policies", "rls_disabled_in_public"} <= set(NAMES.findall(said)), said

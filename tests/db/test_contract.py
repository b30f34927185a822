"""The schema is a contract with programs that are not ours: every line of it, as the catalogs tell it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from psycopg import Connection

    from tests.fix_database import Database, Role

CONTRACT = Path(__file__).resolve().parents[2].parent / "shared" / "CONTROL_PLANE.md"

FIVE = ["artifacts", "runs", "specs", "sprints", "status_events"]

PUBLIC_COLUMNS = """
artifacts.id uuid not null default gen_random_uuid()
artifacts.run_id uuid
artifacts.kind text
artifacts.storage_path text not null
artifacts.size bigint
artifacts.created_at timestamp with time zone default now()
runs.id uuid not null default gen_random_uuid()
runs.sprint_id uuid
runs.ci_run_id text
runs.started_at timestamp with time zone default now()
runs.finished_at timestamp with time zone
runs.result text
runs.summary_json jsonb
specs.id uuid not null default gen_random_uuid()
specs.repo text not null
specs.branch text not null
specs.storage_path text not null
specs.sha text
specs.created_at timestamp with time zone default now()
specs.created_by text
sprints.id uuid not null default gen_random_uuid()
sprints.spec_id uuid
sprints.label text not null
sprints.dod_json jsonb not null
sprints.state text not null default 'PLANNED'::text
sprints.created_at timestamp with time zone default now()
status_events.id bigint not null default nextval('public.status_events_id_seq'::regclass)
status_events.run_id uuid
status_events.phase text
status_events.message text
status_events.metadata jsonb
status_events.created_at timestamp with time zone default now()
"""

PUBLIC_CONSTRAINTS = """
artifacts PRIMARY KEY (id)
artifacts FOREIGN KEY (run_id) REFERENCES public.runs(id) ON DELETE CASCADE
runs PRIMARY KEY (id)
runs FOREIGN KEY (sprint_id) REFERENCES public.sprints(id) ON DELETE CASCADE
specs PRIMARY KEY (id)
sprints PRIMARY KEY (id)
sprints FOREIGN KEY (spec_id) REFERENCES public.specs(id) ON DELETE CASCADE
status_events PRIMARY KEY (id)
"""

PUBLIC_INDEXES = """
CREATE UNIQUE INDEX artifacts_pkey ON public.artifacts USING btree (id)
CREATE INDEX idx_artifacts_run_id ON public.artifacts USING btree (run_id)
CREATE INDEX idx_runs_sprint_id ON public.runs USING btree (sprint_id)
CREATE INDEX idx_sprints_spec_id ON public.sprints USING btree (spec_id)
CREATE INDEX idx_status_events_created_at ON public.status_events USING btree (created_at DESC)
CREATE INDEX idx_status_events_run_id ON public.status_events USING btree (run_id)
CREATE UNIQUE INDEX runs_pkey ON public.runs USING btree (id)
CREATE UNIQUE INDEX specs_pkey ON public.specs USING btree (id)
CREATE UNIQUE INDEX sprints_pkey ON public.sprints USING btree (id)
CREATE UNIQUE INDEX status_events_pkey ON public.status_events USING btree (id)
"""

#: What CI calls, and which rights a call has.
PUBLIC_FUNCTIONS = """
finish_run(run_id uuid, summary jsonb) jsonb
log_event(run_id uuid, phase text, message text, metadata jsonb DEFAULT '{}'::jsonb) public.status_events
next_sprint(spec_id uuid) SETOF public.sprints
record_artifact(run_id uuid, kind text, storage_path text, size bigint) public.artifacts
start_run(sprint_id uuid, ci_run_id text, attempt integer DEFAULT 1) public.runs
"""

VIEWS = """
spec_progress.spec_id uuid
spec_progress.repo text
spec_progress.branch text
spec_progress.sprints_done bigint
spec_progress.sprints bigint
spec_progress.last_phase text
spec_progress.last_event_at timestamp with time zone
spec_progress.created_at timestamp with time zone
spec_progress.age interval
sprint_board.spec_id uuid
sprint_board.repo text
sprint_board.branch text
sprint_board.sprint_id uuid
sprint_board.place bigint
sprint_board.label text
sprint_board.state text
sprint_board.runs bigint
sprint_board.run_id uuid
sprint_board.ci_run_id text
sprint_board.started_at timestamp with time zone
sprint_board.finished_at timestamp with time zone
sprint_board.result text
"""

INTAKE_COLUMNS = """
arrivals.id bigint not null
arrivals.mail_id uuid
arrivals.source text not null
arrivals.account text
arrivals.folder text
arrivals.uidvalidity bigint
arrivals.uid bigint
arrivals.peer text
arrivals.mail_from text
arrivals.rcpt_to text[] not null default '{}'::text[]
arrivals.verdict text not null
arrivals.received_at timestamp with time zone not null
arrivals.reason text
arrivals.login text
folders.account text not null
folders.folder text not null
folders.uidvalidity bigint not null
folders.first_uid bigint not null
folders.contact_at timestamp with time zone not null default now()
folders.since timestamp with time zone
folders.unfinished bigint[] not null default '{}'::bigint[]
folders.alone_uid bigint
folders.alone_times integer not null default 0
jobs.id uuid not null
jobs.kind text not null
jobs.mail_id uuid not null
jobs.state text not null default 'waiting'::text
jobs.attempts integer not null default 0
jobs.due_at timestamp with time zone not null default now()
jobs.epoch bigint not null default 0
jobs.owner text
jobs.trouble text
jobs.created_at timestamp with time zone not null default now()
jobs.ended_at timestamp with time zone
mailboxes.account text not null
mailboxes.owner text not null
mailboxes.epoch bigint not null default 1
mailboxes.leased_until timestamp with time zone not null
mailboxes.state text not null default ''::text
mailboxes.looked_at timestamp with time zone
mails.id uuid not null
mails.raw_id uuid not null
mails.content_id uuid
mails.source text not null
mails.sender text
mails.message_id text
mails.references text[] not null default '{}'::text[]
mails.subject text
mails.sent_at timestamp with time zone
mails.size bigint not null
mails.verdict text not null
mails.reason text
mails.problems jsonb not null default '[]'::jsonb
mails.evidence jsonb not null default '{}'::jsonb
mails.rule text
mails.reply_allowed boolean not null default false
mails.supersedes uuid
mails.received_at timestamp with time zone not null
mails.decided_at timestamp with time zone not null default now()
mails.letter text
mails.dropped_at timestamp with time zone
mails.dropped_why text
parts.mail_id uuid not null
parts.place text not null
parts.name text
parts.media_type text
parts.size bigint not null
parts.sha256 text not null
parts.key text not null
parts.spec_id uuid
parts.removed_at timestamp with time zone
tokens.account text not null
tokens.version bigint not null default 1
tokens.sealed bytea not null
tokens.updated_at timestamp with time zone not null default now()
"""

INTAKE_KEYS = """
arrivals FOREIGN KEY (mail_id) REFERENCES intake.mails(id) ON DELETE CASCADE
arrivals PRIMARY KEY (id)
arrivals UNIQUE (account, folder, uidvalidity, uid)
folders PRIMARY KEY (account, folder, uidvalidity)
jobs FOREIGN KEY (mail_id) REFERENCES intake.mails(id) ON DELETE CASCADE
jobs PRIMARY KEY (id)
mailboxes PRIMARY KEY (account)
mails FOREIGN KEY (supersedes) REFERENCES intake.mails(id) ON DELETE SET NULL
mails PRIMARY KEY (id)
parts FOREIGN KEY (mail_id) REFERENCES intake.mails(id) ON DELETE CASCADE
parts PRIMARY KEY (mail_id, place)
tokens PRIMARY KEY (account)
"""

INTAKE_INDEXES = """
CREATE UNIQUE INDEX arrivals_pkey ON intake.arrivals USING btree (id)
CREATE UNIQUE INDEX arrivals_slot_key ON intake.arrivals USING btree (account, folder, uidvalidity, uid)
CREATE UNIQUE INDEX folders_pkey ON intake.folders USING btree (account, folder, uidvalidity)
CREATE INDEX idx_arrivals_mail_id ON intake.arrivals USING btree (mail_id)
CREATE INDEX idx_jobs_due_at ON intake.jobs USING btree (due_at) WHERE (state = 'waiting'::text)
CREATE INDEX idx_jobs_mail_id ON intake.jobs USING btree (mail_id)
CREATE INDEX idx_mails_content_id ON intake.mails USING btree (content_id)
CREATE INDEX idx_mails_message_id ON intake.mails USING btree (message_id)
CREATE INDEX idx_mails_raw_id ON intake.mails USING btree (raw_id)
CREATE INDEX idx_mails_rejected_letter ON intake.mails USING btree (letter) WHERE (verdict = 'rejected'::text)
CREATE INDEX idx_mails_supersedes ON intake.mails USING btree (supersedes)
CREATE INDEX idx_mails_verdict_received_at ON intake.mails USING btree (verdict, received_at)
CREATE INDEX idx_parts_spec_id ON intake.parts USING btree (spec_id) WHERE (spec_id IS NOT NULL)
CREATE UNIQUE INDEX jobs_pkey ON intake.jobs USING btree (id)
CREATE UNIQUE INDEX mailboxes_pkey ON intake.mailboxes USING btree (account)
CREATE UNIQUE INDEX mails_letter_key ON intake.mails USING btree (letter) WHERE (verdict = 'accepted'::text)
CREATE UNIQUE INDEX mails_pkey ON intake.mails USING btree (id)
CREATE UNIQUE INDEX parts_pkey ON intake.parts USING btree (mail_id, place)
CREATE UNIQUE INDEX tokens_pkey ON intake.tokens USING btree (account)
"""

COLUMNS_OF = """
select c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
  || case when a.attnotnull then ' not null' else '' end
  || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '')
from pg_attribute as a
join pg_class as c on c.oid = a.attrelid
left join pg_attrdef as d on d.adrelid = c.oid and d.adnum = a.attnum
where c.relnamespace = %s::regnamespace and c.relkind = '{kind}' and a.attnum > 0 and not a.attisdropped
order by c.relname, a.attnum
"""

COLUMNS = COLUMNS_OF.format(kind="r")

FUNCTIONS = """
select proname || '(' || pg_get_function_arguments(oid) || ') ' || pg_get_function_result(oid)
from pg_proc where pronamespace = %s::regnamespace
order by proname
"""

#: Whose body is one statement with the caller's rights, and whose has those of its owner.
RIGHTS_OF_FUNCTIONS = """
select n.nspname || '.' || p.proname, l.lanname, p.proowner::regrole::text
from pg_proc as p
join pg_namespace as n on n.oid = p.pronamespace
join pg_language as l on l.oid = p.prolang
where n.nspname in ('public', 'intake') and (p.prosecdef or n.nspname = 'public')
"""

UNSAFE_FUNCTIONS = """
select oid::regprocedure::text from pg_proc
where pronamespace in ('public'::regnamespace, 'intake'::regnamespace)
  and (proconfig is distinct from array['search_path=""'])
"""

KEYS = """
select r.relname || ' ' || pg_get_constraintdef(c.oid)
from pg_constraint as c
join pg_class as r on r.oid = c.conrelid
where c.connamespace = %s::regnamespace and c.contype in ('p', 'f', 'u', 'x')
"""

CHECKS = """
select r.relname || ' ' || pg_get_constraintdef(c.oid)
from pg_constraint as c
join pg_class as r on r.oid = c.conrelid
where c.connamespace = %s::regnamespace and c.contype = 'c'
"""

INDEXES = "select indexdef from pg_indexes where schemaname = %s"

RELATIONS = """
select relkind::text || ' ' || relname from pg_class where relnamespace = %s::regnamespace and relkind <> 'i'
"""

TABLES = f"{RELATIONS} and relkind <> 'v'"

POLICIES = """
select policyname, tablename, cmd, array_to_string(roles, ','), coalesce(qual, ''), coalesce(with_check, '')
from pg_policies where schemaname = %s and permissive = 'PERMISSIVE'
"""

WITHOUT_RLS = """
select relname from pg_class
where relnamespace in ('public'::regnamespace, 'intake'::regnamespace) and relkind = 'r'
  and not relrowsecurity
"""

UNINDEXED_FOREIGN_KEYS = """
select conrelid::regclass::text, conname from pg_constraint as c
where contype = 'f' and connamespace in ('public'::regnamespace, 'intake'::regnamespace) and not exists (
  select from pg_index as i where i.indrelid = c.conrelid and i.indkey[0] = c.conkey[1]
)
"""


def told(conn: Connection[Any], query: str, schema: str = "public") -> list[str]:
    """What ``query`` says of ``schema``, with every name qualified."""
    conn.execute("set search_path = ''")
    return [line for (line,) in conn.execute(query.encode(), (schema,))]


def lines(text: str) -> list[str]:
    """The lines of ``text`` that say something."""
    return text.strip().splitlines()


def test_the_five_tables_have_the_contracts_columns(any_database: Database) -> None:
    """Names, types, nullability, defaults and order of every column are the contract's."""
    with any_database.connect() as conn:
        assert told(conn, COLUMNS) == lines(PUBLIC_COLUMNS)


def test_the_five_tables_have_the_contracts_keys(any_database: Database) -> None:
    """Deleting a spec takes its sprints, runs and artifacts along; no key more or less, and no check."""
    with any_database.connect() as conn:
        assert sorted(told(conn, KEYS)) == sorted(lines(PUBLIC_CONSTRAINTS))
        assert told(conn, CHECKS) == []


def test_the_five_tables_have_the_contracts_indexes(any_database: Database) -> None:
    """The indexes are the contract's, by name and definition, and the one on sprints' spec."""
    with any_database.connect() as conn:
        assert sorted(told(conn, INDEXES)) == sorted(lines(PUBLIC_INDEXES))


def test_nothing_else_lives_in_public(any_database: Database) -> None:
    """Public holds the five tables, the sequence of the events, two views and what CI calls."""
    with any_database.connect() as conn:
        assert sorted(told(conn, RELATIONS)) == sorted(
            ["S status_events_id_seq", "v spec_progress", "v sprint_board", *(f"r {table}" for table in FIVE)]
        )
        assert told(conn, FUNCTIONS) == lines(PUBLIC_FUNCTIONS)
        assert told(conn, COLUMNS_OF.format(kind="v")) == lines(VIEWS)


def test_views_and_functions_have_the_rights_they_should(any_database: Database) -> None:
    """Views and what is called have the caller's rights; bodies have those of a role nobody logs in as."""
    bodies = ("finish_run", "log_event", "next_sprint", "record_artifact", "start_run")
    with any_database.connect() as conn:
        assert sorted(conn.execute(RIGHTS_OF_FUNCTIONS)) == [
            *((f"intake.{body}", "plpgsql", "specpost_gate") for body in bodies),
            *((f"public.{body}", "sql", "postgres") for body in bodies),
        ]
        assert (
            conn.execute(
                "select from pg_proc where prosecdef and pronamespace = 'public'::regnamespace"
            ).rowcount
            == 0
        )
        assert conn.execute(UNSAFE_FUNCTIONS).fetchall() == []
        invoked = "select from pg_class where relkind = 'v' and 'security_invoker=true' = any(reloptions)"
        assert conn.execute(invoked).rowcount == 2
        login = "select from pg_roles where rolname in ('specpost_gate', 'ci_runner') and rolcanlogin"
        assert conn.execute(login).rowcount == 0


@pytest.mark.skipif(not CONTRACT.exists(), reason="the contract's text, beside the repository")
def test_the_contracts_own_statements_make_the_same_tables(
    any_database: Database, empty_database: Database
) -> None:
    """What the contract's text makes when it is run is what the migrations make, but for one index."""
    block = re.search(r"```sql\n(.*?)```", CONTRACT.read_text(encoding="utf-8"), re.DOTALL)
    assert block
    with any_database.connect() as ours, empty_database.connect() as theirs:
        theirs.execute(block[1].encode())

        for query in COLUMNS, KEYS, CHECKS, TABLES:
            assert sorted(told(ours, query)) == sorted(told(theirs, query))
        more = set(told(ours, INDEXES)) ^ set(told(theirs, INDEXES))
    assert more == {"CREATE INDEX idx_sprints_spec_id ON public.sprints USING btree (spec_id)"}


def test_intake_has_its_columns(any_database: Database) -> None:
    """The daemon's books have the columns that its statements name; no id is made by a default."""
    with any_database.connect() as conn:
        assert told(conn, COLUMNS, "intake") == lines(INTAKE_COLUMNS)


def test_intake_has_its_keys_and_indexes(any_database: Database) -> None:
    """A mail takes its arrivals and parts along; a spec's deletion leaves the parts it was made of."""
    with any_database.connect() as conn:
        assert sorted(told(conn, KEYS, "intake")) == lines(INTAKE_KEYS)
        assert sorted(told(conn, INDEXES, "intake")) == sorted(lines(INTAKE_INDEXES))


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("mails", {"held", "ignored", "refused", "rejected", "accepted"}),
        ("arrivals", {"held", "ignored", "refused", "duplicate", "rejected", "accepted"}),
    ],
)
def test_verdicts_are_of_the_vocabulary(database: Database, table: str, words: set[str]) -> None:
    """A row's verdict is a word of the vocabulary; "deferred" leaves no row, a duplicate only an arrival."""
    with database.connect() as conn:
        (check,) = [line for line in told(conn, CHECKS, "intake") if line.startswith(f"{table} ")]

    assert set(re.findall(r"'(\w+)'", check)) == words


def test_a_slot_of_a_mailbox_arrives_once_and_smtp_as_often_as_it_comes(database: Database) -> None:
    """Account, folder, UIDVALIDITY and UID are unique together; deliveries without them are all kept."""
    mail = "00000000-0000-4000-8000-000000000001"
    arrival = """
        insert into intake.arrivals (mail_id, source, account, folder, uidvalidity, uid, verdict, received_at)
        values (%s, 'x', %s, %s, %s, %s, 'accepted', now()) on conflict do nothing
    """
    with database.connect("daemon") as conn:
        conn.execute(
            "insert into intake.mails (id, raw_id, source, size, verdict, received_at)"
            " values (%s, %s, 'x', 1, 'accepted', now())",
            (mail, mail),
        )
        by_imap = [conn.execute(arrival, (mail, "specs", "INBOX", 7, 1)).rowcount for _ in range(2)]
        by_smtp = [conn.execute(arrival, (mail, None, None, None, None)).rowcount for _ in range(2)]

    assert by_imap == [1, 0]
    assert by_smtp == [1, 1]


def test_each_of_the_five_has_the_contracts_policies(any_database: Database) -> None:
    """Users and CI read, the service role does all, the daemon adds; each policy is for one role."""
    service = "(( SELECT auth.role() AS role) = 'service_role'::text)"
    expected = set()
    for table in FIVE:
        expected |= {
            (f"Authenticated users can read {table}", table, "SELECT", "authenticated", "true", ""),
            (f"Service role can read {table}", table, "SELECT", "service_role", service, ""),
            (f"Service role can insert {table}", table, "INSERT", "service_role", "", service),
            (f"Service role can update {table}", table, "UPDATE", "service_role", service, service),
            (f"Service role can delete {table}", table, "DELETE", "service_role", service, ""),
            (f"Daemon can read {table}", table, "SELECT", "specpost_daemon", "true", ""),
            (f"Daemon can insert {table}", table, "INSERT", "specpost_daemon", "", "true"),
            (f"CI can read {table}", table, "SELECT", "ci_runner", "true", ""),
            (f"Gate can read {table}", table, "SELECT", "specpost_gate", "true", ""),
            (f"Cleanup can read {table}", table, "SELECT", "specpost_cleanup", "true", ""),
        }
    for table in ("specs", "status_events"):
        expected.add((f"Cleanup can delete {table}", table, "DELETE", "specpost_cleanup", "true", ""))
    for table in ("runs", "artifacts", "status_events"):
        expected.add((f"Gate can insert {table}", table, "INSERT", "specpost_gate", "", "true"))
    for table in ("sprints", "runs", "artifacts"):
        expected.add((f"Gate can update {table}", table, "UPDATE", "specpost_gate", "true", "true"))
    with any_database.connect() as conn:
        assert set(conn.execute(POLICIES, ("public",))) == expected


def test_intakes_policies_are_the_daemons_and_cleanups(any_database: Database) -> None:
    """In intake the daemon reads, adds and alters; only cleanup deletes, and only mails."""
    with any_database.connect() as conn:
        found = {(table, cmd, roles) for _, table, cmd, roles, *_ in conn.execute(POLICIES, ("intake",))}

    tables = ("mails", "arrivals", "parts", "mailboxes", "folders", "tokens", "jobs")
    commands = ("SELECT", "INSERT", "UPDATE")
    assert found == {(table, cmd, "specpost_daemon") for table in tables for cmd in commands} | {
        ("mails", "DELETE", "specpost_cleanup"),
        *((table, "UPDATE", "specpost_cleanup") for table in ("arrivals", "parts")),
        *((table, "SELECT", "specpost_cleanup") for table in ("mails", "arrivals", "parts", "jobs")),
    }


def test_row_security_is_on_and_every_foreign_key_indexed(any_database: Database) -> None:
    """No table is left without row level security, and no foreign key without an index."""
    with any_database.connect() as conn:
        assert conn.execute(WITHOUT_RLS).fetchall() == []
        assert conn.execute(UNINDEXED_FOREIGN_KEYS).fetchall() == []


@pytest.mark.parametrize("role", ["daemon", "service_role", "owner"])
def test_a_statement_that_adds_events_is_announced_once(any_database: Database, role: Role) -> None:
    """Whoever adds events, a listener hears of each statement once, with the largest new id."""
    with any_database.connect("daemon", autocommit=True) as ear, any_database.connect(role) as conn:
        ear.execute("listen specpost_events")
        conn.execute("insert into status_events (phase) select 'BUILD' from generate_series(1, 3)")
        conn.execute("insert into status_events (phase) values ('MERGED')")
        conn.commit()
        heard = [note.payload for note in ear.notifies(timeout=5, stop_after=2)]

    assert heard == ["3", "4"]


def test_a_statement_that_adds_no_event_says_nothing(database: Database) -> None:
    """An insert that found its rows there already wakes nobody."""
    with database.connect("daemon", autocommit=True) as ear, database.connect("daemon") as conn:
        ear.execute("listen specpost_events")
        conn.execute("insert into status_events (id, phase) values (1, 'BUILD')")
        conn.execute("insert into status_events (id, phase) values (1, 'BUILD') on conflict do nothing")
        conn.execute("insert into status_events (id, phase) values (2, 'BUILD')")
        conn.commit()
        heard = [note.payload for note in ear.notifies(timeout=5, stop_after=2)]

    assert heard == ["1", "2"]


def test_the_daemon_can_tell_the_schemas_version(database: Database) -> None:
    """The view in intake tells the daemon, who may not read the history itself, what was applied."""
    with database.connect("daemon") as conn:
        found = conn.execute("select version, name from intake.migrations order by version").fetchall()

    assert found[0] == ("20261122090000", "roles")

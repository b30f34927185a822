"""Mail for tables as they are after years of it: the rows of one mail that was taken, so many times."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg

from tests.bench import ours, processes
from tests.bench.job import expect
from tests.bench.measure import Sample, tell
from tests.bench.posting import Posting, post, poster
from tests.bench.smtp_run import WARM

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from psycopg import Connection

    from db.embedded import Server
    from tests.bench.serving import Stage, Workload
    from tests.fix_daemon import Daemon
    from tests.fix_database import Database

#: Tables of the rows of a mail, and what of a row is another's in each copy ``c``; all else is as it was.
_TABLES = {
    "intake.mails": {
        "id": "c.mail_id",
        "raw_id": "gen_random_uuid()",
        "content_id": "c.mail_id",
        "message_id": "format('<%s.copy@example.org>', c.n)",
        "letter": "case when t.letter is not null then md5(c.n::text) || md5((-c.n)::text) end",
    },
    "intake.arrivals": {"mail_id": "c.mail_id"},
    "intake.parts": {
        "mail_id": "c.mail_id",
        "sha256": "md5(c.n::text) || md5((-c.n)::text)",
        "key": "replace(t.key, t.mail_id::text, c.mail_id::text)",
        "spec_id": "case when t.spec_id is not null then c.spec_id end",
    },
    "public.specs": {
        "id": "c.spec_id",
        "repo": "format('example/tide-table-%s', c.n)",
        "storage_path": "regexp_replace(t.storage_path, '[0-9a-f-]{36}', c.mail_id::text)",
    },
    "public.sprints": {"id": "gen_random_uuid()", "spec_id": "c.spec_id"},
    "public.status_events": {
        "metadata": "t.metadata || jsonb_build_object('spec_id', c.spec_id, 'mail_id', c.mail_id)"
    },
}

#: Ids are by chance, as those that are hashes of a mail: neighbours in time are none in an index.
_COPIES = """
create temporary table copies as
select n, gen_random_uuid() as mail_id, gen_random_uuid() as spec_id from generate_series(1, {copies}) as n
"""
#: What the database numbers itself is left to it.
_COLUMNS = """
select attname from pg_attribute
where attrelid = %s::regclass and attnum > 0 and not attisdropped and attidentity = ''
  and not (attrelid = 'public.status_events'::regclass and attname = 'id')
order by attnum
"""
_ACCEPTED = "select count(*) from intake.mails where verdict = 'accepted'"
_COUNTS = """
select (select count(*) from intake.mails), (select count(*) from specs), (select count(*) from sprints)
"""


@dataclass
class Tables:
    """A database with many specifications; mails from ``first`` on are new to it."""

    database: Database
    first: int = 0


@contextmanager
def filled(postgres: Server, folder: Path, workload: Workload, specs: int) -> Iterator[Tables]:
    """A database with ``specs`` specifications, the first of which was mailed; ``folder`` is made."""
    with ours.migrated(postgres) as database:
        if specs:
            with _running(folder, database) as daemon:
                post(daemon.smtp, Posting(workload, 1))
            tell(f"filling a database with {specs:,} specifications")
            _fill(database, specs)
        yield Tables(database, int(specs > 0))


def run(tables: Tables, stage: Stage, posting: Posting) -> Sample:
    """Post to a new service on the tables; raises DrainError unless each mail was accepted as a new one."""
    before = _accepted(tables.database)
    timed = posting.part(tables.first + WARM, posting.mails)
    with _running(stage.folder / "daemon", tables.database) as daemon:
        post(daemon.smtp, posting.part(tables.first, WARM))
        with poster(daemon.smtp, timed) as ready:
            cpu = processes.cpu()
            ready.post()
            cpu = processes.cpu() - cpu
            report = ready.report()
    tables.first = timed.first + timed.mails
    expect("new mails", _accepted(tables.database) - before, WARM + timed.mails)
    return Sample(timed.mails, report.end - report.start, cpu, report.cpu)


def _running(folder: Path, database: Database) -> AbstractContextManager[Daemon]:
    return ours.running(folder, ours.SMTP + ours.RULE, database)


def _accepted(database: Database) -> int:
    with database.connect() as conn:
        return sum(conn.execute(_ACCEPTED).fetchone())


def _fill(database: Database, specs: int) -> None:
    """Make ``specs`` mails of the one that is there, each with its one specification."""
    with psycopg.connect(database.owner_url) as conn:
        mails, each, sprints = conn.execute(_COUNTS).fetchone() or ()
        expect("mails and specifications to copy", (mails, each), (1, 1))
        conn.execute("set local synchronous_commit = off")
        # Nobody is to be told of each row, and foreign keys are right as they are made.
        conn.execute("set local session_replication_role = replica")
        conn.execute(_COPIES.format(copies=specs - 1))
        for table, changed in _TABLES.items():
            _copy(conn, table, changed)
        expect("rows", conn.execute(_COUNTS).fetchone(), (specs, specs, specs * sprints))
    with psycopg.connect(database.owner_url, autocommit=True) as conn:
        for table in _TABLES:
            conn.execute(f"vacuum analyze {table}")
        conn.execute("checkpoint")


def _copy(conn: Connection, table: str, changed: dict[str, str]) -> None:
    columns = [name for (name,) in conn.execute(_COLUMNS, [table])]
    expect(f"columns of {table} that are none", changed.keys() - columns, set())
    named = ", ".join(f'"{name}"' for name in columns)
    made = ", ".join(changed.get(name, f't."{name}"') for name in columns)
    # The rows of the mail itself, before the copies are among them.
    conn.execute(f"insert into {table} ({named}) select {made} from copies c cross join {table} t")

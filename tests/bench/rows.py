"""Rows in groups of 100 mails, beside pgbench as what PostgreSQL can do; and into tables that are full.

Both write the same rows in one transaction for each group, over one
connection, with the same rights, indexes and triggers, and each commit is on
the disk. Ours come from judged mails, and nothing else is stored of them.
pgbench has one prepared statement for all rows of a group, which are in the
database already: they are copied under new ids, so nothing is made or sent.
"""

from __future__ import annotations

import os
import re
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import psycopg

from daemon.ledger import Ledger
from daemon.outcome import Verdict
from daemon.rates import Rates
from daemon.reading import read
from db import embedded
from db.pool import open_pool
from tests.bench import growth_specs, inside, ours
from tests.bench.case import OURS, Case, Goal
from tests.bench.corpus import WORKLOADS
from tests.bench.job import PER_MAIL, START, expect
from tests.bench.measure import alternate, tell
from tests.bench.processes import run
from tests.fix_database import LOGIN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from psycopg import Connection
    from psycopg_pool import ConnectionPool

    from daemon.mail import Envelope
    from daemon.reading import Defaults, Reading
    from daemon.records import Judged
    from daemon.storage import StoredObject
    from db.embedded import Server
    from tests.bench.case import Scale
    from tests.bench.growth_specs import Tables
    from tests.bench.measure import Sample
    from tests.fix_database import Database

CASES = ("groups", "filled")

PGBENCH = "pgbench"
#: Seconds for pgbench to say its version.
PATIENCE = 30
#: Mails of a group, and how many are written; specifications that are there before.
GROUP = 100
MAILS = {"quick": 1000, "full": 5000}
SPECS = {"quick": (10_000, 100_000), "full": (10_000, 1_000_000)}

WORKLOAD = WORKLOADS["typical"]

_NEW = "md5(t.{}::text || :run)"
_NEW_ID = f"{_NEW}::uuid"
#: Tables that the rows of a group go to, and what of a row is new in each copy.
TABLES = {
    "intake.mails": {
        "id": _NEW_ID,
        "raw_id": _NEW_ID,
        "content_id": _NEW_ID,
        "message_id": _NEW,
        "letter": _NEW,
    },
    "intake.arrivals": {"mail_id": _NEW_ID},
    "intake.parts": {"mail_id": _NEW_ID, "spec_id": _NEW_ID},
    "public.specs": {"id": _NEW_ID},
    "public.sprints": {"id": _NEW_ID, "spec_id": _NEW_ID},
    "public.status_events": {},
}
#: Rows of a mail in each.
ROWS = (1, 1, 3, 1, 3, 2)

#: What the database numbers itself is left to it.
_COLUMNS = """
select attname from pg_attribute
where attrelid = %(table)s::regclass and attnum > 0 and not attisdropped
  and pg_get_serial_sequence(%(table)s::text, attname::text) is null
order by attnum
"""
_TPS = re.compile(r"^tps = ([0-9.]+)", re.MULTILINE)


class Bench:
    """The server, and mails that are read: only writing is measured."""

    def __init__(self, root: Path, postgres: Server, told: Defaults, scale: Scale) -> None:
        self._root, self._postgres, self._told, self._scale = root, postgres, told, scale
        self._read: dict[int, tuple[Envelope, Reading]] = {}
        self._pgbench = str(postgres.bin_dir / "pgbench")
        self.versions = {
            OURS: "this checkout",
            PGBENCH: run([self._pgbench, "--version"], PATIENCE).strip(),
        }
        self.cases = {"groups": self._groups, "filled": self._filled_before}

    def _groups(self) -> Case:
        """Into empty tables, beside pgbench."""
        tell("-- groups")
        groups = self._groups_of(MAILS[self._scale.name])
        runs = {OURS: partial(self._ours, groups), PGBENCH: partial(self._ceiling, groups)}
        return Case("groups", alternate(runs, self._scale.of(3, 5), {}), (Goal(PGBENCH, 0.5),))

    def _filled_before(self) -> Case:
        """Into tables that hold many specifications already."""
        tell("-- filled")
        groups = self._groups_of(MAILS[self._scale.name])
        names = {f"{specs:,} specs": specs for specs in SPECS[self._scale.name]}
        few, *_, many = names
        with ExitStack() as kept:
            runs = {
                name: partial(self._more, kept.enter_context(self._filled(specs)), groups)
                for name, specs in names.items()
            }
            return Case("filled", alternate(runs, self._scale.of(3, 5), {}), (Goal(few, 0.8, many),))

    def _groups_of(self, mails: int) -> int:
        return -(-self._scale.most(mails) // GROUP)

    def _ours(self, groups: int) -> Sample:
        with ours.migrated(self._postgres) as database:
            sample = self._write(database, self._judged(0, groups))
            _expect_rows(database, groups)
        return sample

    def _ceiling(self, groups: int) -> Sample:
        with ours.migrated(self._postgres) as database:
            self._write(database, self._judged(0, 1))
            script = self._root / "group.sql"
            script.write_text(_set_aside(database))
            sample = self._run_pgbench(database, script, groups)
            _expect_rows(database, groups)
        return sample

    def _run_pgbench(self, database: Database, script: Path, groups: int) -> Sample:
        """Its seconds are its own; they begin once it has connected."""
        server, mails = database.server, groups * GROUP
        where = ["-h", str(server.socket_dir), "-p", str(server.port), "-U", LOGIN, database.name]
        how = ["--no-vacuum", "--protocol=prepared", "--client=1", f"--transactions={groups}"]
        said = ""

        def work() -> None:
            nonlocal said
            said = run([self._pgbench, *how, f"--file={script}", *where], START + PER_MAIL * mails)

        os.sync()
        sample = inside.measured(mails, work)
        return replace(sample, seconds=groups / float(_TPS.findall(said)[0]), other_cpu=0)

    def _more(self, tables: Tables, groups: int) -> Sample:
        """Other mails in each round, for what is there already is not written."""
        batches = self._judged(tables.first, groups)
        tables.first += groups * GROUP
        return self._write(tables.database, batches)

    def _filled(self, specs: int) -> AbstractContextManager[Tables]:
        return growth_specs.filled(self._postgres, self._root / f"filled-{specs}", WORKLOAD, specs)

    def _write(self, database: Database, batches: Sequence[Sequence[Judged]]) -> Sample:
        pool = open_pool(database.url)
        try:
            with pool.connection():
                os.sync()
            with inside.as_the_service():
                return inside.measured(sum(map(len, batches)), partial(_commit, pool, batches))
        finally:
            pool.close()

    def _judged(self, first: int, groups: int) -> list[list[Judged]]:
        """New ones each time, for they keep what was made of them."""
        return [self._decided(range(at, at + GROUP)) for at in range(first, first + groups * GROUP, GROUP)]

    def _decided(self, numbers: range) -> list[Judged]:
        for n in numbers:
            if n not in self._read:
                envelope = inside.envelope(WORKLOAD, n)
                self._read[n] = envelope, read(envelope, self._told).without_text()
        return [inside.decided(*self._read[n], self._told) for n in numbers]


def _commit(pool: ConnectionPool[Connection[Any]], batches: Sequence[Sequence[Judged]]) -> None:
    ledger = Ledger(_store_nothing, pool, Rates(None))
    for batch in batches:
        verdicts = {outcome.verdict for outcome in ledger.commit(batch)}
        expect("verdicts", verdicts, {Verdict.ACCEPTED})


def _store_nothing(objects: Iterable[StoredObject]) -> None:
    """Bytes are another bench's."""


def _set_aside(database: Database) -> str:
    """Move the rows of one group to tables that have no indexes; the statement that copies them back."""
    with psycopg.connect(database.owner_url) as conn:
        conn.execute("create schema aside")
        inserts = [_set_table_aside(conn, table, changed) for table, changed in TABLES.items()]
        conn.execute(f"grant usage on schema aside to {LOGIN}")
        conn.execute(f"grant select on all tables in schema aside to {LOGIN}")
        conn.execute(f"truncate {', '.join(TABLES)} cascade")
    with psycopg.connect(database.owner_url, autocommit=True) as conn:
        conn.execute("vacuum analyze")
    *others, last = inserts
    parts = ",\n".join(f"part_{number} as ({insert})" for number, insert in enumerate(others))
    return f"\\set run random(1, 1000000000000)\nwith {parts}\n{last};\n"


def _set_table_aside(conn: Connection[Any], table: str, changed: dict[str, str]) -> str:
    aside = f"aside.{table.partition('.')[2]}"
    columns = [name for (name,) in conn.execute(_COLUMNS, {"table": table})]
    expect(f"columns of {table} that are none", changed.keys() - columns, set())
    named = ", ".join(f'"{name}"' for name in columns)
    made = ", ".join(changed.get(name, 't."{}"').format(name) for name in columns)
    conn.execute(f"create table {aside} as select {named} from {table}")
    return f"insert into {table} ({named}) select {made} from {aside} t"


def _expect_rows(database: Database, groups: int) -> None:
    counts = ", ".join(f"(select count(*) from {table})" for table in TABLES)
    with database.connect("owner") as conn:
        found = conn.execute(f"select {counts}").fetchone()
    expect("rows", found, tuple(groups * GROUP * each for each in ROWS))


@contextmanager
def opened(root: Path, scale: Scale) -> Iterator[Bench]:
    """A bench whose server keeps all under ``root``; a commit is on the disk before it is one."""
    with embedded.running(root / "postgres") as postgres:
        yield Bench(root, postgres, inside.defaults(root), scale)

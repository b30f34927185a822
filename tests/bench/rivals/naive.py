"""The loop that everybody writes first, as a program of its own on a database of its own."""

from __future__ import annotations

import importlib.metadata
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from tests.bench.job import expect
from tests.bench.missing import Missing
from tests.bench.processes import run
from tests.fix_database import new_database

if TYPE_CHECKING:
    from tests.bench.job import Job

NAME = "naive loop"
_PROGRAM = Path(__file__).with_name("naive_loop.py")

_TABLE = """
create table specs (
  id bigint generated always as identity primary key,
  message_id text not null unique, sender text, subject text, repo text not null, raw bytea not null,
  spec jsonb not null
)
"""


def version() -> str:
    """What it is made of; raises Missing."""
    if not find_spec("imapclient"):
        raise Missing(f"{sys.executable} -m pip install imapclient")
    parts = ("imapclient", "mail-parser", "pyyaml", "psycopg")
    return ", ".join(f"{part} {importlib.metadata.version(part)}" for part in parts)


def drain(job: Job) -> None:
    """Read every mail into a row, and flag it as seen."""
    with new_database(job.postgres) as database:
        with psycopg.connect(database.owner_url) as conn:
            conn.execute(_TABLE)
        account = job.account
        where = [account.host, str(account.port), account.user, account.password, database.owner_url]
        run([sys.executable, str(_PROGRAM), *where], job.timeout)
        job.watch.stop()
        with psycopg.connect(database.owner_url) as conn:
            row = conn.execute("select count(*), count(distinct repo) from specs").fetchone()
    expect("rows, and repositories in them", row, (job.mails, job.mails))

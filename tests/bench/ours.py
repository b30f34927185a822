"""The daemon, as its users run it: with a mailbox in its configuration, and a database that was migrated."""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import psycopg

from daemon.settings import Settings
from db.migrate import create_login, migrate
from tests.bench import processes
from tests.bench.corpus import AUTHSERV_ID, SENDER, SPEC_NAME, US, specification
from tests.bench.job import expect, expect_all
from tests.bench.missing import Missing
from tests.bench.processes import DrainError
from tests.fix_daemon import new_daemon
from tests.fix_database import LOGIN, new_database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.bench.dovecot import Account
    from tests.bench.job import Job
    from tests.fix_daemon import Daemon
    from tests.fix_database import Database

NAME = "specpost"
#: Seconds between two looks whether all is done; when it was, the folders tell.
LOOK_EVERY = 0.02
#: Every so many mails, the stored bytes are compared with those that were sent.
COMPARE_EVERY = 20

#: Each mail's signature was found good by the server before us, which is how a mailbox's mail is proven.
CONFIG = f"""\
[smtp]
recipients = ["{US}"]

[imap.specs]
host = "{{account.host}}"
port = {{account.port}}
tls = "none"
user = "{{account.user}}"
password = "{{account.password}}"
folder = "INBOX"
existing = "take"
authserv_id = "{AUTHSERV_ID}"

[senders.bench]
from = ["{SENDER}"]
repos = ["example/*"]
proof = ["authentication-results"]
"""


def version() -> str:
    """Which code it is; raises Missing while the daemon knows no mailboxes."""
    if "imap" not in Settings.model_fields:
        raise Missing("the IMAP source, daemon/sources/imap: this checkout has none")
    return "this checkout"


@contextmanager
def draining(account: Account, database: Database, folder: Path) -> Iterator[Daemon]:
    """The daemon, which empties ``account`` from its start on; its state and its log are in ``folder``.

    This is the one place that knows how it is configured and started.
    """
    folder.mkdir()
    config = folder / "specpost.toml"
    config.write_text(CONFIG.format(account=account))
    with ExitStack() as stack:
        running = new_daemon(folder, SPECPOST_CONFIG=str(config), SPECPOST_DATABASE__URL=database.url)
        try:
            daemon = stack.enter_context(running)
        except AssertionError as error:
            raise DrainError(f"the daemon does not start: {error}") from None
        yield daemon


def drain(job: Job) -> None:
    """Take in every mail: committed rows, stored bytes, moved mails."""
    _take(job, look_at_memory=False)


def drain_watched(job: Job) -> None:
    """The same with a look at its memory: the service and its readers, without PostgreSQL."""
    _take(job, look_at_memory=True)


def _take(job: Job, *, look_at_memory: bool) -> None:
    with new_database(job.postgres) as database:
        with psycopg.connect(database.owner_url) as conn:
            migrate(conn)
            create_login(conn, LOGIN, None)
        with draining(job.account, database, job.folder / "daemon") as daemon:
            if look_at_memory:
                with processes.peak(daemon.process.pid) as most:
                    _await_done(job, daemon)
                job.peak = most[0]
            else:
                _await_done(job, daemon)
            job.watch.stop(at=job.account.changed("Processed"))
        _check(job, database, daemon.state_dir / "storage")


def _await_done(job: Job, daemon: Daemon) -> None:
    """Return when INBOX is empty and all its mails are in Processed.

    The folders say so themselves: to ask the daemon, its database or its
    mail server would cost them time that no rival is asked for.
    """
    deadline = time.monotonic() + job.timeout
    while job.account.count("Processed") < job.mails or job.account.count():
        if time.monotonic() > deadline or daemon.process.poll() is not None:
            raise DrainError(
                f"{job.account.count('Processed')} of {job.mails} mails are moved:"
                f" {daemon.log_file.read_text()[-1000:]}"
            )
        time.sleep(LOOK_EVERY)


def _check(job: Job, database: Database, storage: Path) -> None:
    """See that nothing is missing: rows, bytes, and the place of each mail."""
    with database.connect("owner") as conn:
        expect("verdicts", conn.execute(_VERDICTS).fetchall(), [("accepted", job.mails)])
        expect("specs", conn.execute("select count(distinct repo) from specs").fetchall(), [(job.mails,)])
        raw = dict(conn.execute(_RAW).fetchall())
        specs = dict(conn.execute(_SPECS).fetchall())
    expect("mails left in INBOX", job.account.count(), 0)
    expect("mails in Processed", job.account.count("Processed"), job.mails)
    sample = range(0, job.mails, COMPARE_EVERY)
    expect_all(
        "stored messages differ", ((storage / raw[f"{n}"]).read_bytes() == job.mail(n) for n in sample)
    )
    expect_all(
        "stored specifications differ",
        ((storage / specs[f"{n}"]).read_bytes() == specification(n) for n in sample),
    )


_VERDICTS = "select verdict, count(*) from intake.mails group by verdict order by verdict"
#: Keys in storage by the number of the mail, which its Message-ID begins with.
_KEYS = """
select substring(mails.message_id from '^<?([0-9]+)[.]'), parts.key
from intake.mails join intake.parts on parts.mail_id = mails.id
"""
_RAW = f"{_KEYS} where parts.key like '%/raw.eml'"
_SPECS = f"{_KEYS} where parts.name = '{SPEC_NAME}'"

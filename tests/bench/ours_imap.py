"""The daemon with a mailbox in its configuration, which it empties."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.bench import ours, processes
from tests.bench.corpus import AUTHSERV_ID, US, specification
from tests.bench.found import VERDICTS
from tests.bench.job import expect, expect_all
from tests.bench.processes import DrainError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.bench.dovecot import Account
    from tests.bench.job import Job
    from tests.fix_daemon import Daemon
    from tests.fix_database import Database

#: Seconds between two looks whether all is done; when it was, the folders tell.
LOOK_EVERY = 0.02
#: Every so many mails, the stored bytes are compared with those that were sent.
COMPARE_EVERY = 20

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
"""


def drain(job: Job) -> None:
    """Take in every mail: committed rows, stored bytes, moved mails."""
    _take(job, look_at_memory=False)


def drain_watched(job: Job) -> None:
    """The same with a look at its memory: the service and its readers, without PostgreSQL."""
    _take(job, look_at_memory=True)


def _take(job: Job, *, look_at_memory: bool) -> None:
    with ours.migrated(job.postgres) as database:
        with draining(job.account, database, job.folder / "daemon") as daemon:
            if look_at_memory:
                with processes.peak(daemon.process.pid) as most:
                    _await_done(job, daemon)
                job.peak = most[0]
            else:
                _await_done(job, daemon)
            job.watch.stop(at=job.account.changed("Processed"))
        _check(job, database, daemon.state_dir / "storage")


@contextmanager
def draining(account: Account, database: Database, folder: Path) -> Iterator[Daemon]:
    """The daemon, which empties ``account`` from its start on; its state and its log are in ``folder``."""
    with ours.running(folder, CONFIG.format(account=account) + ours.RULE, database) as daemon:
        yield daemon


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
        expect("verdicts", conn.execute(VERDICTS).fetchall(), [("accepted", job.mails)])
        expect("specs", conn.execute("select count(distinct repo) from specs").fetchall(), [(job.mails,)])
    expect("mails left in INBOX", job.account.count(), 0)
    expect("mails in Processed", job.account.count("Processed"), job.mails)
    raw, specs = ours.stored(database, storage)
    sample = range(0, job.mails, COMPARE_EVERY)
    expect_all("stored messages differ", (raw[n].read_bytes() == job.mail(n) for n in sample))
    expect_all("stored specifications differ", (specs[n].read_bytes() == specification(n) for n in sample))

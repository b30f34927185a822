"""isync's mbsync: it copies a mailbox to a Maildir, pipelined and in C, and reads nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.bench.dovecot import count
from tests.bench.job import expect
from tests.bench.missing import program
from tests.bench.processes import run

if TYPE_CHECKING:
    from tests.bench.job import Job

NAME = "mbsync"
#: Seconds for it to say its version.
PATIENCE = 30
_PACKAGE = "isync"

#: As it ships: FSync is on, and so is pipelining. A message is in the Maildir when it ends.
_CONFIG = """\
IMAPAccount bench
Host {account.host}
Port {account.port}
User {account.user}
Pass {account.password}
SSLType None
AuthMechs LOGIN

IMAPStore far
Account bench

MaildirStore near
Path {folder}/
Inbox {folder}/inbox

Channel bench
Far :far:
Near :near:
Patterns INBOX
Sync Pull
Create Near
SyncState *
"""


def version() -> str:
    """Its own words for it; raises Missing."""
    return run([program("mbsync", _PACKAGE), "--version"], PATIENCE).strip()


def drain(job: Job) -> None:
    """Copy every mail."""
    config = job.folder / "mbsyncrc"
    config.write_text(_CONFIG.format(account=job.account, folder=job.folder))
    run([program("mbsync", _PACKAGE), "--quiet", "--config", str(config), "bench"], job.timeout)
    job.watch.stop()
    expect("mails in the Maildir", count(job.folder / "inbox"), job.mails)

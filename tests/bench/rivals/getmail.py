"""getmail6: it fetches a mailbox mail by mail, and delivers each in a process of its own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from tests.bench.dovecot import count
from tests.bench.job import expect
from tests.bench.missing import program
from tests.bench.processes import run

if TYPE_CHECKING:
    from tests.bench.job import Job

NAME = "getmail6"
#: Seconds for it to say its version.
PATIENCE = 30
_PACKAGE = "getmail6"

#: All mails, and out of the mailbox with each, which costs it nothing to speak of. Once in some thousand
#: deliveries it misses the end of its own child, and gives up after ``timeout`` (usually 180 seconds).
_CONFIG = """\
[retriever]
type = SimpleIMAPRetriever
server = {account.host}
port = {account.port}
username = {account.user}
password = {account.password}
timeout = 15

[destination]
type = Maildir
path = {folder}/box/

[options]
read_all = true
delete = true
verbose = 0
"""


def version() -> str:
    """Its own words for it; raises Missing."""
    return run([program("getmail", _PACKAGE), "--version"], PATIENCE).strip().splitlines()[0]


def drain(job: Job) -> None:
    """Fetch every mail and delete it; as somebody else than root, for whom it delivers nothing."""
    config = job.folder / "getmailrc"
    config.write_text(_CONFIG.format(account=job.account, folder=job.folder))
    for path in (config, *(job.folder / "box" / name for name in ("", "cur", "new", "tmp"))):
        path.exists() or path.mkdir()
        job.owner.take(path)
    command = [program("getmail", _PACKAGE), f"--getmaildir={job.folder}", f"--rcfile={config}"]
    run(command, job.timeout, env=os.environ | {"HOME": str(job.folder)}, cwd=job.folder, **_as(job))
    job.watch.stop()
    expect("mails in the Maildir", count(job.folder / "box"), job.mails)
    expect("mails left in the mailbox", job.account.count(), 0)


def _as(job: Job) -> dict[str, Any]:
    if os.geteuid() == job.owner.uid:
        return {}
    return {"user": job.owner.uid, "group": job.owner.gid, "extra_groups": []}

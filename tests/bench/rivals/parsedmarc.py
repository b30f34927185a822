"""parsedmarc: it drains a mailbox of DMARC reports, which is what it is for; in an environment of its own."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.job import expect
from tests.bench.missing import Missing
from tests.bench.processes import DrainError, run

if TYPE_CHECKING:
    from tests.bench.job import Job

NAME = "parsedmarc"

#: Seconds for pip, which may have to build.
PATIENCE = 600

#: Nobody is asked on the network, and with batch_size = 0 all is done in one go.
_CONFIG = """\
[general]
save_aggregate = True
offline = True
silent = True
output = {folder}/out

[imap]
host = {account.host}
port = {account.port}
user = {account.user}
password = {account.password}
ssl = False

[mailbox]
reports_folder = INBOX
archive_folder = Archive
watch = False
batch_size = 0
"""


def version() -> str:
    """What pip has installed, which it does first if need be; raises Missing."""
    try:
        return run([str(_python()), "-m", "pip", "show", "parsedmarc"], PATIENCE).splitlines()[1]
    except (DrainError, OSError) as error:
        raise Missing(f"{_home()}/bin/pip install parsedmarc ({error})") from None


def _home() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "specpost-bench" / "parsedmarc"


def _python() -> Path:
    """The interpreter of its environment; what it needs would not get along with what we need."""
    home = _home()
    if not (home / "bin" / "parsedmarc").exists():
        run([sys.executable, "-m", "venv", str(home)], PATIENCE)
        run([str(home / "bin" / "pip"), "install", "--quiet", "parsedmarc"], PATIENCE)
    return home / "bin" / "python"


def drain(job: Job) -> None:
    """Read every report, and move its mail to the archive."""
    config = job.folder / "parsedmarc.ini"
    config.write_text(_CONFIG.format(account=job.account, folder=job.folder))
    run([str(_home() / "bin" / "parsedmarc"), "-c", str(config)], job.timeout, cwd=job.folder)
    job.watch.stop()
    expect("mails left in the mailbox", job.account.count(), 0)
    expect("mails in the archive", job.account.count("Archive.Aggregate"), job.mails)
    expect("reports that were read", len(_reports(job.folder / "out")), job.mails)


def _reports(folder: Path) -> set[str]:
    saved = json.loads((folder / "aggregate.json").read_text())
    return {report["report_metadata"]["report_id"] for report in saved}

"""Postfix, which starts a script for each mail (pipe(8)): the usual way to have mail do something."""

from __future__ import annotations

import importlib.metadata
import shutil
import site
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from db.migrate import migrate
from tests.bench.corpus import SPEC_NAME, US
from tests.bench.job import PER_MAIL, START, expect, expect_all
from tests.bench.missing import Missing
from tests.bench.processes import DrainError, run
from tests.bench.rivals import postfix
from tests.bench.rivals.kept import is_kept, message_id, sample
from tests.bench.serving import Service
from tests.fix_database import new_database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from db.embedded import Server
    from tests.bench.serving import Stage
    from tests.fix_database import Database

NAME = "Postfix piping to a script"

_REPO = Path(__file__).resolve().parents[3]
_SCRIPT = "tests.bench.rivals.postfix_pipe_script"
_PARTS = ("mail-parser", "pyyaml", "pydantic", "psycopg")
#: Whom the script runs as: pipe(8) runs nothing as root.
_USER = "nobody"
#: Seconds between two looks whether all is done; the log tells, so that the database is not asked.
LOOK_EVERY = 0.05

#: As it ships, up to 20 scripts run at a time for one destination, and 5 to begin with.
_SETTINGS = {
    "virtual_mailbox_domains": US.partition("@")[2],
    "virtual_mailbox_maps": "static:here",
    "virtual_transport": "script:",
}
_TRANSPORT = """\
script unix - n n - - pipe
  user={user} directory={repo}
  argv={python} -m {script} {url} {folder} ${{sender}} ${{recipient}}
"""

_FOUND = """
select mails.message_id, mails.id::text, specs.repo from intake.mails
join specs on specs.storage_path = mails.id || '/' || %s
"""


def version() -> str:
    """What it is made of; raises Missing."""
    parts = ", ".join(f"{part} {importlib.metadata.version(part)}" for part in _PARTS)
    return f"{postfix.version()}; {_python()}, {parts}"


@contextmanager
def serving(stage: Stage) -> Iterator[Service]:
    """An instance that starts the script for each mail, and a database of their own."""
    files = stage.folder / "files"
    files.mkdir()
    shutil.chown(files, _USER)
    with ExitStack() as stack:
        database = stack.enter_context(new_database(stage.postgres))
        with psycopg.connect(database.owner_url) as conn:
            migrate(conn)
        transport = _TRANSPORT.format(
            user=_USER,
            repo=_REPO,
            python=_python(),
            script=_SCRIPT,
            url=_let_in(stage.postgres, stage.folder / "door").url("postgres", database.name),
            folder=files,
        )
        settings = _SETTINGS | {"export_environment": f"TZ LANG PYTHONPATH={_packages()}"}
        running = stack.enter_context(postfix.running(stage.folder, settings, transport))
        yield Service(
            ("127.0.0.1", running.port),
            running.pid,
            settle=_Deliveries(running.log).await_all,
            check=lambda mails: _check(stage, database, files, mails),
        )


def _python() -> str:
    """An interpreter of this version that the script's user may run, unlike one in somebody's home."""
    import_all = ["-c", f"import {_SCRIPT}"]
    for python in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        try:
            run(
                [python, *import_all],
                postfix.PATIENCE,
                user=_USER,
                extra_groups=[],
                cwd=_REPO,
                env={"PYTHONPATH": _packages()},
            )
        except (OSError, DrainError):
            continue
        return python
    raise Missing(f"a Python 3.{sys.version_info.minor}, and a checkout, that the user {_USER} may read")


def _packages() -> str:
    return ":".join(site.getsitepackages())


def _let_in(server: Server, door: Path) -> Server:
    """The same server by a second name of its socket, in a folder that only the script's user may enter."""
    door.mkdir(mode=0o700)
    shutil.chown(door, _USER)
    (door / server.socket.name).hardlink_to(server.socket)
    server.socket.chmod(0o777)
    return replace(server, socket_dir=door)


@dataclass
class _Deliveries:
    """How many scripts are done, by Postfix's log, which is read on from where it was read to."""

    log: Path
    done: int = 0
    _read: int = field(default=0, init=False)

    def await_all(self, mails: int) -> None:
        """Return when so many scripts have ended well; raises DrainError at the first that did not."""
        deadline = time.monotonic() + START + PER_MAIL * mails
        while self._look() < mails:
            if time.monotonic() > deadline:
                raise DrainError(f"{self.done} of {mails} mails were piped to the script in time")
            time.sleep(LOOK_EVERY)

    def _look(self) -> int:
        with self.log.open("rb") as file:
            file.seek(self._read)
            *lines, _ = file.read().split(b"\n")
        self._read += sum(len(line) + 1 for line in lines)
        for line in lines:
            if b" status=deferred " in line or b" status=bounced " in line:
                raise DrainError(line.decode(errors="replace"))
            self.done += b" status=sent " in line
        return self.done


def _check(stage: Stage, database: Database, files: Path, mails: int) -> None:
    """See that nothing is missing: rows, and the bytes of the messages and of what was attached."""
    with database.connect("owner") as conn:
        found = {row[0]: row[1:] for row in conn.execute(_FOUND, [SPEC_NAME])}
        sprints = conn.execute("select count(distinct spec_id) from sprints").fetchone()
        events = conn.execute("select count(*) from status_events").fetchone()
    sent = [stage.workload.mail(n) for n in range(mails)]
    expect("mails with a specification", len(found), mails)
    expect("repositories", len({repo for _, repo in found.values()}), mails)
    expect("specifications with sprints, and events", (sprints, events), ((mails,), (mails,)))
    expect_all("mails are not in the database", (message_id(mail) in found for mail in sent))
    folders = {n: files / found[message_id(sent[n])][0] for n in sample(mails)}
    expect_all(
        "stored messages differ",
        (is_kept((folder / "raw.eml").read_bytes(), sent[n]) for n, folder in folders.items()),
    )
    expect_all(
        "stored specifications differ",
        (
            (folder / SPEC_NAME).read_bytes() == stage.workload.specification(n)
            for n, folder in folders.items()
        ),
    )

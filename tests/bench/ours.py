"""The daemon, as its users run it: with a rule who may send, and a database that was migrated."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING

import psycopg

from db.migrate import create_login, migrate
from tests.bench.case import OURS
from tests.bench.corpus import AUTHSERV_ID, SENDER, SPEC_NAME, US
from tests.bench.found import NUMBER, expect_files, expect_rows
from tests.bench.processes import DrainError
from tests.bench.serving import Service, at_once
from tests.fix_daemon import new_daemon
from tests.fix_database import LOGIN, new_database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from db.embedded import Server
    from tests.bench.serving import Stage, Workload
    from tests.fix_daemon import Daemon
    from tests.fix_database import Database

NAME = OURS
#: The system gives a port.
ANYWHERE = "127.0.0.1:0"

#: Each mail's signature was found good by the server before us, which is how a mail of the bench is proven.
RULE = f"""
[senders.bench]
from = ["{SENDER}"]
repos = ["example/*"]
proof = ["authentication-results"]
"""
SMTP = f"""
[smtp]
recipients = ["{US}"]
relays = ["127.0.0.1"]
authserv_id = "{AUTHSERV_ID}"
"""


def version() -> str:
    """Which code it is."""
    return "this checkout"


@contextmanager
def migrated(server: Server) -> Iterator[Database]:
    """A new database with our tables, and with the daemon's login."""
    with new_database(server) as database:
        with psycopg.connect(database.owner_url) as conn:
            migrate(conn)
            create_login(conn, LOGIN, None)
        yield database


@contextmanager
def running(
    folder: Path, config: str, database: Database, *, listen: str = ANYWHERE, **variables: str
) -> Iterator[Daemon]:
    """The daemon with ``config``; its state and its log are in ``folder``, which is made.

    ``variables`` are more of its configuration, as SPECPOST_TABLE__KEY. This
    is the one place that knows how it is started.
    """
    folder.mkdir()
    file = folder / "specpost.toml"
    file.write_text(config)
    own = {"SPECPOST_CONFIG": str(file), "SPECPOST_DATABASE__URL": database.url} | variables
    with ExitStack() as stack:
        try:
            daemon = stack.enter_context(new_daemon(folder, listen=listen, **own))
        except AssertionError as error:
            raise DrainError(f"the daemon does not start: {error}") from None
        yield daemon


@contextmanager
def serving(stage: Stage, config: str = "", *, listen: str = ANYWHERE, **variables: str) -> Iterator[Service]:
    """The daemon on a database of its own; its 250 means that all is done."""
    with (
        migrated(stage.postgres) as database,
        running(
            stage.folder / "daemon", SMTP + RULE + config, database, listen=listen, **variables
        ) as daemon,
    ):
        yield service(daemon, database, stage.workload)


def service(daemon: Daemon, database: Database, workload: Workload) -> Service:
    """A daemon that runs, as the bench takes it."""
    storage = daemon.state_dir / "storage"
    return Service(
        daemon.smtp,
        daemon.process.pid,
        settle=at_once,
        check=partial(check, database, storage, workload),
    )


def check(database: Database, storage: Path, workload: Workload, mails: int) -> None:
    """See that nothing is missing: rows, and every stored byte."""
    expect_rows(database, workload, mails, ["SPEC_RECEIVED", "PLANNING"])
    expect_files(workload, mails, *stored(database, storage))


def stored(database: Database, storage: Path) -> tuple[dict[int, Path], dict[int, Path]]:
    """The files of the messages, and of their specifications, by the numbers of the mails."""
    with database.connect("owner") as conn:
        raw, specs = (
            {n: storage / key for n, key in conn.execute(f"{_KEYS} where {which}")}
            for which in ("parts.place = 'raw'", f"parts.name = '{SPEC_NAME}'")
        )
    return raw, specs


_KEYS = f"select {NUMBER}, parts.key from intake.mails join intake.parts on parts.mail_id = mails.id"

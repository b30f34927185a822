"""The handler that everybody writes first: our whole job, mail by mail, in aiosmtpd."""

from __future__ import annotations

import importlib.metadata
import sys
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from tests.bench import ours
from tests.bench.corpus import SPEC_NAME
from tests.bench.found import NUMBER, expect_files, expect_rows
from tests.bench.rivals.aiosmtpd_null import SERVER
from tests.bench.rivals.launched import HOST, launched
from tests.bench.serving import Service, at_once
from tests.fix_postfix import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.bench.serving import Stage, Workload
    from tests.fix_database import Database

NAME = "naive handler"
_PARTS = ("aiosmtpd", "mail-parser", "pyyaml", "pydantic", "psycopg")


def version() -> str:
    """What it is made of."""
    return ", ".join(f"{part} {importlib.metadata.version(part)}" for part in _PARTS)


@contextmanager
def serving(stage: Stage) -> Iterator[Service]:
    """A process with one connection to a database like ours; its 250 means that all is done."""
    port, files = free_port(), stage.folder / "files"
    files.mkdir()
    with ours.migrated(stage.postgres) as database:
        command = [sys.executable, "-m", SERVER, str(port), database.url, str(files)]
        with launched(command, port, stage.folder / "log") as pid:
            check = partial(_check, database, files, stage.workload)
            yield Service((HOST, port), pid, settle=at_once, check=check)


def _check(database: Database, files: Path, workload: Workload, mails: int) -> None:
    """See that nothing is missing: rows, and every stored byte."""
    expect_rows(database, workload, mails, ["SPEC_RECEIVED"])
    with database.connect("owner") as conn:
        folders = {n: files / folder for n, folder in conn.execute(_FOLDERS)}
    raw, specs = ({n: folder / name for n, folder in folders.items()} for name in ("raw.eml", SPEC_NAME))
    expect_files(workload, mails, raw, specs)


_FOLDERS = f"select {NUMBER}, id::text from intake.mails"

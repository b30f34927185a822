"""PostgreSQL servers that live as long as the test session."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from db.embedded import Server, running
from tests.parts import need

if TYPE_CHECKING:
    from collections.abc import Iterator

DEBIAN_15 = Path("/usr/lib/postgresql/15/bin")

#: A test's data need not survive the machine.
QUICK = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The embedded server, as the daemon brings it along."""
    with running(tmp_path_factory.mktemp("postgres"), options=QUICK) as server:
        yield server


@pytest.fixture(scope="session")
def debian_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The oldest PostgreSQL we promise to work with, started by the same launcher."""
    need((DEBIAN_15 / "postgres").exists(), "apt-get install postgresql-15")
    with running(tmp_path_factory.mktemp("postgres-15"), bin_dir=DEBIAN_15, options=QUICK) as server:
        yield server

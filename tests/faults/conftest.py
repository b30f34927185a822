"""What the faults share: servers of their own, and laboratories."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.faults.lab import new_lab
from tests.faults.server import new_server
from tests.fix_database import new_database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from db.embedded import Server
    from tests.faults.lab import NewLab
    from tests.faults.server import OwnServer
    from tests.fix_database import Database


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnServer]:
    """A server to break; the test leaves it running."""
    with new_server(tmp_path_factory.mktemp("own")) as own:
        yield own


@pytest.fixture
def own_database(own_server: OwnServer, migrated: Callable[[Server], str]) -> Iterator[Database]:
    """A migrated database on the server that is broken."""
    with new_database(own_server.server, migrated(own_server.server)) as made:
        yield made


@pytest.fixture
def lab(tmp_path: Path, record_property: Callable[[str, object], None]) -> NewLab:
    """What opens a lab, as ``new_lab`` has it; its figures are told when all is over."""
    return partial(new_lab, tmp_path / "lab", tell=partial(record_property, "figures"))


@pytest.fixture
def rounds(request: pytest.FixtureRequest) -> int:
    """How often the random faults strike."""
    return int(request.config.getoption("--rounds"))

"""Several services on one port, which share the database and the storage."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from tests.bench import ours
from tests.bench.serving import Service, at_once
from tests.fix_postfix import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.serving import Stage

#: What lets several listen on one port; the kernel deals connections out (socket(7), SO_REUSEPORT).
SETTING = "reuse_port"


@contextmanager
def serving(services: int, stage: Stage) -> Iterator[Service]:
    """So many daemons; ``pid`` is the first one's."""
    address, storage = ("127.0.0.1", free_port()), stage.folder / "storage"
    shared = {"SPECPOST_SMTP__REUSE_PORT": "true", "SPECPOST_STORAGE__URL": f"file:{storage}"}
    with ours.migrated(stage.postgres) as database, ExitStack() as running:
        daemons = [
            running.enter_context(
                ours.running(
                    stage.folder / f"daemon-{n}",
                    ours.SMTP + ours.RULE,
                    database,
                    listen="{}:{}".format(*address),
                    **shared,
                )
            )
            for n in range(services)
        ]
        check = partial(ours.check, database, storage, stage.workload)
        yield Service(address, daemons[0].process.pid, settle=at_once, check=check)

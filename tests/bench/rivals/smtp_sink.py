"""Postfix's smtp-sink, which throws all mail away, in C: as much as our load generator can do."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.bench.missing import program
from tests.bench.processes import run
from tests.bench.rivals.launched import HOST, PATIENCE, launched
from tests.bench.serving import Service, at_once
from tests.fix_postfix import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.serving import Stage

NAME = "smtp-sink"
#: Connections that may wait to be accepted.
_BACKLOG = "256"


def version() -> str:
    """Postfix's own words for it; raises Missing."""
    program("smtp-sink", "postfix")
    return f"Postfix {run([program('postconf', 'postfix'), '-dh', 'mail_version'], PATIENCE).strip()}"


@contextmanager
def serving(stage: Stage) -> Iterator[Service]:
    """A process that keeps nothing, so that there is nothing to check."""
    port = free_port()
    plain_user = ["-u", "nobody"] if os.geteuid() == 0 else []  # it refuses to be root
    command = [program("smtp-sink", "postfix"), *plain_user, f"{HOST}:{port}", _BACKLOG]
    with launched(command, port, stage.folder / "log") as pid:
        yield Service((HOST, port), pid, settle=at_once, check=at_once)

"""aiosmtpd with a handler that does nothing: what taking mail costs in Python before any of the work."""

from __future__ import annotations

import importlib.metadata
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.bench.rivals.launched import HOST, launched
from tests.bench.serving import Service, at_once
from tests.fix_postfix import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.serving import Stage

NAME = "aiosmtpd doing nothing"
SERVER = "tests.bench.rivals.aiosmtpd_server"


def version() -> str:
    """Which release."""
    return f"aiosmtpd {importlib.metadata.version('aiosmtpd')}"


@contextmanager
def serving(stage: Stage) -> Iterator[Service]:
    """A process that keeps nothing, so that there is nothing to check."""
    port = free_port()
    with launched([sys.executable, "-m", SERVER, str(port)], port, stage.folder / "log") as pid:
        yield Service((HOST, port), pid, settle=at_once, check=at_once)

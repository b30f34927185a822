"""Postfix's smtp-source: another load generator, so that ours need not be believed on its own word."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.bench.corpus import SENDER, TYPICAL_BYTES, US
from tests.bench.missing import program
from tests.bench.processes import run
from tests.bench.rivals import smtp_sink

if TYPE_CHECKING:
    from tests.bench.posting import Posting

NAME = "smtp-source"


def version() -> str:
    """Postfix's own words for it; raises Missing."""
    program("smtp-source", "postfix")
    return smtp_sink.version()


def post(address: tuple[str, int], posting: Posting) -> float:
    """The seconds that as many mails take it, of the same size, over as many connections that are kept."""
    host, port = address
    what = [f"-m{posting.mails}", f"-s{posting.sessions}", f"-l{TYPICAL_BYTES}", f"-f{SENDER}", f"-t{US}"]
    begin = time.monotonic()
    run([program("smtp-source", "postfix"), "-d", *what, f"{host}:{port}"], posting.timeout)
    return time.monotonic() - begin

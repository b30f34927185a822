"""A second real IMAP server, pymap, which agrees with Dovecot on little but the standard.

It has no namespaces, begins UIDs at 101, gives them last in a FETCH, and
keeps every octet of a mail.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.fix_dovecot import PATIENCE, Account, free_port, greets
from tests.parts import need

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAIN = "from pymap.main import main; main()"
_OPTIONS = "--host 127.0.0.1 --no-tls --no-service managesieve --port"


@contextmanager
def new_pymap() -> Iterator[Account]:
    """A server that is up, with one user and an empty INBOX in its memory."""
    need(importlib.util.find_spec("pymap"), "pip install -e '.[test]'")
    account = Account(("127.0.0.1", free_port()), "ana")
    backend = ["dict", "--demo-user", account.user, "--demo-password", account.password]
    process = subprocess.Popen(
        [sys.executable, "-c", _MAIN, *_OPTIONS.split(), str(account.address[1]), *backend],
        stdout=subprocess.DEVNULL,
    )
    try:
        _await_greeting(process, account.address)
        yield account
    finally:
        process.terminate()
        process.wait(PATIENCE)


@pytest.fixture
def pymap() -> Iterator[Account]:
    """The only user of a server that only this test has."""
    with new_pymap() as account:
        yield account


def _await_greeting(process: subprocess.Popen[bytes], address: tuple[str, int]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not greets(*address):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)

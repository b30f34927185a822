"""The bucket refuses, is overrun, falls silent, or is gone."""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.fix_daemon import specpost
from tests.fix_dovecot import free_port
from tests.fix_s3 import BUCKET, PREFIX, refusal
from tests.proxy import Proxy, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tests.faults.lab import Lab
    from tests.fix_database import Database
    from tests.fix_s3 import S3

    NewLab = Callable[..., AbstractContextManager[Lab]]

pytestmark = pytest.mark.faults

#: Seconds in which senders are told to come again: thrice what a server has that is there and says nothing.
SOON = 3 * 12


def fetch(s3: S3, running: Lab) -> None:
    """Put all that lies in the bucket where the audit looks; nothing is under way."""
    for key, content in s3.backend.buckets[BUCKET].keys.items():
        path = running.storage / key.removeprefix(PREFIX)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.value)


def settle(s3: S3, running: Lab) -> None:
    """As the lab does."""
    running.sender.finish()
    fetch(s3, running)
    running.settle()


REFUSALS = {
    "500": refusal("500 Internal Server Error", "InternalError"),
    "503": refusal("503 Slow Down", "SlowDown"),
    "403": refusal("403 Forbidden", "AccessDenied"),
    "no words": ("502 Bad Gateway", [("Content-Type", "text/html")], b"<html>no</html>"),
}


def test_a_bucket_that_refuses(lab: NewLab, database: Database, s3: S3) -> None:
    """A bucket that answers 500, 503 or 403, always or now and then, defers mails until it doesn't."""
    with lab(database, env=s3.variables()) as running:
        running.sender.keep_busy()
        for answer in REFUSALS.values():
            running.sender.await_taken(10)
            s3.gate.trouble = lambda _, answer=answer: answer
            running.sender.await_answer(451, within=SOON)
            s3.gate.heal()
            running.sender.await_taken(10)
            turns = iter(range(1_000_000))
            s3.gate.trouble = lambda _, answer=answer, turns=turns: None if next(turns) % 5 else answer
            running.sender.await_taken(5)
            s3.gate.heal()
        settle(s3, running)

        assert running.unit.ends == [0]
        assert running.events()["storage up"] >= len(REFUSALS)


@contextmanager
def way(s3: S3, port: int) -> Iterator[Proxy]:
    """A way to the bucket that is there for a while."""
    proxy = Proxy((s3.host, s3.port), 0.0, port=port)
    with serving(proxy):
        yield proxy


def test_a_bucket_that_is_not_there(lab: NewLab, database: Database, s3: S3) -> None:
    """A bucket that is away, cut off, or never answers defers mails within seconds until it is back."""
    port = free_port()
    with (
        ExitStack() as there,
        lab(database, env=s3.variables(endpoint=f"http://127.0.0.1:{port}")) as running,
    ):
        there.enter_context(way(s3, port))
        running.sender.keep_busy()
        running.sender.await_taken(10)
        there.close()
        running.sender.await_answer(451, within=SOON)

        proxy = there.enter_context(way(s3, port))
        for _ in range(10):
            running.sender.await_taken(3)
            proxy.drop()
        running.sender.await_taken(10)

        proxy.black_hole()
        asked = time.monotonic()
        running.sender.await_answer(451, within=SOON)
        assert time.monotonic() - asked < SOON
        proxy.heal()
        running.sender.await_taken(10)
        settle(s3, running)

        assert running.unit.ends == [0]


def test_a_bucket_that_lies(lab: NewLab, database: Database, s3: S3) -> None:
    """A bucket that has other bytes than it was given is found out by who asks for a mail."""
    with lab(database, env=s3.variables()) as running:
        running.sender.post(running.take(5))
        settle(s3, running)
        env = dict(running.unit.env)
        ((mail, message),) = running.rows("select id::text, message_id from intake.mails limit 1")
        whole = specpost("export", mail, env=env)
        assert (whole.returncode, whole.stdout.encode()) == (0, running.sender.letters[message].raw)

        (raw,) = [key for key in s3.backend.buckets[BUCKET].keys if f"{mail}/raw.eml" in key]
        stored = s3.backend.buckets[BUCKET].keys[raw]
        stored.value = stored.value.replace(b"Ana", b"Eve")
        lied = specpost("export", mail, env=env)
        assert (lied.returncode, lied.stdout) == (1, "")
        assert "these are not the bytes that were stored" in lied.stderr

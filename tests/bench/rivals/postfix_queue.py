"""Postfix, which takes mail into its queue and leaves it there: what it costs to be a mail server at all."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.bench.job import expect, expect_all
from tests.bench.rivals import postfix
from tests.bench.rivals.kept import is_kept, message_id, sample
from tests.bench.serving import Service, at_once

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.rivals.postfix import Postfix
    from tests.bench.serving import Stage, Workload

NAME = "Postfix queueing"

#: An answer means that the queue file is synced, as it ships. All mail is held, so nothing but that is done;
#: and as nothing ever leaves, nobody is made to wait until something does.
_SETTINGS = {"smtpd_client_restrictions": "check_client_access static:HOLD", "in_flow_delay": "0"}

_QUEUED = re.compile(r"/cleanup\[\d+\]: (\w+): message-id=(<[^>]+>)")


def version() -> str:
    """Which one it is; raises Missing."""
    return postfix.version()


@contextmanager
def serving(stage: Stage) -> Iterator[Service]:
    """An instance that holds all it takes."""
    with postfix.running(stage.folder, _SETTINGS) as running:
        yield Service(
            ("127.0.0.1", running.port),
            running.pid,
            settle=at_once,
            check=lambda mails: _check(running, stage.workload, mails),
        )


def _check(running: Postfix, workload: Workload, mails: int) -> None:
    queued = {found[2]: found[1] for found in _QUEUED.finditer(running.log.read_text())}
    held = {file.name for file in (running.queue / "hold").iterdir()}
    expect("mails in the queue", len(held), mails)
    sent = [workload.mail(n) for n in range(mails)]
    expect_all("mails are not in the queue", (queued.get(message_id(mail)) in held for mail in sent))
    expect_all(
        "messages in the queue differ",
        (is_kept(_message(running, queued[message_id(sent[n])]), sent[n]) for n in sample(mails)),
    )


def _message(running: Postfix, queue_id: str) -> bytes:
    return running.run("postcat", "-bhq", queue_id).encode()

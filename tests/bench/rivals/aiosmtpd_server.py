"""aiosmtpd as its manual shows it, with a handler that does nothing or all: a process of its own.

``python -m tests.bench.rivals.aiosmtpd_server PORT [DATABASE_URL FOLDER]``
"""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, Any

from aiosmtpd.controller import Controller

from tests.bench.rivals.launched import HOST
from tests.bench.rivals.naive_job import NaiveJob

if TYPE_CHECKING:
    from aiosmtpd.smtp import Envelope

_TAKEN = "250 Message accepted for delivery"


class Nothing:
    """Takes each mail and forgets it."""

    async def handle_DATA(self, *_: Any) -> str:  # noqa: N802 - aiosmtpd's
        """Say yes."""
        return _TAKEN


class Naive:
    """Does the whole job for each mail, one after the other, as it is written down."""

    def __init__(self, job: NaiveJob) -> None:
        self._job = job

    async def handle_DATA(self, _server: object, _session: object, envelope: Envelope) -> str:  # noqa: N802
        """Say yes when all is done and durable."""
        self._job.do(envelope.content, envelope.mail_from, envelope.rcpt_tos)
        return _TAKEN


def main(port: str, *job: str) -> None:
    """Serve until SIGTERM; its name spares it a question to the DNS for each connection."""
    handler = Naive(NaiveJob(*job)) if job else Nothing()
    controller = Controller(handler, hostname=HOST, port=int(port), server_hostname="mx.example.net")
    controller.start()
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    controller.stop()


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    main(*sys.argv[1:])

"""The house without its doors: readers, storage and database, joined as the service joins them."""

from __future__ import annotations

import os
import signal
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from daemon.child import Limits
from daemon.intake import Intake
from daemon.ledger import Ledger
from daemon.mail import Addresses, Envelope
from daemon.proving import Prover
from daemon.rates import Rates
from daemon.readers import Readers
from daemon.reading import Defaults
from daemon.resolver import Resolver
from daemon.settings import DefaultDod
from daemon.spec.target import Hint
from daemon.storage.files import FileStorage
from db.pool import open_pool

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import psycopg
    from psycopg_pool import ConnectionPool

    from daemon.ledger import Put
    from daemon.outcome import Outcome
    from tests.fix_database import Database

#: Seconds a test waits for what takes well under one, on a machine that has other work too.
PATIENCE = 60

US = "specs@example.net"

#: The counts of a house that has taken nothing.
NOTHING = {"mails": 0, "arrivals": 0, "parts": 0, "specs": 0, "sprints": 0, "status_events": 0}

SPEC = """\
meta:
  project: tides
  repo: example/tides
planning:
  epics:
    - id: E1
      sprints:
        - id: S1
          goals: ["the tide, à l'heure 🌊"]
          user_stories:
            - {id: US1, as: skipper, want: the tide, so_that: I can leave, acceptance: [it is right]}
        - id: S2
          goals: [a page]
          dod: {coverage_min: 0.9}
"""


def spec_for(repo: str) -> str:
    """A small specification for ``repo``."""
    return SPEC.replace("example/tides", repo)


def a_mail(*files: tuple[str, str | bytes], **headers: str) -> bytes:
    """A message with ``files`` attached, by default a ``spec.yaml``; ``headers`` replace the usual ones."""
    message = EmailMessage(policy=SMTP)
    usual = {
        "From": "Ana <ana@example.org>",
        "To": US,
        "Subject": "tides",
        "Date": "Sun, 22 Nov 2026 10:00:00 +0000",
        "Message-ID": "<tides@example.org>",
    }
    for name, value in (usual | {key.replace("_", "-"): value for key, value in headers.items()}).items():
        message[name] = value
    message.set_content("Please build this.\n")
    for name, content in files or (("spec.yaml", SPEC),):
        data = content.encode() if isinstance(content, str) else content
        message.add_attachment(data, "application", "octet-stream", filename=name)
    return message.as_bytes()


def an_envelope(raw: bytes | None = None, **changes: Any) -> Envelope:
    """``raw`` as it comes from an honest sender on this machine."""
    usual = {
        "raw": a_mail() if raw is None else raw,
        "source": "smtp",
        "peer": "127.0.0.1",
        "mail_from": "ana@example.org",
        "rcpt_to": (US,),
        "received_at": datetime.now(UTC),
    }
    return Envelope(**(usual | changes))


class Trapped(Addresses):
    """Our addresses, whose tags do to the child that reads them what hostile bytes might."""

    __slots__ = ()

    def route(self, address: str) -> str | None:
        """Spring the trap that the tag names."""
        match address.partition("+")[2].partition("@")[0]:
            case "hang":
                time.sleep(60)
            case "slow":
                time.sleep(0.5)
            case "spin":
                signal.pthread_sigmask(signal.SIG_BLOCK, [])
                while True:
                    pass
            case "crash":
                os.kill(os.getpid(), signal.SIGSEGV)
            case "memory":
                bytearray(2 << 30)
            case "write":
                path = Path(f"/tmp/specpost-{os.getpid()}")  # noqa: S108 - tempfile would write to try
                try:
                    path.write_bytes(b"x")
                finally:
                    path.unlink()
            case "quote":
                raise ValueError("\0\ud800")
            case "raise":
                raise ZeroDivisionError
        return super().route(address)


DEFAULTS = Defaults(Trapped(frozenset({US})), Hint(None, "main"), DefaultDod())
LIMITS = Limits(processes=2, deadline=0.3, slow_deadline=1.0)


@contextmanager
def new_readers(limits: Limits = LIMITS, defaults: Defaults = DEFAULTS) -> Iterator[Readers]:
    """Readers that end with the context."""
    made = Readers(defaults, limits)
    try:
        made.start()
        yield made
    finally:
        made.close()


@pytest.fixture(scope="session")
def readers() -> Iterator[Readers]:
    """Readers for all tests that leave them in peace."""
    with new_readers() as made:
        yield made


@dataclass
class House:
    """An intake with a look at what it leaves behind."""

    intake: Intake
    storage: FileStorage
    database: Database
    owner: psycopg.Connection[Any] = field(init=False)

    def __post_init__(self) -> None:
        self.owner = self.database.connect("owner", autocommit=True)

    def take(self, raw: bytes | None = None, **changes: Any) -> Outcome:
        """What becomes of one mail."""
        return self.intake.take(an_envelope(raw, **changes)).result(PATIENCE)

    def rows(self, query: str, *params: Any) -> list[Any]:
        """What a query finds, as the owner sees it."""
        return self.owner.execute(query.encode(), params or None).fetchall()

    def await_locked(self) -> None:
        """Return when somebody waits for a lock in the database."""
        deadline = time.monotonic() + PATIENCE
        while not self.rows("select from pg_locks where not granted"):
            assert time.monotonic() < deadline

    def counts(self) -> Mapping[str, int]:
        """How many rows there are in each table that the intake writes."""
        names = ("intake.mails", "intake.arrivals", "intake.parts", "specs", "sprints", "status_events")
        return {name.split(".")[-1]: self.rows(f"select count(*) from {name}")[0][0] for name in names}


@contextmanager
def new_intake(  # noqa: PLR0913 - what tests vary
    readers: Readers,
    put: Put,
    pool: ConnectionPool[Any],
    *,
    defaults: Defaults = DEFAULTS,
    dns: Sequence[tuple[str, int]] = (),
    timeout: float = 10.0,
    rates: Rates | None = None,
) -> Iterator[Intake]:
    """An intake, joined as the service joins it; ``defaults`` are those of the readers."""
    resolver = Resolver(dns, timeout)
    prover = Prover(readers, defaults, resolver, timeout)
    resolver.start()
    intake = Intake(readers, prover, Ledger(put, pool, rates or Rates(None)))
    with closing(intake), closing(prover), closing(resolver):
        yield intake


@contextmanager
def new_house(readers: Readers, database: Database, root: Path, **gate: Any) -> Iterator[House]:
    """The intake on ``database`` with its storage under ``root``; ``gate`` is as of ``new_intake``."""
    with (
        closing(FileStorage(root)) as storage,
        open_pool(database.url, size=2) as pool,
        new_intake(readers, storage.put, pool, **gate) as intake,
    ):
        house = House(intake, storage, database)
        with closing(house.owner):
            yield house


@pytest.fixture
def house(readers: Readers, database: Database, tmp_path: Path) -> Iterator[House]:
    """An intake on a database of its own."""
    with new_house(readers, database, tmp_path / "storage") as made:
        yield made

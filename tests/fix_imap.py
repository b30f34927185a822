"""The daemon beside a real mail server: a mailbox that it watches, and a look at what it makes of it."""

from __future__ import annotations

import json
import os
import time
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from daemon.credentials import Password
from daemon.mailboxes import Leases, Owner, Register
from daemon.outcome import Verdict
from daemon.sources.imap.account import Account
from daemon.sources.imap.mailbox import Hands
from daemon.sources.imap.watch import Watch
from db.pool import open_pool
from tests.fix_daemon import new_daemon
from tests.fix_house import PATIENCE, a_mail

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests import fix_dovecot
    from tests.fix_daemon import Daemon
    from tests.fix_database import Database
    from tests.fix_house import House

#: What the server of a mailbox writes on top of a mail whose sender it has proven.
PROVEN = b"Authentication-Results: mx.example.net; dkim=pass header.d=example.org\r\n"

SENDERS = {"team": {"from": ["*@example.org"], "repos": ["example/*"], "proof": ["authentication-results"]}}


def a_letter(number: int = 1, *files: tuple[str, str | bytes], **headers: str) -> bytes:
    """A mail with a specification, as it lies in a mailbox; another ``number`` is another mail."""
    return PROVEN + a_mail(*files, **{"Message_ID": f"<{number}@example.org>"} | headers)


def an_account(box: fix_dovecot.Account, **changes: Any) -> dict[str, Any]:
    """The configuration of a mailbox."""
    host, port = box.address
    usual = {
        "host": host,
        "port": port,
        "tls": "none",
        "user": box.user,
        "password": box.password,
        "authserv_id": "mx.example.net",
    }
    return usual | changes


def toml(**tables: Any) -> str:
    """A configuration; JSON's values are TOML's, but for the tables."""
    return "\n".join(_table((name,), table) for name, table in tables.items())


def _table(key: tuple[str, ...], table: dict[str, Any]) -> str:
    plain = {name: value for name, value in table.items() if not isinstance(value, dict)}
    lines = [f"[{'.'.join(key)}]", *(f"{name} = {json.dumps(value)}" for name, value in plain.items())]
    below = [_table((*key, name), value) for name, value in table.items() if isinstance(value, dict)]
    return "\n".join(lines + below)


@contextmanager
def watching(
    folder: Path, database: Database, boxes: dict[str, dict[str, Any]], **variables: str
) -> Iterator[Daemon]:
    """A daemon that watches ``boxes``, by their accounts' names; what it says is in its log."""
    folder.mkdir(exist_ok=True)
    configuration = folder / "specpost.toml"
    configuration.write_text(toml(imap=boxes, senders=SENDERS))
    settings = {"SPECPOST_DATABASE__URL": database.url, "SPECPOST_CONFIG": os.fspath(configuration)}
    with new_daemon(folder, **settings | variables) as daemon:
        yield daemon


@dataclass
class Rows:
    """What is in the database by now."""

    database: Database

    def of(self, query: str) -> list[Any]:
        """What a query finds, as the owner sees it."""
        with self.database.connect("owner", autocommit=True) as conn:
            return conn.execute(query.encode()).fetchall()


@pytest.fixture
def rows(database: Database) -> Rows:
    """A look into the database of the test."""
    return Rows(database)


@dataclass
class Watched:
    """A mailbox that is watched within the test's own process, so that a test can reach into the watch."""

    house: House
    watch: Watch
    leases: Leases
    end: Callable[[], None]
    """Stop watching, and give the lease back; may be called again."""

    def await_look(self, times: int = 1) -> None:
        """Return once the mailbox was looked through so often from now on."""
        for _ in range(times):
            before = self.watch._looked_at
            _await(lambda before=before: self.watch._looked_at != before, self.watch.status)

    def await_status(self, words: str) -> None:
        """Return once it says ``words``."""
        _await(lambda: words in self.watch.status(), self.watch.status)

    def await_arrivals(self, count: int) -> list[tuple[int, str]]:
        """Return once so many slots are done: UID and verdict of each, by UID."""
        _await(lambda: len(self.arrivals()) >= count, lambda: f"{self.arrivals()}, {self.watch.status()}")
        return self.arrivals()

    def arrivals(self) -> list[tuple[int, str]]:
        """UID and verdict of each slot that is done."""
        return self.house.rows(
            "select uid, verdict from intake.arrivals where uid is not null order by uid, id"
        )


def _await(happened: Callable[[], bool], tell: Callable[[], str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, tell()
        time.sleep(0.02)


def account_of(box: Any, **changes: Any) -> Account:
    """The account of ``box``, a user of some server, or a server with a single user."""
    host, port = getattr(box, "address", None) or (box.host, box.port)
    usual = {
        "name": "specs",
        "host": host,
        "port": port,
        "tls": "none",
        "user": getattr(box, "user", "ana"),
        "credentials": lambda: Password("secret"),
        "folder": "INBOX",
        "take_existing": False,
        "filed": {
            Verdict.ACCEPTED: "Processed",
            Verdict.DUPLICATE: "Processed",
            Verdict.REJECTED: "Rejected",
            Verdict.HELD: "Held",
        },
        "idle": 240.0,
        "poll": 120.0,
        "max_size": 25 << 20,
    }
    return Account(**(usual | changes))


@contextmanager
def watched(house: House, folder: Path, account: Account, hands: Hands | None = None) -> Iterator[Watched]:
    """A watch over ``account``, whose mails ``house`` takes in."""
    intake = house.intake
    with (
        open_pool(house.database.url, size=2) as pool,
        closing(Owner(folder / "owners")) as owner,
        ExitStack() as parts,
    ):
        leases = Leases(pool, owner, [account.name], lambda _: watch.wake())
        parts.enter_context(closing(leases))
        hands = hands or Hands(intake.take, intake.hold, intake.trouble)
        watch = parts.enter_context(closing(Watch(account, Register(pool), leases, hands)))
        leases.start()
        watch.start()
        yield Watched(house, watch, leases, parts.close)


@pytest.fixture
def watch_over(house: House, tmp_path: Path) -> Iterator[Callable[..., Watched]]:
    """Begins to watch a mailbox; ``settled=False`` doesn't wait for the first look."""
    with ExitStack() as stack:

        def begin(account: Account, *, settled: bool = True, hands: Hands | None = None) -> Watched:
            made = stack.enter_context(watched(house, tmp_path, account, hands))
            if settled:
                made.await_status("waiting for mail")
            return made

        yield begin

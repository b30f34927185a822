"""One fault's laboratory: a sender, the service under its keeper, a database, and the audit at the end."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.faults.audit import Account, audit
from tests.faults.letters import letters
from tests.faults.sender import Sender
from tests.faults.unit import RUN, Unit
from tests.fix_daemon import PATIENCE
from tests.fix_dovecot import _process, free_port
from tests.fix_house import US
from tests.fix_imap import SENDERS, an_account, toml

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from collections.abc import Set as AbstractSet

    from tests.faults.letters import Letter
    from tests.fix_database import Database
    from tests.fix_dovecot import Box

#: In the log's line of a mail that came out of a mailbox.
FROM_A_MAILBOX = '"source":"imap"'

#: What the fixture ``lab`` is.
NewLab = Callable[..., AbstractContextManager["Lab"]]

#: A server of ours before us has proven who wrote, whichever way the mail comes.
SMTP = {"recipients": [US], "relays": ["127.0.0.1"], "authserv_id": "mx.example.net"}


@dataclass
class Lab:
    """Services on one database and one storage, and who mails them."""

    database: Database
    storage: Path
    units: Sequence[Unit]
    addresses: Sequence[tuple[str, int]]
    sender: Sender
    letters: Iterator[Letter]
    box: Box | None = None
    tell: Callable[[str], None] = print
    """Is told what the audit counted, in words."""
    _mailed: dict[str, Letter] = field(default_factory=dict)
    _copies: Counter[str] = field(default_factory=Counter)

    @property
    def unit(self) -> Unit:
        """The service, where there is one."""
        return self.units[0]

    def mail(self, mails: Iterable[Letter]) -> None:
        """Put mails into the mailbox."""
        mails = list(mails)
        self._mailed |= {letter.key: letter for letter in mails}
        self._copies.update(letter.key for letter in mails)
        assert self.box
        self.box.append_many(letter.raw for letter in mails)

    def take(self, count: int) -> list[Letter]:
        """So many fresh mails, which the sender has not."""
        return [next(self.letters) for _ in range(count)]

    def settle(self, *, allowed: AbstractSet[str] = frozenset()) -> None:
        """Let everything end that was begun, stop the services in order, and hold them to their promise."""
        self.sender.finish()
        if self.box:
            self.box.await_count("INBOX", 0)
        for unit in self.units:
            assert unit.stop() == 0, unit.log.read_text()[-4000:]
        self._await_nobody()
        wrong = self.wrong(was_killed=any(any(unit.ends) for unit in self.units), allowed=allowed)
        assert not wrong, "\n".join(wrong)
        self.tell(self._told())

    def wrong(
        self, *, was_killed: bool = False, is_over: bool = True, allowed: AbstractSet[str] = frozenset()
    ) -> list[str]:
        """What the audit finds now."""
        account = Account(self.sender.letters | self._mailed, self._taken(), is_over, was_killed)
        with self.database.connect("owner", autocommit=True) as conn:
            return audit(account, conn, self.storage, self._log(), allowed)

    def await_logged(self, text: str, times: int = 1, unit: Unit | None = None) -> None:
        """Return when one service, or all together, have logged so many lines with ``text`` in them."""
        deadline = time.monotonic() + PATIENCE
        while self.count(text, unit) < times:
            assert time.monotonic() < deadline, self._log(unit)[-10:]
            time.sleep(0.02)

    def count(self, text: str, unit: Unit | None = None) -> int:
        """How many such lines there are."""
        return sum(text in line for line in self._log(unit))

    def events(self) -> Counter[str]:
        """How often what was logged."""
        return Counter(json.loads(line)["event"] for line in self._log() if line.startswith("{"))

    def rows(self, query: str) -> list[Any]:
        """What a query finds, as the owner sees it."""
        with self.database.connect("owner", autocommit=True) as conn:
            return conn.execute(query.encode()).fetchall()

    def _log(self, unit: Unit | None = None) -> list[str]:
        return [
            line for each in ([unit] if unit else self.units) for line in each.log.read_text().splitlines()
        ]

    def _taken(self) -> dict[str, set[str]]:
        filed = self._found_in("Processed")
        there = filed + self._found_in("INBOX")
        assert there == self._copies, (
            f"missing {self._copies - there}, more than was sent {there - self._copies}"
        )
        return {key: set[str]() for key in filed} | self.sender.taken()

    def _found_in(self, folder: str) -> Counter[str]:
        if self.box is None or not self.box.count(folder):
            return Counter()
        found = [re.search(rb"(?mi)^Message-ID: *(\S+)", raw) for raw in self.box.mails(folder)]
        return Counter(match[1].decode() for match in found if match)

    def _await_nobody(self) -> None:
        """No reader outlives its service, however that ended."""
        deadline = time.monotonic() + PATIENCE
        ours = {pid for unit in self.units for pid in unit.pids}
        while left := [found for found in map(_process, _processes()) if found and found[2] in ours]:
            assert time.monotonic() < deadline, left
            time.sleep(0.02)

    def _told(self) -> str:
        answers = self.sender.answers
        tries = sum(map(len, answers.values()))
        starts, ends = (
            sum(len(unit.pids) for unit in self.units),
            [end for unit in self.units for end in unit.ends],
        )
        verdicts = dict(self.rows("select verdict, count(*) from intake.arrivals group by 1"))
        return (
            f"{len(answers | self._mailed)} mails ({len(self._mailed)} in a mailbox), {tries} deliveries"
            f" by SMTP ({tries - len(answers)} repeated; no answer {dict(self.sender.unheard())}),"
            f" {starts} starts ({sum(map(bool, ends))} ended badly), {verdicts.get('accepted', 0)} accepted,"
            f" {verdicts.get('duplicate', 0)} told again, lost 0, doubled 0"
        )


def _processes() -> Iterator[Path]:
    return (path for path in Path("/proc").iterdir() if path.name.isdigit())


@contextmanager
def new_lab(  # noqa: PLR0913 - what faults vary
    folder: Path,
    database: Database,
    *,
    url: str = "",
    box: Box | None = None,
    replicas: int = 1,
    command: Sequence[str] = RUN,
    watchdog: float = 0.0,
    sessions: int = 8,
    tell: Callable[[str], None] = print,
    env: dict[str, str] | None = None,
    **tables: dict[str, Any],
) -> Iterator[Lab]:
    """A lab whose services are up, each with a state of its own in ``folder``.

    They reach ``database`` by ``url`` if there is one, watch ``box`` if there
    is one, and are started by ``command`` with ``env`` as well. ``tables``
    add to their configuration.
    """
    folder.mkdir(exist_ok=True)
    storage, ports = folder / "storage", [free_port() for _ in range(replicas)]
    boxes = {"specs": an_account(box, existing="take", idle=2)} if box else {}
    units = []
    for number, port in enumerate(ports):
        configuration = folder / f"{number}.toml"
        listening = {"smtp": SMTP | {"listen": f"127.0.0.1:{port}"}}
        configuration.write_text(toml(**listening | tables, senders=SENDERS, imap=boxes))
        settings = {
            "SPECPOST_CONFIG": str(configuration),
            "SPECPOST_STATE_DIR": str(folder / f"state-{number}"),
            "SPECPOST_STORAGE__URL": f"file:{storage}",
            "SPECPOST_DATABASE__URL": url or database.url,
            "SPECPOST_LOG__FORMAT": "json",
        }
        units.append(Unit(folder / f"unit-{number}", settings | (env or {}), command, watchdog))
    with ExitStack() as running:
        for unit in units:
            running.callback(unit.stop)
            unit.start()
        addresses = [("127.0.0.1", port) for port in ports]
        sender = Sender(addresses, letters("load"), sessions)
        running.callback(sender.close)
        yield Lab(database, storage, units, addresses, sender, letters("own"), box, tell)

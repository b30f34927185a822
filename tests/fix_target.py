"""A daemon to be attacked, and how it fares meanwhile."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import dns.rcode
import pytest

from daemon.outcome import Verdict
from tests.bombs import KIB
from tests.fix_daemon import new_daemon
from tests.fix_database import new_database
from tests.fix_dns import Impostor, refusing
from tests.fix_house import a_mail, spec_for
from tests.fix_posting import Session, verdicts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from db.embedded import Server
    from tests.fix_daemon import Daemon
    from tests.fix_database import Database
    from tests.fix_posting import Answer

#: Seconds that reading may take in either lane, and those that children take to start on a busy machine.
DEADLINE, SLOW_DEADLINE, SLACK = 1.0, 3.0, 10.0

#: The rules of one that is guarded.
SENDERS = """\
[dns]
servers = "127.0.0.1:{dns}"
[smtp]
authserv_id = "mx.example.net"
relays = "127.0.0.0/8"
[senders.bombs]
from = "*@bombs.example"
repos = "example/*"
proof = ["dkim", "authentication-results"]
[senders.honest]
from = "ana@example.org"
repos = "example/*"
proof = "none"
"""


@dataclass
class Target:
    """A daemon that is attacked; ``guarded`` if senders have to prove themselves.

    ``at_first`` is how many octets of memory the service, its children not
    counted, occupied before.
    """

    daemon: Daemon
    database: Database
    guarded: bool
    at_first: int = 0
    _numbers: Iterator[int] = field(default_factory=count)

    def drop(self, raw: bytes) -> tuple[Verdict | None, Answer]:
        """Hand a bomb in; what is recorded of it, and what its sender was told."""
        sender = f"eve{next(self._numbers)}@bombs.example"
        with Session(self.daemon.smtp, next(self._numbers)) as session:
            answer = session.hand_in(raw, sender)
        (verdict,) = verdicts(self.database, [sender])
        return (Verdict(verdict) if verdict else None), answer

    def honest(self) -> Answer:
        """Hand an honest mail in."""
        raw = a_mail(
            ("spec.yaml", spec_for("example/tides")), Message_ID=f"<{next(self._numbers)}@example.org>"
        )
        with Session(self.daemon.smtp) as session:
            return session.hand_in(raw)

    def grown(self) -> int:
        """By how many octets the service occupies more than at first."""
        return _memory(self._process, "VmRSS") - self.at_first

    @contextmanager
    def growth(self) -> Iterator[Callable[[], int]]:
        """Measure by how many octets the service, its children not counted, grows at most."""
        process = self._process
        (process / "clear_refs").write_text("5")  # the peak is what there is now (proc_pid_clear_refs(5))
        before = _memory(process, "VmHWM")
        yield lambda: _memory(process, "VmHWM") - before

    @property
    def _process(self) -> Path:
        return Path(f"/proc/{self.daemon.process.pid}")


def _memory(process: Path, which: str) -> int:
    found = re.search(rf"^{which}:\s*(\d+) kB$", (process / "status").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) * KIB


@pytest.fixture(scope="module", params=["open", "guarded"])
def target(
    request: pytest.FixtureRequest,
    postgres: Server,
    migrated: Callable[[Server], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Target]:
    """A daemon for a whole file; open to everybody, or with a rule for who sends them."""
    folder = tmp_path_factory.mktemp("target")
    guarded = request.param == "guarded"
    with (
        new_database(postgres, migrated(postgres)) as database,
        Impostor(refusing(dns.rcode.NXDOMAIN)) as dns_server,
    ):
        (folder / "toml").write_text(SENDERS.format(dns=dns_server.address[1]) if guarded else "")
        variables = {
            "SPECPOST_DATABASE__URL": database.url,
            "SPECPOST_CONFIG": str(folder / "toml"),
            "SPECPOST_READERS__DEADLINE": f"{DEADLINE:g} s",
            "SPECPOST_READERS__SLOW_DEADLINE": f"{SLOW_DEADLINE:g} s",
        }
        with new_daemon(folder / "daemon", **variables) as daemon:
            made = Target(daemon, database, guarded)
            assert made.honest().code == 250
            made.at_first += made.grown()
            yield made
            assert not {"internal error", "library"} & set(daemon.events())

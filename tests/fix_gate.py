"""The house with its gate shut: sender rules, a name server, and whoever wants to come in."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

import dns.message
import dns.query
import dns.rcode
import pytest

from daemon.child import Limits
from daemon.mail import Addresses
from daemon.outcome import Verdict
from daemon.reading import Defaults
from daemon.settings import DefaultDod
from daemon.spec.target import Hint
from daemon.trust.rules import Policy, Proof, Rule
from tests.entitled import zone
from tests.fix_database import new_database
from tests.fix_dns import Impostor, nothing, refusing
from tests.fix_house import US, new_house, new_readers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from daemon.outcome import Outcome
    from daemon.readers import Readers
    from db.embedded import Server
    from tests.entitled.case import Case
    from tests.fix_database import Database
    from tests.fix_dns import Address, DnsServer
    from tests.fix_house import House

RELAY = "10.0.0.5"
#: Names for which a troubled name server has no answer, and those for which it has SERVFAIL.
SILENT = {"silent._domainkey.example.com"}
FAILING = {"failing._domainkey.example.com", "_dmarc.lenient.example", "_spf2.chained.example"}
DKIM = frozenset({Proof.DKIM})
EXAMPLES = ("example/*",)

#: Every rule is of another sender, so that one gate serves all tables.
POLICY = Policy(
    rules=(
        Rule("example", ("*@example.com", "kim@example.org"), EXAMPLES, DKIM),
        Rule("mail", ("*@mail.example.com",), EXAMPLES, DKIM),
        Rule("gmail", ("ana@gmail.com",), EXAMPLES, DKIM),
        Rule("british", ("*@example.co.uk",), EXAMPLES, DKIM),
        Rule("strict", ("*@strict.example",), EXAMPLES, DKIM),
        Rule("lenient", ("*@lenient.example",), EXAMPLES, DKIM),
        Rule("books", ("*@xn--bcher-kva.example",), EXAMPLES, DKIM),
        Rule("chained", ("*@chained.example", "*@redirected.example"), EXAMPLES, DKIM),
        Rule("relayed", ("*@relayed.example",), EXAMPLES, frozenset({Proof.AUTHENTICATION_RESULTS})),
        Rule("staff", ("*@staff.example",), EXAMPLES, frozenset({Proof.SMTP_AUTH})),
        Rule("first", ("*@pair.example",), ("first/*",), DKIM),
        Rule("second", ("*@pair.example",), EXAMPLES, frozenset({Proof.SMTP_AUTH, Proof.DKIM})),
        Rule("bound", ("*@bound.example",), EXAMPLES, DKIM, "example/bound", "develop", frozenset()),
        Rule("loose", ("*@loose.example",), ("example/loose-*",), DKIM, may_set=frozenset({"branch"})),
        Rule("anybody", ("*@anybody.example",), EXAMPLES, frozenset({Proof.NONE})),
    ),
    authserv_id="mx.example.net",
    relays=(ip_network(RELAY),),
    unix_relay=True,
)
DEFAULTS = Defaults(Addresses.of([US]), Hint(None, "main"), DefaultDod(), POLICY)


@dataclass
class Gate:
    """The house as strangers meet it."""

    house: House

    def take(self, case: Case) -> Outcome:
        """What becomes of the mail of a case."""
        return self.house.take(
            case.mail(),
            peer=case.peer,
            mail_from=case.mail_from,
            rcpt_to=(case.rcpt_to,),
            login=case.login,
        )

    def expect(self, case: Case) -> dict[str, Any]:
        """Take the mail, compare what became of it and for what reason; its evidence."""
        outcome = self.take(case)
        row = self.row(outcome) if outcome.verdict is not Verdict.DEFERRED else (outcome.reason, {})
        assert outcome.verdict is case.verdict, (outcome, row)
        assert case.reason in (row[0] or outcome.reason), row[0]
        assert case.evidence.items() <= row[1].items(), row[1]
        if case.verdict is Verdict.REFUSED:
            assert (outcome.spec_ids, outcome.problems, self.left_by(outcome)) == ((), (), (0, 0))
        return dict(row[1])

    def row(self, outcome: Outcome) -> tuple[str | None, dict[str, Any]]:
        """The reason and the evidence that the operator can read."""
        found = self.house.rows("select reason, evidence from intake.mails where id = %s", outcome.mail_id)
        return found[0] if found else (None, {})

    def left_by(self, outcome: Outcome) -> tuple[int, int]:
        """How many objects are kept of the mail, and how many events tell of it."""
        parts = self.house.rows("select count(*) from intake.parts where mail_id = %s", outcome.mail_id)
        query = "select count(*) from status_events where metadata->>'mail_id' = %s::text"
        return parts[0][0], self.house.rows(query, outcome.mail_id)[0][0]

    def repos(self, outcome: Outcome) -> list[str]:
        """Where the mail's specifications are to be built."""
        rows = self.house.rows("select repo from specs where id = any(%s)", list(outcome.spec_ids))
        return [repo for (repo,) in rows]

    def counts(self) -> dict[str, int]:
        """How many rows there are of each kind."""
        return dict(self.house.counts())


@pytest.fixture(scope="session")
def gate_readers() -> Iterator[Readers]:
    """Readers that know who may send."""
    with new_readers(Limits(processes=2), DEFAULTS) as made:
        yield made


@pytest.fixture(scope="session")
def gate_database(postgres: Server, migrated: Callable[[Server], str]) -> Iterator[Database]:
    """A database for all that come to the gate."""
    with new_database(postgres, migrated(postgres)) as made:
        yield made


@pytest.fixture(scope="session")
def published(dns_server: DnsServer) -> DnsServer:
    """A name server with everybody's keys."""
    dns_server.publish_all(zone.records())
    return dns_server


@pytest.fixture(scope="session")
def open_gate(
    gate_readers: Readers, gate_database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Any]:
    """What makes a gate that asks other name servers, as a context."""

    @contextmanager
    def opened(*dns: Address, timeout: float = 10.0) -> Iterator[Gate]:
        root: Path = tmp_path_factory.mktemp("gate")
        servers: Sequence[Address] = dns
        with new_house(
            gate_readers, gate_database, root, defaults=DEFAULTS, dns=servers, timeout=timeout
        ) as house:
            yield Gate(house)

    return opened


@pytest.fixture(scope="session")
def gate(open_gate: Callable[..., Any], published: DnsServer) -> Iterator[Gate]:
    """A gate for all that leave it standing."""
    with open_gate(published.address) as made:
        yield made


@pytest.fixture
def troubled_dns(published: DnsServer) -> Iterator[Address]:
    """Everybody's keys, but of some names there is no word, or none that helps."""

    def reply(query: dns.message.Message) -> list[bytes]:
        name = query.question[0].name.to_text(omit_final_dot=True)
        if name in SILENT:
            return nothing(query)
        if name in FAILING:
            return refusing(dns.rcode.SERVFAIL)(query)
        return [dns.query.udp(query, published.address[0], port=published.address[1]).to_wire()]

    with Impostor(reply) as server:
        yield server.address

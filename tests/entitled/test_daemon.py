"""The gate of the running daemon, with its configuration in a file and a real client before it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.entitled.letter import MODEST, SPEC, above, attached, changed, letter, signed, text
from tests.fix_daemon import new_daemon
from tests.fix_house import US

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import psycopg

    from tests.fix_daemon import Daemon
    from tests.fix_database import Database
    from tests.fix_dns import DnsServer

CONFIGURATION = """\
[smtp]
authserv_id = "mx.example.net"
relays = ["127.0.0.1"]

[dns]
servers = ["{host}:{port}"]

[senders.example]
from = ["*@example.com"]
repos = ["example/*"]
proof = ["dkim"]

[senders.partner]
from = ["ana@relayed.example"]
repos = ["example/partner-*"]
proof = ["dkim", "authentication-results"]
repo = "example/partner-site"
may_set = []
"""

REFUSAL = (550, "5.7.1 not accepted from this sender")


@pytest.fixture(scope="module")
def gate_daemon(
    gate_database: Database, published: DnsServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Daemon]:
    """A daemon that knows who may send, configured as an operator does it."""
    folder: Path = tmp_path_factory.mktemp("gate")
    file = folder / "specpost.toml"
    host, port = published.address
    file.write_text(CONFIGURATION.format(host=host, port=port))
    variables = {"SPECPOST_CONFIG": str(file), "SPECPOST_DATABASE__URL": gate_database.url}
    with new_daemon(folder / "daemon", **variables) as daemon:
        yield daemon


@pytest.fixture
def owner(gate_database: Database) -> Iterator[psycopg.Connection[Any]]:
    """A look at the daemon's database."""
    with gate_database.connect("owner", autocommit=True) as conn:
        yield conn


def mail_line(daemon: Daemon, mail_id: str) -> dict[str, Any]:
    """The one line that the log has of a mail."""
    (line,) = [line for line in daemon.log() if line["event"] == "mail" and line["mail"] == mail_id]
    return line


def test_an_entitled_mail_gets_in_with_its_evidence(
    gate_daemon: Daemon, owner: psycopg.Connection[Any]
) -> None:
    """The operator finds what let it in beside the mail, whoever builds it in the event."""
    code, answer = gate_daemon.mail(signed(), sender="ana@example.com")

    assert (code, answer[:11]) == (250, "2.0.0 spec=")
    spec_id, mail_id = (word.partition("=")[2] for word in answer.split()[1:])
    proven = {"rule": "example", "proof": "dkim", "d": "example.com", "s": "rsa2048", "key_bits": 2048}
    (row,) = owner.execute("select rule, evidence from intake.mails where id = %s", [mail_id]).fetchall()
    assert (row[0], row[1] | proven) == ("example", row[1])
    ((event,),) = owner.execute(
        "select metadata from status_events where phase = 'SPEC_RECEIVED' and metadata->>'spec_id' = %s",
        [spec_id],
    ).fetchall()
    assert event["evidence"] == row[1]
    assert mail_line(gate_daemon, mail_id)["evidence"] == row[1]


FORGED: dict[str, tuple[Callable[[], bytes], str]] = {
    "unsigned": (letter, "no DKIM"),
    "by a stranger": (lambda: signed(domain="evil.example"), "not aligned"),
    "of a sender nobody knows": (
        lambda: signed(letter(From="eve@evil.example"), domain="evil.example"),
        "no rule",
    ),
    "changed": (lambda: changed(signed(), "the tides", "the floods"), "d=example.com"),
    "for another's repository": (
        lambda: signed(letter(attached(SPEC.replace("example/app", "evil/app")))),
        "evil/app is not in repos",
    ),
    "unreadable and unsigned": (lambda: letter(attached("meta: {repo: [")), ""),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_refused_mail_learns_nothing_and_leaves_its_reason(
    gate_daemon: Daemon, owner: psycopg.Connection[Any], name: str
) -> None:
    """One answer for all causes; the cause is in the books and in the log, and the bytes are nowhere."""
    make, reason = FORGED[name]
    raw = make()

    assert gate_daemon.mail(raw, sender="ana@example.com") == REFUSAL

    message_id = raw.partition(b"Message-ID: ")[2].partition(b"\r\n")[0].decode()
    found = owner.execute(
        "select m.id, m.verdict, m.reason, a.verdict, a.peer,"
        " (select count(*) from intake.parts p where p.mail_id = m.id),"
        " (select count(*) from status_events e where e.metadata->>'mail_id' = m.id::text)"
        " from intake.mails m join intake.arrivals a on a.mail_id = m.id where m.message_id = %s",
        [message_id],
    ).fetchall()
    assert [row[1:2] + row[3:] for row in found] == [("refused", "refused", "127.0.0.1", 0, 0)]
    assert reason in found[0][2]
    line = mail_line(gate_daemon, str(found[0][0]))
    assert (line["verdict"], line["reason"]) == ("refused", found[0][2])
    assert not list(gate_daemon.state_dir.rglob(f"*{found[0][0]}*"))


def test_a_copy_of_an_accepted_mail_without_its_signature_is_refused_like_any(gate_daemon: Daemon) -> None:
    """And the copy with it is told what the first one was told: it changes nothing."""
    raw = letter()
    real = signed(raw)
    first = gate_daemon.mail(real, sender="ana@example.com")

    assert gate_daemon.mail(raw, sender="ana@example.com") == REFUSAL
    assert gate_daemon.mail(real, sender="eve@evil.example") == first


def test_a_relay_is_believed_and_its_sender_held_to_the_rule(gate_daemon: Daemon) -> None:
    """What may not be set is a Problem, and told as one."""
    passed = "Authentication-Results: mx.example.net; dkim=pass header.d=relayed.example"
    partner = {"From": "ana@relayed.example", "To": US}

    assert gate_daemon.mail(above(letter(attached(MODEST), **partner), passed))[0] == 250
    bold = SPEC.replace("example/app", "example/partner-app")
    code, answer = gate_daemon.mail(above(letter(attached(bold), **partner), passed))
    assert (code, answer[:6]) == (550, "5.6.0 ")
    assert "may not set the Definition of Done" in answer
    assert "partner" not in answer
    assert gate_daemon.mail(above(text(**partner), passed)) == REFUSAL

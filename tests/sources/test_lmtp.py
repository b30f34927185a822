"""A mail server hands mail over by LMTP."""

from __future__ import annotations

import select
import shutil
import smtplib
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from daemon.outcome import Outcome, Verdict
from daemon.sources.answers import answer
from daemon.sources.listener import Listener
from tests.fix_smtp import PATIENCE
from tests.parts import need

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from tests.fix_smtp import Running, Wire

MESSAGE = b"From: alice@example.org\r\nSubject: a spec\r\n\r\nbody\r\n"
TCP = Listener("lmtp", ("127.0.0.1", 0))


@pytest.fixture(params=["tcp", "unix"])
def source(request: pytest.FixtureRequest, tmp_path: Path, smtp_source: Callable[..., Running]) -> Running:
    """A source that speaks LMTP, by TCP and by a UNIX socket."""
    return smtp_source(listener=TCP if request.param == "tcp" else Listener("lmtp", tmp_path / "lmtp"))


def to_data(client: Wire, recipients: int) -> Wire:
    """Past the 354 for so many recipients."""
    names = [f"RCPT TO:<specs+{number}@example.net>" for number in range(recipients)]
    client.say("MAIL FROM:<alice@example.org>", *names, "DATA")
    assert [client.reply()[:3] for _ in range(recipients + 2)] == ["250"] * (recipients + 1) + ["354"]
    return client


def answers(client: Wire, count: int) -> list[str]:
    """So many answers, and not one more: the next command gets its own reply."""
    heard = [client.hear() for _ in range(count)]
    assert client.ask("NOOP") == "250 2.0.0 ok"
    return heard


def test_smtplib_hands_a_mail_over(source: Running) -> None:
    """The standard library's LMTP client is understood, and the envelope says how the mail came."""
    where = source.address
    host, port = (str(where), 0) if isinstance(where, Path) else where
    with smtplib.LMTP(host, port) as client:
        client.sendmail("alice@example.org", ["specs+owner=name@example.net"], MESSAGE)
    (envelope,) = source.taker.taken
    assert envelope.raw == MESSAGE
    assert (envelope.source, envelope.peer) == ("lmtp", "unix" if isinstance(where, Path) else "127.0.0.1")
    assert envelope.rcpt_to == ("specs+owner=name@example.net",)
    assert envelope.login is None


def test_swaks_hands_a_mail_over(source: Running, tmp_path: Path) -> None:
    """The operator's tool hears an answer for each of three recipients."""
    need(shutil.which("swaks"), "apt-get install swaks")
    (tmp_path / "mail.eml").write_bytes(MESSAGE)
    where = source.address
    there = ["--socket", str(where)] if isinstance(where, Path) else ["--server", f"{where[0]}:{where[1]}"]
    to = "a@example.net,b@example.net,c@example.net"
    command = ["swaks", "--protocol", "LMTP", *there, "--from", "alice@example.org", "--to", to]
    done = subprocess.run(
        [*command, "--data", f"@{tmp_path / 'mail.eml'}"], capture_output=True, timeout=20, check=False
    )
    assert done.returncode == 0, done.stdout.decode()
    assert done.stdout.count(b"<-  250 2.0.0 spec=") == 3
    assert len(source.taker.taken) == 1


@pytest.mark.parametrize("verdict", Verdict)
def test_each_recipient_has_its_answer(verdict: Verdict, smtp_source: Callable[..., Running]) -> None:
    """One mail has one fate, told once for each recipient, whatever it is."""
    source = smtp_source(listener=TCP)
    source.taker.outcome = Outcome(verdict)
    client = source.connect().greet("LHLO")
    for count in (1, 3):
        to_data(client, count).say(".")
        assert answers(client, count) == [answer(Outcome(verdict))] * count
    assert len(source.taker.taken) == 2


def test_no_answer_before_the_mail_is_taken(smtp_source: Callable[..., Running]) -> None:
    """Not the first of them either."""
    source = smtp_source(listener=TCP, shut=True)
    client = to_data(source.connect().greet("LHLO"), 2)
    client.say(".")
    assert source.taker.has_begun.wait(PATIENCE)
    assert select.select([client.socket], [], [], 0.05)[0] == []

    source.open_gate()

    assert [line[:9] for line in answers(client, 2)] == ["250 2.0.0"] * 2


@pytest.mark.parametrize(
    "trouble", [RuntimeError("postgresql://user:secret@db"), None], ids=["raised", "bug"]
)
def test_our_trouble_is_told_to_each_too(
    trouble: Exception | None, smtp_source: Callable[..., Running]
) -> None:
    """Else the peer would wait for answers that never come: a taker that raises, or that breaks its word."""
    source = smtp_source(listener=TCP)
    source.taker.outcome = trouble
    client = to_data(source.connect().greet("LHLO"), 3)
    client.say(".")
    assert answers(client, 3) == ["451 4.3.0 not now: please try again later"] * 3


def test_two_mails_in_a_pipeline(source: Running) -> None:
    """The answers of the first are all said before the second begins."""
    client = to_data(source.connect().greet("LHLO"), 2)
    client.say(".", "MAIL FROM:<bob@example.org>", "RCPT TO:<specs@example.net>", "DATA")
    assert [client.hear()[:3] for _ in range(5)] == ["250", "250", "250", "250", "354"]
    client.say(".")
    assert answers(client, 1)[0].startswith("250 2.0.0 ")


def test_a_flood_is_refused_for_each(smtp_source: Callable[..., Running]) -> None:
    """Far beyond the size nobody waits for the dot, and every recipient hears why."""
    client = to_data(smtp_source(listener=TCP, max_size=100).connect().greet("LHLO"), 2)
    client.send(b"x" * 300)
    assert [client.hear()[:9] for _ in range(2)] == ["552 5.3.4"] * 2
    assert client.is_closed()


def test_tls_is_offered_where_there_is_a_wire(
    smtp_source: Callable[..., Running], tls: ssl.SSLContext, tmp_path: Path
) -> None:
    """A UNIX socket has none."""
    source = smtp_source(listener=TCP, tls=tls)
    with smtplib.LMTP(*source.address) as client:
        client.ehlo()
        assert client.has_extn("starttls")
    path = source.listen(tmp_path / "lmtp", "lmtp")
    with smtplib.LMTP(str(path)) as client:
        client.ehlo()
        assert not client.has_extn("starttls")
        assert client.docmd("STARTTLS")[0] == 502


def test_commands_injected_before_tls_are_dropped(
    smtp_source: Callable[..., Running], tls: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    """What is put behind STARTTLS in clear is obeyed by nobody, as with SMTP."""
    source = smtp_source(listener=TCP, tls=tls, passwords={"ana": "geheim"})
    client = source.connect().greet("LHLO")
    client.say("STARTTLS", "LHLO mallory.test", "MAIL FROM:<mallory@example.org>")
    assert client.hear().startswith("220 2.0.0 ")
    client.shake_hands(trusting)
    assert client.ask("MAIL FROM:<alice@example.org>").startswith("503 ")
    client.say("LHLO client.test")
    words = [client.hear() for _ in range(6)]
    assert words[-1] == "250 ENHANCEDSTATUSCODES"
    assert not any("AUTH" in word or "STARTTLS" in word for word in words)
    to_data(client, 2).say(".")
    assert [line[:9] for line in answers(client, 2)] == ["250 2.0.0"] * 2

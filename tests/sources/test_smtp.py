"""A mail's way from the wire to the answer."""

from __future__ import annotations

import select
import shutil
import smtplib
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from daemon.outcome import Outcome, Verdict
from daemon.sources.answers import answer
from tests.fix_smtp import PATIENCE
from tests.parts import need

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.fix_smtp import Running

MESSAGE = "From: alice@example.org\r\nSubject: Spécification 🚀\r\n\r\n.Début\r\n..\r\nà bientôt\r\n".encode()


def stuffed(message: bytes) -> bytes:
    """``message`` as DATA sends it."""
    return (b"\r\n" + message).replace(b"\r\n.", b"\r\n..")[2:] + b".\r\n"


def test_the_envelope_is_what_came(smtp_source: Callable[..., Running]) -> None:
    """Not an octet is added, lost or changed, and the envelope says how it came."""
    source = smtp_source()
    client = source.connect().greet().to_data()
    client.send(stuffed(MESSAGE))
    assert client.reply().startswith("250 2.0.0 ")

    (envelope,) = source.taker.taken
    assert envelope.raw == MESSAGE
    assert envelope.mail_from == "alice@example.org"
    assert envelope.rcpt_to == ("specs@example.net",)
    assert (envelope.source, envelope.peer) == ("smtp", "127.0.0.1")
    assert timedelta(0) <= datetime.now(UTC) - envelope.received_at < timedelta(seconds=PATIENCE)


def test_the_null_sender_is_none(smtp_source: Callable[..., Running]) -> None:
    """A bounce has nobody to answer to."""
    source = smtp_source()
    client = source.connect().greet()
    client.say("MAIL FROM:<>", "RCPT TO:<specs@example.net>", "DATA")
    assert [client.reply()[:3] for _ in range(3)] == ["250", "250", "354"]
    assert client.ask(".").startswith("250 ")
    assert source.taker.taken[0].mail_from is None


def test_smtplib_sends_a_mail(smtp_source: Callable[..., Running]) -> None:
    """The standard library's client is understood, and understands."""
    source = smtp_source()
    with smtplib.SMTP(*source.address, timeout=PATIENCE) as client:
        options = ["SMTPUTF8", "BODY=8BITMIME"]
        client.sendmail("élise@example.org", ["specs+owner=name@example.net"], MESSAGE, options)
    assert source.taker.taken[0].raw == MESSAGE
    assert source.taker.taken[0].mail_from == "élise@example.org"


def test_swaks_sends_a_mail(smtp_source: Callable[..., Running], tmp_path: Path) -> None:
    """The tool that an operator tries a mail server with gets its 250, pipelining or not."""
    need(shutil.which("swaks"), "apt-get install swaks")
    source = smtp_source()
    (tmp_path / "mail.eml").write_bytes(MESSAGE)
    host, port = source.address
    command = ["swaks", "--server", f"{host}:{port}", "--from", "alice@example.org", "--to", "s@example.net"]
    for way in ([], ["--pipeline"]):
        done = subprocess.run(
            [*command, "--data", f"@{tmp_path / 'mail.eml'}", *way],
            capture_output=True,
            timeout=20,
            check=False,
        )
        assert done.returncode == 0, done.stdout.decode()
    assert len(source.taker.taken) == 2
    assert all(envelope.raw.startswith(MESSAGE) for envelope in source.taker.taken)


def test_the_replies_to_a_pipeline_go_out_together(smtp_source: Callable[..., Running]) -> None:
    """RFC 2920 3.2 wants as few packets as can be, and each is a turn of the sender's and of ours."""
    source = smtp_source()
    client = source.connect().greet()
    (conversation,) = source.door._guests
    sent: list[bytes] = []
    write = conversation._writer.write
    conversation._writer.write = lambda data: (sent.append(bytes(data)), write(data))
    client.send(b"MAIL FROM:<a@b.example>\r\nRCPT TO:<s@example.net>\r\nDATA\r\n")
    assert [client.reply()[:3] for _ in range(3)] == ["250", "250", "354"]
    assert len(sent) == 1


def test_no_answer_before_the_mail_is_taken(smtp_source: Callable[..., Running]) -> None:
    """The 250 waits for whoever takes the mail."""
    source = smtp_source(shut=True)
    client = source.connect().greet().to_data()
    client.send(stuffed(MESSAGE))
    assert source.taker.has_begun.wait(PATIENCE)
    assert select.select([client.socket], [], [], 0.05)[0] == []

    source.open_gate()

    assert client.reply().startswith("250 2.0.0 spec=")


@pytest.mark.parametrize("verdict", Verdict)
def test_each_verdict_is_answered_and_the_session_goes_on(
    verdict: Verdict, smtp_source: Callable[..., Running]
) -> None:
    """What became of one mail is one reply, and the next mail may follow."""
    source = smtp_source()
    source.taker.outcome = Outcome(verdict)
    client = source.connect().greet()
    for _ in range(2):
        client.to_data()
        assert client.ask(".") == answer(Outcome(verdict))


def test_our_trouble_is_never_the_senders_fault(smtp_source: Callable[..., Running]) -> None:
    """A taker that raises means 451, without a word of the exception."""
    source = smtp_source()
    source.taker.outcome = RuntimeError("postgresql://user:secret@db")
    client = source.connect().greet().to_data()
    assert client.ask(".") == "451 4.3.0 not now: please try again later"
    assert source.door.bytes_in_flight == 0


def test_a_bug_in_a_command_is_our_trouble_too(smtp_source: Callable[..., Running]) -> None:
    """An exception nobody foresaw is 451 as well, and the session goes on."""
    source = smtp_source()
    source.door.recipients = None
    client = source.connect().greet()
    client.ask("MAIL FROM:<alice@example.org>")
    assert client.ask("RCPT TO:<specs@example.net>").startswith("451 4.3.0 ")
    assert client.ask("NOOP").startswith("250 ")


def test_half_a_mail_is_no_mail(smtp_source: Callable[..., Running]) -> None:
    """A client that goes before its dot has sent nothing, and occupies nothing."""
    source = smtp_source()
    client = source.connect().greet().to_data()
    client.send(MESSAGE)
    client.close()
    source.settle()
    assert source.taker.begun == []
    assert source.door.bytes_in_flight == 0


def test_a_client_that_goes_after_its_dot_cancels_nothing(smtp_source: Callable[..., Running]) -> None:
    """A mail that is being taken is taken to its end, whoever still listens."""
    source = smtp_source(shut=True)
    client = source.connect().greet().to_data()
    client.send(stuffed(MESSAGE))
    assert source.taker.has_begun.wait(PATIENCE)
    (conversation,) = source.door._guests
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # goes with RST
    client.close()
    source.wait_for_the_end_of(conversation)
    assert not source.taker.taken

    source.open_gate()

    assert source.taker.has_ended.wait(PATIENCE)
    source.settle()
    assert source.door.bytes_in_flight == 0


def test_a_client_that_only_stops_talking_gets_its_answer(smtp_source: Callable[..., Running]) -> None:
    """Half a connection is enough to hear what became of the mail."""
    source = smtp_source(shut=True)
    client = source.connect().greet().to_data()
    client.send(stuffed(MESSAGE))
    client.socket.shutdown(socket.SHUT_WR)
    assert source.taker.has_begun.wait(PATIENCE)
    source.open_gate()
    assert client.reply().startswith("250 2.0.0 ")
    assert client.is_closed()


def test_a_hundred_clients_at_once(smtp_source: Callable[..., Running]) -> None:
    """Each of a hundred parallel clients gets its own mail through."""
    source = smtp_source()

    def send(number: int) -> None:
        with smtplib.SMTP(*source.address, timeout=20) as client:
            client.sendmail("alice@example.org", ["specs@example.net"], f"Subject: {number}\r\n\r\nbody\r\n")

    with ThreadPoolExecutor(100) as pool:
        list(pool.map(send, range(100)))
    assert {envelope.raw.split()[1] for envelope in source.taker.taken} == {b"%d" % n for n in range(100)}


def test_sockets_may_come_bound_and_of_any_family(
    smtp_source: Callable[..., Running], tmp_path: Path
) -> None:
    """A socket from the service manager is served like one of our own; a UNIX peer is called so."""
    source = smtp_source()
    bound = socket.socket(socket.AF_UNIX)
    bound.bind(str(tmp_path / "smtp"))

    assert source.listen(bound) == tmp_path / "smtp"

    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE)
        client.connect(str(tmp_path / "smtp"))
        file = client.makefile("rwb", buffering=0)
        assert file.readline().startswith(b"220 ")
        for line in (b"HELO c", b"MAIL FROM:<>", b"RCPT TO:<s@example.net>", b"DATA", b".", b"QUIT"):
            file.write(line + b"\r\n")
            assert file.readline()[:1] in b"23"
        file.close()
    assert source.taker.taken[0].peer == "unix"


def test_an_ipv4_peer_of_an_ipv6_socket_is_called_by_its_own_address(
    smtp_source: Callable[..., Running],
) -> None:
    """One peer has one name, whichever kind of socket it came through."""
    source = smtp_source()
    both = socket.socket(socket.AF_INET6)
    both.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    both.bind(("::ffff:127.0.0.1", 0))
    source.address = ("127.0.0.1", source.listen(both)[1])
    source.connect().greet().to_data().ask(".")
    assert source.taker.taken[0].peer == "127.0.0.1"


def test_an_address_in_use_is_an_error_at_the_start(smtp_source: Callable[..., Running]) -> None:
    """Whoever starts the source learns at once that an address is taken."""
    source = smtp_source()
    with pytest.raises(OSError, match="address already in use"):
        source.listen(source.address)

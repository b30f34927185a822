"""What a stranger can not do to the SMTP source."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest

from tests.fix_smtp import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from daemon.sources.conversation import Conversation
    from tests.fix_smtp import Running

MIB = 2**20


def test_one_connection_too_many_is_told_so(smtp_source: Callable[..., Running]) -> None:
    """Beyond the cap a client hears 421, and may come when another has left."""
    source = smtp_source(connections=1)
    first = source.connect().greet()
    second = source.connect()
    assert second.hear().startswith("421 4.3.2 ")
    assert second.is_closed()

    first.ask("QUIT")
    source.settle()

    source.connect().greet()


def test_a_silent_client_is_sent_away(smtp_source: Callable[..., Running]) -> None:
    """A command has to come in its time, and half a command is none."""
    client = smtp_source(command_timeout=0.1).connect().greet()
    client.send(b"NOOP")
    assert client.hear().startswith("421 4.4.2 ")
    assert client.is_closed()


def test_talking_does_not_prolong_a_session(smtp_source: Callable[..., Running]) -> None:
    """NOOP after NOOP holds no connection beyond the session's time."""
    client = smtp_source(session_timeout=0.2).connect().greet()
    said = ""
    while not said.startswith("421"):
        said = client.ask("NOOP")
        assert said[:3] in {"250", "421"}
    assert said.startswith("421 4.4.2 ")
    assert client.is_closed()


def test_a_session_is_not_ended_within_a_message(smtp_source: Callable[..., Running]) -> None:
    """Whose mail is under way when the time is over hears of the mail first."""
    source = smtp_source(session_timeout=0.1, shut=True)
    client = source.connect().greet().to_data()
    client.say(".")
    assert source.taker.has_begun.wait(PATIENCE)
    source.loop.call_soon_threadsafe(source.loop.call_later, 0.15, source.taker.gate.set)
    assert client.reply().startswith("250 2.0.0 ")
    assert client.hear().startswith("421 4.4.2 ")


def test_a_message_has_to_come_in_time(smtp_source: Callable[..., Running]) -> None:
    """Line after line does not move the deadline of a message."""
    source = smtp_source(data_timeout=0.2)
    client = source.connect().greet().to_data()
    client.socket.settimeout(0.02)
    said = b""
    while not said:
        client.say("one more line")
        try:
            said = client.socket.recv(100)
        except TimeoutError:
            continue
    assert said.startswith(b"421 4.4.2 ")
    source.settle()
    assert source.taker.begun == []


def test_a_client_that_never_reads_is_cut_off(smtp_source: Callable[..., Running]) -> None:
    """Replies nobody takes hold a connection no longer than a command may."""
    source = smtp_source(command_timeout=0.2)
    with unread(source) as client:
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            talk_for_ever(client)
        source.settle()


def test_a_goodbye_nobody_reads_is_not_waited_for(smtp_source: Callable[..., Running]) -> None:
    """Closing does not depend on a peer that leaves our replies unread."""
    source = smtp_source(linger=0.1)
    source.connect().greet()
    (conversation,) = source.door._guests

    async def go_with_much_unread() -> None:
        conversation.transport.write(b"x" * 16 * MIB)
        conversation.close()

    source.do(go_with_much_unread())
    source.settle()


def unread(source: Running) -> socket.socket:
    """A connection on which hardly a reply fits before its client reads."""
    narrow = socket.create_server(("127.0.0.1", 0))
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(PATIENCE)
    client.connect(source.do(source.server.start([narrow]))[-1])
    return client


def talk_for_ever(client: socket.socket) -> None:
    """Send commands until that is no more possible."""
    while True:
        client.sendall(b"EHLO client.test\r\n" * 1000)


def test_a_reply_is_one_line_whatever_is_in_it(smtp_source: Callable[..., Running]) -> None:
    """No text, wherever it came from, becomes a second reply, or more than a client can read."""
    source = smtp_source()
    client = source.connect().greet()
    (conversation,) = source.door._guests
    source.do(conversation.push("550 5.6.0 a\r\n250 2.0.0 é\x1b" + "x" * 1000))
    said = client.hear()
    assert said.startswith("550 5.6.0 a")
    assert said.isprintable()
    assert len(said) <= 510
    assert client.ask("NOOP") == "250 2.0.0 ok"


def test_data_without_line_ends_occupies_no_more_than_the_limit(smtp_source: Callable[..., Running]) -> None:
    """A stream without CRLF is dropped at the limit and cut off at its double."""
    source = smtp_source(max_size=MIB)
    client = source.connect().greet().to_data()
    most = 0
    try:
        for _ in range(64):
            client.send(b"x" * (MIB // 16))
            most = max(most, source.door.bytes_in_flight)
    except (BrokenPipeError, ConnectionResetError):
        pass
    source.settle()
    assert most <= MIB + MIB // 4
    assert source.door.bytes_in_flight == 0


def test_commands_behind_a_message_wait_at_the_senders(smtp_source: Callable[..., Running]) -> None:
    """While a mail is being taken, what else the peer sends does not pile up here."""
    source = smtp_source(shut=True)
    client = source.connect().greet().to_data()
    client.say(".")
    assert source.taker.has_begun.wait(PATIENCE)
    client.socket.settimeout(0.1)
    with pytest.raises(TimeoutError):
        client.send(b"NOOP\r\n" * (8 * MIB))
    (conversation,) = source.door._guests
    assert len(conversation._reader._buffer) < MIB


def test_all_messages_together_have_a_bound(smtp_source: Callable[..., Running]) -> None:
    """The message that is too much for now is asked to come again, and its neighbours are not harmed."""
    source = smtp_source(max_size=500, bytes_in_flight=1000, shut=True)
    clients = [source.connect().greet().to_data() for _ in range(3)]
    for client in clients[:2]:
        client.say("x" * 480, ".")
        assert source.taker.has_begun.wait(PATIENCE)
        source.taker.has_begun.clear()
    late = clients[2]
    late.say("x" * 480, ".")
    assert late.reply().startswith("452 4.3.1 ")
    assert late.ask("MAIL FROM:<a@example.org> SIZE=480").startswith("452 4.3.1 ")

    source.open_gate()

    assert [client.reply()[:9] for client in clients[:2]] == ["250 2.0.0"] * 2
    assert late.ask("MAIL FROM:<a@example.org> SIZE=480").startswith("250 2.1.0 ")


def test_a_long_pipeline_keeps_nobody_waiting(smtp_source: Callable[..., Running]) -> None:
    """Between two commands of one client everybody else has a turn."""
    source = smtp_source()
    client = source.connect().greet()
    (conversation,) = source.door._guests
    step = asyncio.run_coroutine_threadsafe(most_at_a_time(conversation), source.loop)
    client.send(b"NOOP\r\n" * 5000 + b"QUIT\r\n")
    assert client.file.read().count(b"250 2.0.0 ok\r\n") == 5000
    assert step.result(PATIENCE) <= len(b"NOOP\r\n")


async def most_at_a_time(conversation: Conversation) -> int:
    """How many octets of commands were obeyed in one turn of the loop, at most."""
    most = before = 0
    while conversation.transport is not None:
        now = len(conversation._reader._buffer)
        most, before = max(most, before - now), now
        await asyncio.sleep(0)
    return most


def test_draining_ends_the_idle_and_waits_for_the_busy(smtp_source: Callable[..., Running]) -> None:
    """Going down, the source lets nobody in, sends the idle away, and answers the mail under way."""
    source = smtp_source(shut=True)
    idle, busy = source.connect().greet(), source.connect().greet().to_data()
    busy.say(".")
    assert source.taker.has_begun.wait(PATIENCE)
    source.loop.call_soon_threadsafe(source.loop.create_task, source.server.drain(PATIENCE))

    assert idle.hear().startswith("421 4.3.2 ")
    assert idle.is_closed()
    with pytest.raises(ConnectionRefusedError):
        source.connect()
    source.open_gate()
    assert busy.reply().startswith("250 2.0.0 ")
    assert busy.hear().startswith("421 4.3.2 ")
    assert busy.is_closed()


def test_draining_has_an_end(smtp_source: Callable[..., Running]) -> None:
    """Who has not finished in time is cut off; a mail that is being taken still ends."""
    source = smtp_source(shut=True)
    slow, busy = source.connect().greet().to_data(), source.connect().greet().to_data()
    busy.say(".")
    assert source.taker.has_begun.wait(PATIENCE)

    source.do(source.server.drain(0.05))

    assert slow.is_closed()
    assert busy.is_closed()
    source.open_gate()
    assert source.taker.has_ended.wait(PATIENCE)

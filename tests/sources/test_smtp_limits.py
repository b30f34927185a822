"""What a stranger can not do to the SMTP source."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.fix_smtp import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from daemon.sources.conversation import Conversation
    from tests.fix_smtp import Running

MIB = 2**20


def test_one_connection_too_many_takes_the_place_of_who_idles(smtp_source: Callable[..., Running]) -> None:
    """At the cap the newcomer is greeted, and who is longest without progress hears why it has to go."""
    source = smtp_source(connections=2)
    idle, newer = source.connect().greet(), source.connect().greet()
    source.connect().greet()
    assert idle.hear().startswith("421 4.3.2 ")
    assert idle.is_closed()
    assert newer.ask("NOOP").startswith("250 ")


def test_commands_to_no_end_are_no_progress(smtp_source: Callable[..., Running]) -> None:
    """Who keeps talking is not spared before who has said who they are."""
    source = smtp_source(connections=2)
    busy = source.connect()
    busy.reply()
    honest = source.connect().greet()
    said = [busy.ask(line)[:3] for line in ("NOOP", "RSET", "VRFY a", "MAIL FROM:<a@example.org>", "XYZ")]
    assert said == ["250", "250", "252", "503", "500"]
    source.connect().greet()
    assert busy.hear().startswith("421 4.3.2 ")
    assert honest.ask("NOOP").startswith("250 ")


@pytest.mark.parametrize("step", ["EHLO client.test", "MAIL FROM:<a@example.org>", "RCPT TO:<b@example.net>"])
def test_each_step_to_a_mail_is_progress(smtp_source: Callable[..., Running], step: str) -> None:
    """Whoever gets on stays, although they came first."""
    source = smtp_source(connections=2)
    first = source.connect()
    first.reply()
    steps = ["EHLO client.test", "MAIL FROM:<a@example.org>", "RCPT TO:<b@example.net>"]
    for before in steps[: steps.index(step)]:
        first.ask(before)
    second = source.connect().greet()
    assert first.ask(step).startswith("250 ")
    source.connect().greet()
    assert second.hear().startswith("421 4.3.2 ")
    assert first.ask("NOOP").startswith("250 ")


@pytest.mark.parametrize("again", [["EHLO client.test"], ["RSET", "MAIL FROM:<a@example.org>"]])
def test_the_same_steps_again_are_no_progress(smtp_source: Callable[..., Running], again: list[str]) -> None:
    """To begin a mail again and again keeps nobody inside."""
    source = smtp_source(connections=2)
    circling = source.connect().greet()
    circling.ask("MAIL FROM:<a@example.org>")
    second = source.connect().greet()
    assert [circling.ask(line)[:3] for line in again] == ["250"] * len(again)
    source.connect().greet()
    assert circling.hear().startswith("421 4.3.2 ")
    assert second.ask("NOOP").startswith("250 ")


def test_bulk_is_progress_and_dripping_is_none(smtp_source: Callable[..., Running]) -> None:
    """A large message on a thin line comes in; one octet now and then does not keep its place."""
    source = smtp_source(connections=2, bulk=1000)
    large = source.connect().greet().to_data()
    dripping = source.connect().greet().to_data()
    large.say("x" * 998)
    for _ in range(10):
        dripping.send(b"x")
    for conversation, size in zip(source.door._guests, (1000, 10), strict=True):
        source.do(received(conversation, size))
    source.connect().greet()
    assert dripping.hear().startswith("421 4.3.2 ")
    large.say(".")
    assert large.reply().startswith("250 2.0.0 ")


async def received(conversation: Conversation, size: int) -> None:
    """Wait until so many octets of a message are here."""
    async with asyncio.timeout(PATIENCE):
        while conversation._incoming is None or conversation._incoming._size < size:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0)


def test_a_mail_that_is_being_taken_is_not_cut_off(smtp_source: Callable[..., Running]) -> None:
    """Whose message is complete waits for us, and gets the answer however many others come."""
    source = smtp_source(connections=2, shut=True)
    waiting = source.connect().greet().to_data()
    waiting.say(".")
    assert source.taker.has_begun.wait(PATIENCE)
    others = [source.connect().greet() for _ in range(3)]
    assert [other.hear()[:9] for other in others[:2]] == ["421 4.3.2"] * 2
    source.open_gate()
    assert waiting.reply().startswith("250 2.0.0 ")

    source.connect().greet()

    assert others[2].hear().startswith("421 4.3.2 ")
    assert waiting.ask("NOOP").startswith("250 ")


def test_a_newcomer_hears_when_nobody_can_go(smtp_source: Callable[..., Running]) -> None:
    """With a mail being taken on every connection, 421 is the only answer, and leaves nothing behind."""
    source = smtp_source(connections=1, shut=True)
    waiting = source.connect().greet().to_data()
    waiting.say(".")
    assert source.taker.has_begun.wait(PATIENCE)
    late = source.connect()
    assert late.hear().startswith("421 4.3.2 ")
    assert late.is_closed()
    source.open_gate()
    assert waiting.reply().startswith("250 2.0.0 ")


def test_a_peer_that_reads_nothing_gives_way_at_once(smtp_source: Callable[..., Running]) -> None:
    """Its place and its descriptor are free without waiting for its goodbye to be read."""
    source = smtp_source(connections=1, linger=600, junk_commands=MIB)
    with unread(source) as client:
        client.settimeout(0.1)
        with pytest.raises(TimeoutError):
            talk_for_ever(client)
        (conversation,) = source.door._guests
        source.connect().greet()
        source.wait_for_the_end_of(conversation)
        assert len(source.door._guests) == 1


def test_an_early_talker_is_not_served(smtp_source: Callable[..., Running]) -> None:
    """What came before the greeting is not obeyed, and its sender is told so."""
    source = smtp_source()
    with held(source):
        client = source.connect()
        client.say("EHLO client.test", "MAIL FROM:<a@example.org>")
    assert client.hear().startswith("554 5.5.1 ")
    assert client.is_closed()
    source.settle()


def test_who_hangs_up_before_the_greeting_is_not_greeted(smtp_source: Callable[..., Running]) -> None:
    """The end of the stream before its beginning is early, too."""
    source = smtp_source()
    with held(source):
        client = source.connect()
        client.socket.shutdown(socket.SHUT_WR)
    assert client.hear().startswith("554 5.5.1 ")
    source.settle()


@contextmanager
def held(source: Running) -> Iterator[None]:
    """A source that is busy with something else: the kernel lets clients connect meanwhile."""
    is_held, go = threading.Event(), threading.Event()

    def hold() -> None:
        is_held.set()
        go.wait(PATIENCE)

    source.loop.call_soon_threadsafe(hold)
    assert is_held.wait(PATIENCE)
    yield
    go.set()


def test_commands_without_a_mail_have_an_end(smtp_source: Callable[..., Running]) -> None:
    """NOOP, RSET and a greeting said again are answered so often and no more."""
    client = smtp_source(junk_commands=5).connect().greet()
    said = [client.ask(line)[:9] for line in ("NOOP", "RSET", "VRFY a", "EHLO x", "NOOP", "RSET")]
    assert said == ["250 2.0.0", "250 2.0.0", "252 2.5.0", "250 ENHAN", "250 2.0.0", "421 4.7.0"]
    assert client.is_closed()


def test_a_mail_pays_for_the_commands_before_it(smtp_source: Callable[..., Running]) -> None:
    """A session that mails now and then may say RSET and NOOP between its mails for as long as it lasts."""
    client = smtp_source(junk_commands=3).connect().greet()
    for _ in range(4):
        assert [client.ask(line)[:3] for line in ("RSET", "NOOP")] == ["250", "250"]
        client.to_data().say(".")
        assert client.reply().startswith("250 2.0.0 ")


def test_recipients_are_no_junk(smtp_source: Callable[..., Running]) -> None:
    """A mail may have as many recipients as there is room for, and some more to be refused."""
    client = smtp_source(junk_commands=3, recipients_per_mail=5).connect().greet()
    client.ask("MAIL FROM:<a@example.org>")
    said = [client.ask(f"RCPT TO:<b{number}@example.net>")[:9] for number in range(7)]
    assert said == ["250 2.1.5"] * 5 + ["452 4.5.3"] * 2
    assert client.ask("DATA").startswith("354 ")


def test_a_silent_client_is_sent_away(smtp_source: Callable[..., Running]) -> None:
    """A command has to come in its time, and half a command is none."""
    client = smtp_source(command_timeout=0.1).connect().greet()
    client.send(b"NOOP")
    assert client.hear().startswith("421 4.4.2 ")
    assert client.is_closed()


def test_talking_does_not_prolong_a_session(smtp_source: Callable[..., Running]) -> None:
    """NOOP after NOOP holds no connection beyond the session's time."""
    client = smtp_source(session_timeout=0.2, junk_commands=MIB).connect().greet()
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
    source = smtp_source(command_timeout=0.2, junk_commands=MIB)
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


def test_a_goodbye_nobody_reads_gives_way_first(smtp_source: Callable[..., Running]) -> None:
    """Who was told to go is spent before whoever idles, although that one idles for longer."""
    source = smtp_source(connections=2, linger=600)
    idle = source.connect().greet()
    source.connect().greet()
    leaving = list(source.door._guests)[1]

    async def go_with_much_unread() -> None:
        leaving.transport.write(b"x" * 16 * MIB)
        leaving.close()

    source.do(go_with_much_unread())
    source.connect().greet()

    source.wait_for_the_end_of(leaving)
    assert idle.ask("NOOP").startswith("250 ")


def test_replies_nobody_reads_do_not_pile_up(smtp_source: Callable[..., Running]) -> None:
    """A peer is asked nothing more while much is unread, so no more of it lies here than the limit."""
    source = smtp_source(unread=1000, junk_commands=MIB)
    with unread(source) as client:
        client.settimeout(0.1)
        with pytest.raises(TimeoutError):
            talk_for_ever(client)
        (conversation,) = source.door._guests
        assert 1000 < conversation.transport.get_write_buffer_size() < 2000


def unread(source: Running) -> socket.socket:
    """A greeted connection on which hardly a reply fits before its client reads."""
    narrow = socket.create_server(("127.0.0.1", 0))
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(PATIENCE)
    client.connect(source.listen(narrow))
    assert client.recv(100).startswith(b"220 ")
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
    source.do(conversation.push("550 a\r\n250 2.0.0 é\x1b" + "x" * 1000))
    said = client.hear()
    assert said.startswith("550 5.0.0 a")
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
    """Every few commands of one client everybody else has a turn."""
    source = smtp_source(junk_commands=5000)
    client = source.connect().greet()
    (conversation,) = source.door._guests
    step = asyncio.run_coroutine_threadsafe(most_at_a_time(conversation), source.loop)
    client.send(b"NOOP\r\n" * 5000 + b"QUIT\r\n")
    assert client.file.read().count(b"250 2.0.0 ok\r\n") == 5000
    assert step.result(PATIENCE) <= 8 * len(b"NOOP\r\n")


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

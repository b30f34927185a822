"""Whatever name servers say, or don't, and however many ask: everybody has an answer in time."""

from __future__ import annotations

import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from daemon import resolver as resolver_module
from daemon.log import Event
from daemon.names import Question
from daemon.resolver import OCTETS_MAX, Resolver
from tests.fix_dns import (
    PATIENCE,
    Impostor,
    asking,
    honest,
    in_turn,
    named,
    nothing,
    one,
    refusing,
    system,
    truncated,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fix_dns import Address, DnsServer

    Records = tuple[str, ...] | None


def test_a_silent_server_costs_no_more_than_the_deadline(silent_dns: Address) -> None:
    """The caller's own deadline counts, however long a lookup may last; the log names what had no answer."""
    with asking(silent_dns) as resolver, capture_logs() as told:
        began = time.monotonic()

        assert one(resolver, "a.test", within=0.2) is None

        assert 0.2 <= time.monotonic() - began < 5
        assert resolver.ask([Question("b.test", "A")], until=began) == {Question("b.test", "A"): None}

    assert [event["unanswered"] for event in told] == [
        {"a.test TXT": "no answer in time"},
        {"b.test A": "no answer in time"},
    ]


def test_one_silent_name_does_not_take_the_others_along() -> None:
    """Questions of one call are asked side by side, and those that are answered are told."""
    silent = Question("silent.test", "TXT")
    loud = [Question(f"n{number}.test", "TXT") for number in range(10)]

    def reply(query: dns.message.Message) -> list[bytes]:
        return [] if named(query) == silent.name else honest(query)

    with Impostor(reply) as server, asking(server.address) as resolver:
        found = resolver.ask([silent, *loud], time.monotonic() + 1)

    assert found == {silent: None} | dict.fromkeys(loud, ("honest",))


def test_who_waits_for_silence_keeps_nobody_else_waiting() -> None:
    """A call for a name that is answered is as quick as ever."""

    def reply(query: dns.message.Message) -> list[bytes]:
        return [] if named(query).endswith("silent.test") else honest(query)

    with (
        Impostor(reply) as server,
        asking(server.address, timeout=5) as resolver,
        ThreadPoolExecutor(63) as callers,
    ):
        waiting = [callers.submit(one, resolver, f"{number}.silent.test") for number in range(63)]
        server.has_been_asked.wait(PATIENCE)

        assert one(resolver, "a.test", within=4) == ("honest",)
        assert not any(each.done() for each in waiting)

        resolver.close()


def test_a_lookup_ends_by_itself(silent_dns: Address) -> None:
    """Whoever waits longer than ``timeout`` does not wait for it."""
    with asking(silent_dns, timeout=0.1) as resolver:
        began = time.monotonic()

        assert one(resolver, "a.test") is None
        assert time.monotonic() - began < 5


def test_servfail_is_no_answer(failing_dns: Address) -> None:
    """At once, for it may be long until the server is well; and it is not kept."""
    with asking(failing_dns) as resolver, capture_logs() as told:
        began = time.monotonic()

        assert one(resolver, "a.test") is None
        assert time.monotonic() - began < 5

    assert told == [
        {"event": Event.DNS_TROUBLE, "log_level": "warning", "unanswered": {"a.test TXT": "SERVFAIL"}}
    ]


def test_trouble_is_not_remembered() -> None:
    """A server that is well again is believed at once."""
    with Impostor(in_turn(refusing(dns.rcode.REFUSED), honest)) as server, asking(server.address) as resolver:
        assert one(resolver, "a.test") is None
        assert one(resolver, "a.test") == ("honest",)


def test_the_next_server_is_asked_when_one_fails(failing_dns: Address) -> None:
    """In the order they are given."""
    with Impostor(honest) as well, asking(failing_dns, well.address) as resolver:
        assert one(resolver, "a.test") == ("honest",)


def test_a_referral_is_no_answer() -> None:
    """A server that asks no others must not make a key vanish: RFC 2308, 2.2."""

    def reply(query: dns.message.Message) -> list[bytes]:
        response = dns.message.make_response(query)
        response.authority.append(dns.rrset.from_text("test.", 300, "IN", "NS", "ns.test."))
        return [response.to_wire()]

    with Impostor(reply) as server, asking(server.address) as resolver:
        assert one(resolver, "a.test") is None


def test_a_question_in_flight_is_asked_once_for_everybody() -> None:
    """Who comes later shares the answer, and who leaves earlier takes it from nobody."""
    gate = threading.Event()

    def reply(query: dns.message.Message) -> list[bytes]:
        gate.wait(PATIENCE)
        return honest(query)

    with Impostor(reply) as server, asking(server.address) as resolver, ThreadPoolExecutor(9) as callers:
        waiting = [callers.submit(one, resolver, "a.test") for _ in range(8)]
        server.has_been_asked.wait(PATIENCE)
        hasty = callers.submit(one, resolver, "a.test", within=0).result(PATIENCE)
        gate.set()

        assert hasty is None
        assert [each.result(PATIENCE) for each in waiting] == [("honest",)] * 8

    assert server.asked == ["a.test"]


def test_sixty_four_threads_have_their_own_answers(dns_server: DnsServer) -> None:
    """Each asks five names at once, more than there may be sockets, and nobody gets another's."""
    names = [[f"n{number}.t{thread}.test" for number in range(5)] for thread in range(64)]
    dns_server.publish_all({(name, "TXT"): (f"I am {name}",) for some in names for name in some})

    def ask(some: list[str]) -> list[Records]:
        questions = [Question(name, "TXT") for name in some]
        found = resolver.ask(questions, time.monotonic() + PATIENCE)
        return [found[question] for question in questions]

    with asking(dns_server.address) as resolver, ThreadPoolExecutor(64) as threads:
        found = list(threads.map(ask, names))

    assert found == [[(f"I am {name}",) for name in some] for some in names]


def test_closing_answers_who_waits() -> None:
    """None at once, not at their deadline, and the thread is gone."""
    before = threading.active_count()
    with Impostor(nothing) as server, ThreadPoolExecutor(4) as callers:
        with asking(server.address) as resolver:
            waiting = [callers.submit(one, resolver, f"n{number}.test") for number in range(4)]
            server.has_been_asked.wait(PATIENCE)
        began = time.monotonic()

        assert [each.result(PATIENCE) for each in waiting] == [None] * 4
        assert time.monotonic() - began < 5

    assert threading.active_count() == before


def test_closing_in_the_middle_of_tcp_leaves_nothing_behind() -> None:
    """The connection that is open then is closed, without a warning."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        Impostor(truncated, listener.getsockname()) as server,
        asking(server.address) as resolver,
        ThreadPoolExecutor(1) as caller,
    ):
        listener.settimeout(PATIENCE)
        waiting = caller.submit(one, resolver, "a.test")
        peer, _ = listener.accept()
        resolver.close()

        with peer:
            assert waiting.result(PATIENCE) is None
            assert peer.recv(512).endswith(b"")


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"", "0 bytes read"),
        (struct.pack("!H", OCTETS_MAX + 1), f"an answer of {OCTETS_MAX + 1} octets"),
        (struct.pack("!H", 400) + b"x" * 399, "399 bytes read"),
        (struct.pack("!H", 3) + b"xyz", "too short"),
        (struct.pack("!H", 12) + bytes(12), "does not respond to the question"),
    ],
    ids=["nothing", "too much", "too little", "garbage", "no answer"],
)
def test_hostile_answers_over_tcp_are_none(said: bytes, why: str) -> None:
    """Cut off, made up or endless: at once, and the log says what it was."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        Impostor(truncated, listener.getsockname()) as server,
        asking(server.address) as resolver,
        ThreadPoolExecutor(1) as caller,
        capture_logs() as told,
    ):
        listener.settimeout(PATIENCE)
        waiting = caller.submit(one, resolver, "a.test")
        peer, _ = listener.accept()
        with peer:
            peer.recv(512)
            peer.sendall(said)

        assert waiting.result(PATIENCE) is None

    assert why in told[0]["unanswered"]["a.test TXT"]


def test_silence_over_tcp_is_none() -> None:
    """A peer that accepts and says nothing ends with the lookup."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        Impostor(truncated, listener.getsockname()) as server,
        asking(server.address, timeout=0.2) as resolver,
    ):
        assert one(resolver, "a.test") is None


def test_after_silence_over_tcp_the_question_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server may have been fetching the answer meanwhile; a second is how long it gets at once here."""
    system(tmp_path, monkeypatch, "nameserver 127.0.0.1\noptions timeout:1\n")
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        Impostor(in_turn(truncated, honest), listener.getsockname()) as server,
        asking() as resolver,
    ):
        monkeypatch.setattr(resolver_module, "PORT", server.address[1])

        assert one(resolver, "a.test") == ("honest",)


def test_too_much_over_udp_is_none() -> None:
    """From a server that heeds no EDNS."""
    strings = " ".join(["x" * 255] * (OCTETS_MAX // 255 + 1))
    with (
        Impostor(lambda query: honest(query, strings)) as server,
        asking(server.address) as resolver,
        capture_logs() as told,
    ):
        assert one(resolver, "a.test") is None

    assert "octets" in told[0]["unanswered"]["a.test TXT"]


def test_only_so_many_questions_are_on_the_wire(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has a socket, and those are for mails too; the others' time is running meanwhile."""
    monkeypatch.setattr(resolver_module, "LOOKUPS", 2)
    questions = [Question(f"n{number}.test", "TXT") for number in range(5)]
    with Impostor(nothing) as server, asking(server.address, timeout=PATIENCE) as resolver:
        found = resolver.ask(questions, time.monotonic() + 0.5)

        assert found == dict.fromkeys(questions)
        assert len(set(server.asked)) == 2


def test_only_the_answer_to_our_question_counts() -> None:
    """Another id, another name, or no response at all is passed over, and the real answer heard."""

    def reply(query: dns.message.Message) -> list[bytes]:
        other = dns.message.make_query("other.test", "TXT", id=query.id)
        (forged,) = honest(query, "forged")
        stranger = struct.pack("!H", query.id ^ 1) + forged[2:]
        return [b"", b"x", stranger, *honest(other, "forged"), query.to_wire(), *honest(query)]

    with Impostor(reply) as server, asking(server.address) as resolver:
        assert one(resolver, "a.test") == ("honest",)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.one_of(st.binary(max_size=200), st.tuples(st.integers(2, 60), st.binary(min_size=1, max_size=9)))
    )
)
def test_no_datagram_breaks_anything(garbage: list[bytes | tuple[int, bytes]]) -> None:
    """Noise, and answers that were tampered with: an answer or none, and the next question has its own."""

    def reply(query: dns.message.Message) -> list[bytes]:
        if named(query) == "next.test":
            return honest(query)
        return [each if isinstance(each, bytes) else tampered(honest(query)[0], *each) for each in garbage]

    with Impostor(reply) as server, asking(server.address) as resolver, capture_logs() as told:
        answer = one(resolver, "a.test", within=0.03)
        assert answer is None or all(isinstance(record, str) for record in answer)
        assert one(resolver, "next.test") == ("honest",)

    assert {event["event"] for event in told} <= {Event.DNS_TROUBLE}


def tampered(wire: bytes, start: int, with_: bytes) -> bytes:
    """``wire`` with other octets from ``start`` on."""
    return wire[:start] + with_ + wire[start + len(with_) :]


def test_before_the_start_and_after_the_end_nothing_is_asked(dns_server: DnsServer) -> None:
    """What is known stays known; closing twice, or without a start, does no harm."""
    never = Resolver([dns_server.address])
    assert one(never, "a.test") is None
    never.close()

    dns_server.publish("end.test", "TXT", "kept")
    with asking(dns_server.address) as resolver:
        assert one(resolver, "end.test") == ("kept",)
    resolver.close()

    assert one(resolver, "end.test") == ("kept",)
    assert one(resolver, "a.test") is None

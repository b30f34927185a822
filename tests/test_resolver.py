"""What the DNS says is told as it says it, and remembered for as long as it may be."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from structlog.testing import capture_logs

from daemon import resolver as resolver_module
from daemon.log import Event
from daemon.names import Question
from daemon.resolver import CACHE_ANSWERS, CACHE_CHARACTERS, OCTETS_MAX, RECORDS_MAX, Resolver, _Cache
from tests.fix_dns import (
    NOTHING_FOR,
    PATIENCE,
    Impostor,
    asking,
    honest,
    in_turn,
    one,
    refusing,
    running_nsd,
    system,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fix_dns import DnsServer

    Records = tuple[str, ...] | None


@pytest.fixture
def resolver(dns_server: DnsServer) -> Iterator[Resolver]:
    """A resolver that asks the real server and knows nothing yet."""
    with asking(dns_server.address) as made:
        yield made


def test_each_kind_of_record_has_its_text(dns_server: DnsServer, resolver: Resolver) -> None:
    """What names.Answers promises: strings joined, octets as latin-1, the preferred host first."""
    dns_server.publish_all(
        {
            ("kinds.test", "TXT"): ("v=spf1 -all", b'\x00\xff"\\; \xe9'),
            ("kinds.test", "A"): ("192.0.2.1", "192.0.2.2"),
            ("kinds.test", "AAAA"): ("2001:db8::1",),
            ("kinds.test", "MX"): ("20 Second.kinds.test", "10 first.kinds.test", "30 third.kinds.test"),
        }
    )
    questions = [Question("kinds.test", kind) for kind in ("TXT", "A", "AAAA", "MX")]

    found = resolver.ask(questions, time.monotonic() + PATIENCE)

    assert [sorted(found[question] or ()) for question in questions[:3]] == [
        ['\x00ÿ"\\; é', "v=spf1 -all"],
        ["192.0.2.1", "192.0.2.2"],
        ["2001:db8::1"],
    ]
    assert found[questions[3]] == ("first.kinds.test", "second.kinds.test", "third.kinds.test")


def test_a_domain_that_takes_no_mail_has_no_mail_hosts(dns_server: DnsServer, resolver: Resolver) -> None:
    """A null MX (RFC 7505) names the root, and the root is no host."""
    dns_server.publish("null-mx.test", "MX", "0 .")

    assert one(resolver, "null-mx.test", "MX") == ()


def test_another_name_for_it_leads_there(dns_server: DnsServer, resolver: Resolver) -> None:
    """Many keys for DKIM stand behind one or two CNAMEs."""
    dns_server.publish("key.hoster.test", "TXT", "v=DKIM1; p=abc")
    dns_server.publish("middle.test", "CNAME", "key.hoster.test")
    dns_server.publish("s1._domainkey.customer.test", "CNAME", "middle.test")

    assert one(resolver, "s1._domainkey.customer.test") == ("v=DKIM1; p=abc",)


def test_what_is_not_there_is_no_trouble(dns_server: DnsServer, resolver: Resolver) -> None:
    """No such name, no record of that kind, and a CNAME to nowhere are answers, and told to nobody."""
    dns_server.publish("only-a.test", "A", "192.0.2.1")
    dns_server.publish("dangling.test", "CNAME", "nowhere.test")
    dns_server.publish("withdrawn.test", "TXT", "once")
    dns_server.withdraw("withdrawn.test")
    names = ("absent.test", "only-a.test", "dangling.test", "withdrawn.test")

    with capture_logs() as told:
        found = [one(resolver, name) for name in names]

    assert found == [()] * 4
    assert told == []


def test_a_key_too_long_for_a_datagram_comes_whole(dns_server: DnsServer, resolver: Resolver) -> None:
    """Truncated over UDP, then asked over TCP; its strings of 255 octets are joined again."""
    keys = tuple(f"v=DKIM1; p={letter * 4000}" for letter in "ab")
    dns_server.publish("long.test", "TXT", *keys)

    assert sorted(one(resolver, "long.test") or ()) == list(keys)


def test_hosts_are_told_in_small_letters() -> None:
    """Names that differ only in that are the same, and Question has them so."""

    def reply(query: dns.message.Message) -> list[bytes]:
        response = dns.message.make_response(query)
        response.answer.append(dns.rrset.from_text(query.question[0].name, 300, "IN", "MX", "1 MX.Test."))
        return [response.to_wire()]

    with Impostor(reply) as server, asking(server.address) as resolver:
        assert one(resolver, "a.test", "MX") == ("mx.test",)


def test_answers_that_fit_come_in_one_datagram() -> None:
    """EDNS lets them be of 1,232 octets, which no network cuts in pieces; more comes over TCP."""
    payloads = []

    def reply(query: dns.message.Message) -> list[bytes]:
        payloads.append(query.payload)
        return honest(query)

    with Impostor(reply) as server, asking(server.address) as resolver:
        assert one(resolver, "a.test") == ("honest",)

    assert payloads == [1232]


@pytest.mark.parametrize(
    "values",
    [
        tuple(f"{number:04}" for number in range(RECORDS_MAX + 1)),
        tuple(letter * (OCTETS_MAX // 4) for letter in "abcd"),
    ],
    ids=["records", "octets"],
)
def test_an_answer_beyond_the_limits_is_none(
    dns_server: DnsServer, resolver: Resolver, values: tuple[str, ...]
) -> None:
    """It may be mended, so the mail may come again; the neighbours of the question have their answers."""
    dns_server.publish("huge.test", "TXT", *values)
    dns_server.publish("modest.test", "TXT", *values[:-2])
    huge, modest = Question("huge.test", "TXT"), Question("modest.test", "TXT")

    found = resolver.ask([huge, modest], time.monotonic() + PATIENCE)

    assert found[huge] is None
    assert sorted(found[modest] or ()) == sorted(values[:-2])


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "a..test",
        ".test",
        "test.",
        "é.test",
        "\ud800.test",
        f"{'a' * 64}.test",
        ".".join(["a" * 63] * 4),
    ],
)
def test_a_name_that_cannot_be_is_not_there(resolver: Resolver, name: str) -> None:
    """Nobody is asked for it, and nothing breaks."""
    assert one(resolver, name) == ()


@pytest.mark.parametrize(
    "name", ["a b.test", "a\\.test", "_x.test", "a\0.test", "*.test", ".".join(["a" * 61] * 4)]
)
def test_an_odd_name_is_asked_letter_by_letter(name: str) -> None:
    """Nothing in a name means anything to us; the longest of 253 octets can be asked too."""
    labels: list[bytes] = []

    def reply(query: dns.message.Message) -> list[bytes]:
        labels.extend(query.question[0].name.labels)
        return honest(query)

    with Impostor(reply) as server, asking(server.address) as resolver:
        assert one(resolver, name) == ("honest",)

    assert [label.decode() for label in labels] == [*name.split("."), ""]


def test_no_domain_of_ours_is_put_behind_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's search list is for people who type host names, not for names in mails."""
    system(tmp_path, monkeypatch, "search evil.test\nnameserver 127.0.0.1\noptions ndots:5\n")
    with Impostor(refusing(dns.rcode.NXDOMAIN)) as server, asking() as resolver:
        monkeypatch.setattr(resolver_module, "PORT", server.address[1])

        assert one(resolver, "short") == ()

    assert server.asked == ["short"]


@pytest.mark.parametrize("text", ["", "nameserver\n", "nameserver nonsense\n", "search a..b\n", "\xff\xfe"])
def test_a_machine_without_a_name_server_starts_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """The log says at the start what to do; once a server is named, it is asked without a restart."""
    conf = system(tmp_path, monkeypatch, text)
    with capture_logs() as told, Impostor(honest) as server, asking() as resolver:
        monkeypatch.setattr(resolver_module, "PORT", server.address[1])
        at_start = list(told)

        assert one(resolver, "a.test") is None

        conf.write_text("nameserver 127.0.0.1\n")
        assert one(resolver, "a.test") == ("honest",)

    assert [(event["event"], event["log_level"]) for event in at_start] == [(Event.DNS_TROUBLE, "warning")]
    assert "set [dns] servers" in at_start[0]["reason"]
    assert len(told) == 2


def test_a_missing_list_of_servers_is_like_an_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Containers may have none."""
    monkeypatch.setattr(resolver_module, "SYSTEM", str(tmp_path / "absent"))
    with asking() as resolver:
        assert one(resolver, "a.test") is None


def test_what_is_known_is_not_asked_again(tmp_path: Path) -> None:
    """Records and their absence alike, with the server gone; of the name's other kinds nothing is known."""
    with running_nsd(tmp_path) as server, asking(server.address) as resolver:
        server.publish("kept.test", "TXT", "kept")
        assert (one(resolver, "kept.test"), one(resolver, "gone.test")) == (("kept",), ())
        server.stop()

        assert one(resolver, "kept.test", within=0) == ("kept",)
        assert one(resolver, "gone.test", within=0) == ()
        assert one(resolver, "kept.test", "A", within=0.05) is None


@pytest.mark.parametrize(
    ("ttl", "kept"),
    [(0, 1), (30, 30), (86_400, 3600), (None, NOTHING_FOR)],
    ids=["none", "own", "long", "absent"],
)
def test_an_answer_is_kept_for_as_long_as_it_says_within_reason(
    dns_server: DnsServer, resolver: Resolver, monkeypatch: pytest.MonkeyPatch, ttl: int | None, kept: int
) -> None:
    """At least a second, at most an hour; what is absent for as long as its zone says."""
    name = f"ttl-{ttl}.test"
    if ttl is not None:
        dns_server.publish(name, "TXT", "old", ttl=ttl)
    old = one(resolver, name)
    dns_server.publish(name, "TXT", "new")
    now = time.monotonic()

    monkeypatch.setattr(resolver_module, "time", Clock(now + kept - 1))
    assert one(resolver, name, within=3 * kept) == old
    monkeypatch.setattr(resolver_module, "time", Clock(now + kept))
    assert one(resolver, name, within=3 * kept) == ("new",)


def test_absence_is_not_believed_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever published their key a moment too late waits five minutes, whatever their zone says."""

    def reply(query: dns.message.Message) -> list[bytes]:
        response = dns.message.make_response(query)
        response.set_rcode(dns.rcode.NXDOMAIN)
        soa = "ns.test. ops.test. 1 3600 600 86400 86400"
        response.authority.append(dns.rrset.from_text("test.", 86_400, "IN", "SOA", soa))
        return [response.to_wire()]

    with Impostor(in_turn(reply, honest)) as server, asking(server.address) as resolver:
        assert one(resolver, "a.test") == ()
        now = time.monotonic()
        monkeypatch.setattr(resolver_module, "time", Clock(now + 299))
        assert one(resolver, "a.test", within=900) == ()
        monkeypatch.setattr(resolver_module, "time", Clock(now + 300))
        assert one(resolver, "a.test", within=900) == ("honest",)


class Clock:
    """A clock that stands."""

    def __init__(self, now: float) -> None:
        self._now = now

    def monotonic(self) -> float:
        """The time."""
        return self._now


def test_the_cache_is_bounded() -> None:
    """In number and in characters; the oldest makes room, and asking again makes young."""
    cache = _Cache()
    questions = [Question(f"{number}.test", "TXT") for number in range(CACHE_ANSWERS + 1)]
    for question in [*questions[:2], questions[0], *questions[2:]]:
        cache.put(question, ("x",), 60)

    assert [cache.get(question) for question in (*questions[:3], questions[-1])] == [
        ("x",),
        None,
        ("x",),
        ("x",),
    ]

    big = "x" * OCTETS_MAX
    for question in questions:
        cache.put(question, (big,), 60)
    known = sum(cache.get(question) is not None for question in questions)

    assert CACHE_CHARACTERS * 0.9 < known * OCTETS_MAX < CACHE_CHARACTERS

"""The bench itself: what it measures is the taking in of mails that are right, and it does not rot."""

from __future__ import annotations

import argparse
import asyncio
import json
from contextlib import contextmanager
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from aiosmtpd.controller import Controller

from daemon.mail import Addresses
from daemon.reading import Defaults, read
from daemon.settings import DefaultDod
from daemon.spec.target import Hint
from daemon.trust import judge
from daemon.trust.rules import Policy, Proof, Rule
from tests.bench import corpus, load
from tests.bench.__main__ import main
from tests.fix_house import an_envelope
from tests.fix_postfix import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.bench.serving import Workload

POLICY = Policy(
    (Rule("bench", (corpus.SENDER,), ("example/*",), frozenset({Proof.AUTHENTICATION_RESULTS})),),
    authserv_id=corpus.AUTHSERV_ID,
    relays=(ip_network("127.0.0.1"),),
)
DEFAULTS = Defaults(Addresses.of([corpus.US]), Hint(None, "main"), DefaultDod(), POLICY)


#: What makes a mail and its specification, and how many bytes of each.
MAILS = [
    (corpus.spec_mail, corpus.specification, 20_000, 2_000),
    (corpus.typical_mail, corpus.specification, 6_000, 2_000),
    (corpus.heavy_mail, corpus.heavy_specification, 20_000, 12_000),
]


@pytest.mark.parametrize("number", [0, 1, 799])
@pytest.mark.parametrize("made", MAILS)
def test_its_mails_are_taken_whole_and_proven(made: tuple[Any, ...], number: int) -> None:
    """Each has one specification, and its Authentication-Results prove its sender."""
    envelope = an_envelope(made[0](number))

    reading = read(envelope, DEFAULTS)

    plan = reading.plan("bench")
    judgement = judge(envelope, reading.mail, reading.requests(), reading.found, POLICY)
    assert plan.problems == ()
    assert [spec.target.repo for spec in plan.specs] == [f"example/tide-table-{number}"]
    assert (judgement.ignored, judgement.refused, judgement.rule) == (None, None, "bench")


@pytest.mark.parametrize("made", MAILS)
def test_its_mails_are_the_same_each_time_and_each_another_one(made: tuple[Any, ...]) -> None:
    """So that two runs measure the same, and nobody is spared a mail as a copy."""
    mail = made[0]
    mails = [mail(number) for number in range(20)]

    assert mails == [mail(number) for number in range(20)]
    assert len({read(an_envelope(mail), DEFAULTS).mail.content_id for mail in mails}) == 20


@pytest.mark.parametrize("number", range(20))
@pytest.mark.parametrize("made", MAILS)
def test_its_mails_are_of_the_size_that_is_promised(made: tuple[Any, ...], number: int) -> None:
    """The mail, and the specification in it."""
    mail, specification, mail_bytes, spec_bytes = made

    assert len(mail(number)) == pytest.approx(mail_bytes, rel=0.05)
    assert len(specification(number)) == pytest.approx(spec_bytes, rel=0.1)
    assert corpus.SPEC_NAME.encode() in mail(number)


@pytest.mark.parametrize("workload", corpus.WORKLOADS.values(), ids=corpus.WORKLOADS)
def test_what_is_expected_of_a_mail_is_what_is_in_it(workload: Workload) -> None:
    """The plan is counted without the help of the code that is measured."""
    written = yaml.safe_load(workload.specification(5))

    expected = corpus.expected(workload, 5)

    sprints = [sprint["id"] for epic in written["planning"]["epics"] for sprint in epic["sprints"]]
    assert expected.repo == written["meta"]["repo"]
    assert sprints == [f"S{number}" for number in range(1, expected.sprints + 1)]


def test_a_line_that_begins_with_a_dot_gets_another() -> None:
    """RFC 5321, 4.5.2."""
    assert load.wire(b".a\r\nb.\r\n..\r\n") == b"..a\r\nb.\r\n...\r\n.\r\n"


class Taker:
    """Takes what is sent, or answers as it is told."""

    def __init__(self, *, pipelining: bool = False, rcpt: str = "250 OK", data: str = "250 OK") -> None:
        self._pipelining, self._rcpt, self._data = pipelining, rcpt, data
        self.taken: list[bytes] = []
        self.sessions: set[int] = set()

    async def handle_EHLO(self, _: Any, session: Any, __: Any, name: str, answers: list[str]) -> list[str]:  # noqa: N802
        """Offer PIPELINING, or not."""
        session.host_name = name
        return ["250-PIPELINING", *answers] if self._pipelining else answers

    async def handle_RCPT(self, _: Any, __: Any, envelope: Any, address: str, ___: Any) -> str:  # noqa: N802
        """Answer as told."""
        if self._rcpt.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self._rcpt

    async def handle_DATA(self, _: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        """Answer as told."""
        self.sessions.add(id(session))
        self.taken.append(envelope.content)
        return self._data


@contextmanager
def taking(taker: Taker) -> Iterator[int]:
    """The port that it listens on."""
    port = free_port()
    controller = Controller(taker, hostname="127.0.0.1", port=port, server_hostname="mx.example.net")
    controller.start()
    try:
        yield port
    finally:
        controller.stop()


def posted(taker: Taker, mails: dict[int, bytes], **options: object) -> load.Report:
    """What came of it."""
    with taking(taker) as port:
        usual = {"sessions": 2, "new_connections": False, "rate": None}
        asked = argparse.Namespace(host="127.0.0.1", port=port, **usual | options)
        return asyncio.run(load.post({n: load.wire(mail) for n, mail in mails.items()}, asked))


SENT = {n: b"Subject: %d\r\n\r\n.dot\r\n" % n for n in range(7, 17)}


@pytest.mark.parametrize("pipelining", [False, True])
@pytest.mark.parametrize("new_connections", [False, True])
def test_every_mail_is_posted_once(*, pipelining: bool, new_connections: bool) -> None:
    """Over connections that are kept, or over one for each."""
    taker = Taker(pipelining=pipelining)

    report = posted(taker, SENT, new_connections=new_connections)

    assert sorted(taker.taken) == sorted(SENT.values())
    assert dict(report.answers) == {250: len(SENT)}
    assert report.latencies.keys() == report.answered.keys() == SENT.keys()
    assert report.start < min(report.answered.values()) <= max(report.answered.values()) == report.end
    assert new_connections or len(taker.sessions) <= 2


@pytest.mark.parametrize("pipelining", [False, True])
@pytest.mark.parametrize("refusal", ["rcpt", "data"])
def test_a_refusal_is_no_yes(*, pipelining: bool, refusal: str) -> None:
    """Wherever it comes, the mail after it is sent all the same."""
    taker = Taker(pipelining=pipelining, **{refusal: "550 5.7.1 no"})

    report = posted(taker, SENT)

    assert dict(report.answers) == {550: len(SENT)}
    assert report.refusals == ["550 5.7.1 no"] * load.TOLD
    assert report.latencies == {}
    assert (taker.taken == []) is (refusal == "rcpt")


def test_mails_are_spaced_evenly() -> None:
    """As many a second as are asked for."""
    report = posted(Taker(), SENT, rate=50)

    assert report.end - report.start == pytest.approx((len(SENT) - 1) / 50, abs=0.1)


def test_nobody_there_is_no_yes() -> None:
    """It ends, and says so."""
    asked = argparse.Namespace(
        host="127.0.0.1", port=free_port(), sessions=2, new_connections=False, rate=None
    )

    report = asyncio.run(load.post(SENT, asked))

    assert dict(report.answers) == {load.NONE: len(SENT)}


@pytest.mark.long
def test_it_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A few mails for each program that needs nothing that has to be installed, and every one is checked."""
    file = tmp_path / "told.json"
    cases = ["typical-1", "typical-32-new", "heavy-32", "slow-disk", "latency"]

    status = main(
        [
            f"--json={file}",
            f"--scratch={tmp_path}",
            "--rounds=1",
            "--mails=8",
            *(f"--case={case}" for case in cases),
        ]
    )

    told = json.loads(file.read_text())["smtp"]
    assert status == 0
    assert [case["case"] for case in told] == cases
    assert all(
        sample["mails"] == 8 and sample["seconds"] > 0
        for case in told
        for series in case["series"].values()
        for sample in series["samples"]
    )
    assert "| specpost" in capsys.readouterr().out

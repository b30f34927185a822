"""The bench's own mails: what it measures is the taking in of mails that are right."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from daemon.mail import Addresses
from daemon.reading import Defaults, read
from daemon.settings import DefaultDod
from daemon.spec.target import Hint
from daemon.trust import judge
from daemon.trust.rules import Policy, Proof, Rule
from tests.bench import corpus
from tests.fix_house import an_envelope

POLICY = Policy(
    (Rule("bench", (corpus.SENDER,), ("example/*",), frozenset({Proof.AUTHENTICATION_RESULTS})),),
    authserv_id=corpus.AUTHSERV_ID,
    relays=(ip_network("127.0.0.1"),),
)
DEFAULTS = Defaults(Addresses.of([corpus.US]), Hint(None, "main"), DefaultDod(), POLICY)


@pytest.mark.parametrize("number", [0, 1, 799])
def test_its_mails_are_taken_whole_and_proven(number: int) -> None:
    """Each has one specification, and its Authentication-Results prove its sender."""
    envelope = an_envelope(corpus.spec_mail(number))

    reading = read(envelope, DEFAULTS)

    plan = reading.plan("bench")
    judgement = judge(envelope, reading.mail, reading.requests(), reading.found, POLICY)
    assert plan.problems == ()
    assert [spec.target.repo for spec in plan.specs] == [f"example/tide-table-{number}"]
    assert (judgement.ignored, judgement.refused, judgement.rule) == (None, None, "bench")


def test_its_mails_are_the_same_each_time_and_each_another_one() -> None:
    """So that two runs measure the same, and nobody is spared a mail as a copy."""
    mails = [corpus.spec_mail(number) for number in range(20)]

    assert mails == [corpus.spec_mail(number) for number in range(20)]
    assert len({read(an_envelope(mail), DEFAULTS).mail.content_id for mail in mails}) == 20


@pytest.mark.parametrize("number", range(20))
def test_its_mails_are_of_the_size_that_is_promised(number: int) -> None:
    """20 KB of mail, 2 KB of specification."""
    assert len(corpus.spec_mail(number)) == pytest.approx(corpus.MAIL_BYTES, rel=0.05)
    assert len(corpus.specification(number)) == pytest.approx(corpus.SPEC_BYTES, rel=0.1)

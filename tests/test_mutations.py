"""Mails that chance and malice have changed: each is answered, and none says what nobody has signed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daemon.outcome import Verdict
from daemon.sources.answers import ANSWERS
from tests.entitled.letter import letter, signed, text
from tests.fix_daemon import new_daemon
from tests.fix_database import new_database
from tests.fix_gate import DEFAULTS
from tests.fix_house import US, a_mail, new_house
from tests.fix_posting import Session
from tests.mutations import MUTATIONS, PLAIN, changed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from daemon.outcome import Outcome
    from daemon.readers import Readers
    from db.embedded import Server
    from tests.fix_daemon import Daemon
    from tests.fix_dns import DnsServer
    from tests.fix_house import House
    from tests.mutations import Mutation

    Changes = list[tuple[Mutation, int]]

#: Examples of each test, as a rule and when there is time.
SOME, MANY = 60, 800
#: The same ones each time: what fails here is to fail for whoever looks for the reason.
SAME = settings(
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
#: Others each time.
OTHERS = settings(SAME, derandomize=False, max_examples=MANY)

#: What is done to a mail, each with the seed of its chances.
CHANGES = st.lists(st.tuples(st.sampled_from(MUTATIONS), st.integers(0, 2**32)), min_size=1, max_size=4)


@dataclass
class Post:
    """A daemon, and what it has said so far."""

    daemon: Daemon
    said: Counter[str] = field(default_factory=Counter)
    _numbers: Iterator[int] = field(default_factory=count)

    def hand_in(self, raw: bytes) -> tuple[int, str]:
        """The answer to a mail, by a session and from an address of its own."""
        with Session(self.daemon.smtp, next(self._numbers)) as session:
            answer = session.hand_in(raw)
        return answer.code, answer.text

    def hand_in_an_honest_one(self) -> tuple[int, str]:
        """The answer to a mail that is as it should be."""
        return self.hand_in(a_mail(Message_ID=f"<{next(self._numbers)}@example.org>"))


@pytest.fixture(scope="module")
def post(
    postgres: Server, migrated: Callable[[Server], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Post]:
    """A daemon that takes mail from anybody."""
    folder = tmp_path_factory.mktemp("mutations") / "daemon"
    with (
        new_database(postgres, migrated(postgres)) as database,
        new_daemon(folder, SPECPOST_DATABASE__URL=database.url) as daemon,
    ):
        yield Post(daemon)
        assert not {"internal error", "library"} & set(daemon.events())


#: The beginnings of all answers to a message but the one for our own trouble, and of those before it is read.
FINAL = {text[:9] for verdict, text in ANSWERS.items() if verdict is not Verdict.DEFERRED}
FINAL |= {"554 5.6.0", "452 4.3.1"}


def assert_answered(post: Post, raw: bytes, changes: Changes) -> None:
    """A final answer, and the next honest mail is taken."""
    code, text = post.hand_in(changed(raw, changes))
    post.said[f"{code} {text[:5]}"] += 1

    assert f"{code} {text[:5]}" in FINAL
    assert post.hand_in_an_honest_one()[0] == 250
    assert post.daemon.process.poll() is None


@settings(SAME, max_examples=SOME)
@given(raw=st.sampled_from(PLAIN), changes=CHANGES)
def test_a_changed_mail_is_answered(post: Post, raw: bytes, changes: Changes) -> None:
    """Whatever it has become, and whatever became of the one before it."""
    assert_answered(post, raw, changes)


@pytest.mark.long
@pytest.mark.timeout(900)
@OTHERS
@given(raw=st.sampled_from(PLAIN), changes=CHANGES)
def test_any_changed_mail_is_answered(post: Post, raw: bytes, changes: Changes) -> None:
    """The same for more of them, and others each time."""
    assert_answered(post, raw, changes)


#: Honest mails as large providers and careful people sign them. In each the signature fixes every octet of
#: the specification: of a text, a relaxed one leaves the white space open (trust.signature).
SIGNED: dict[str, Callable[[], bytes]] = {
    "all": signed,
    "no Content-Type": lambda: signed(names="from:to:subject:date:message-id"),
    "simple": lambda: signed(method="simple/simple"),
    "a text": lambda: signed(text(), method="relaxed/simple"),
    "a text, simple": lambda: signed(text(), method="simple/simple", names="from:to:subject:date:message-id"),
    "a route": lambda: signed(letter(To=US.replace("@", "+example=app@"), Subject="[example/app] tides")),
}


@dataclass
class Trial:
    """A gate, honest mails, what they say, and what became of those that others made of them."""

    house: House
    originals: dict[str, bytes]
    said: dict[str, Any]
    became: Counter[Verdict] = field(default_factory=Counter)
    _numbers: Iterator[int] = field(default_factory=count)

    def take(self, raw: bytes) -> Outcome:
        """What becomes of a mail; from an address of its own, for no peer may have many held."""
        number = next(self._numbers)
        peer = f"198.18.{number // 250 % 250}.{1 + number % 250}"
        return self.house.take(raw, peer=peer, mail_from="ana@example.com")

    def says(self, outcome: Outcome) -> list[Any]:
        """All that a machine acts on when it builds what a mail asks for.

        The mail is forgotten then, so that another copy is judged as if it came first.
        """
        found = self.house.rows(SAYS, outcome.mail_id)
        self.house.owner.execute("delete from intake.mails where id = %s", [outcome.mail_id])
        self.house.owner.execute("delete from specs where id = any(%s)", [list(outcome.spec_ids)])
        return found


SAYS = """
select s.repo, s.branch, s.created_by, p.sha256,
  (select array_agg((t.label, t.dod_json) order by t.created_at) from sprints t where t.spec_id = s.id)
from specs s join intake.parts p on p.spec_id = s.id and p.place not like 'plan-%%'
where p.mail_id = %s order by p.place
"""


@pytest.fixture(scope="module")
def trial(
    postgres: Server,
    migrated: Callable[[Server], str],
    gate_readers: Readers,
    published: DnsServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Trial]:
    """A gate that takes each of SIGNED, and knows none any more."""
    root, dns = tmp_path_factory.mktemp("trial"), [published.address]
    with (
        new_database(postgres, migrated(postgres)) as database,
        new_house(gate_readers, database, root, defaults=DEFAULTS, dns=dns) as house,
    ):
        made = Trial(house, {name: make() for name, make in SIGNED.items()}, {})
        for name, raw in made.originals.items():
            outcome = made.take(raw)
            assert outcome.verdict is Verdict.ACCEPTED, (name, outcome)
            made.said[name] = made.says(outcome)
        yield made


def assert_says_what_was_signed(trial: Trial, name: str, changes: Changes) -> None:
    """Taken only if a machine would build the very same."""
    outcome = trial.take(changed(trial.originals[name], changes))
    trial.became[outcome.verdict] += 1

    if outcome.verdict is Verdict.ACCEPTED:
        assert trial.says(outcome) == trial.said[name]
    else:  # rejected would mean that a machine read something else as theirs
        assert outcome.verdict in (Verdict.REFUSED, Verdict.HELD, Verdict.IGNORED), outcome


def test_a_changed_mail_says_what_was_signed_or_nothing(trial: Trial) -> None:
    """Some of what is done to a signed mail leaves it as good as it was; all else is refused."""

    @settings(SAME, max_examples=4 * SOME)
    @given(name=st.sampled_from(list(SIGNED)), changes=CHANGES)
    def each(name: str, changes: Changes) -> None:
        assert_says_what_was_signed(trial, name, changes)

    each()
    print(trial.became)  # noqa: T201 - with -s
    assert trial.became[Verdict.ACCEPTED] > SOME // 10
    assert trial.became[Verdict.REFUSED] > SOME


@pytest.mark.long
@pytest.mark.timeout(900)
@OTHERS
@given(name=st.sampled_from(list(SIGNED)), changes=CHANGES)
def test_any_changed_mail_says_what_was_signed_or_nothing(trial: Trial, name: str, changes: Changes) -> None:
    """The same for more of them, and others each time."""
    assert_says_what_was_signed(trial, name, changes)

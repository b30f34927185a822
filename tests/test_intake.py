"""The story of a mail, from its bytes to what a source is told."""

from __future__ import annotations

import gc
import hashlib
import json
import sys
import time
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from daemon.outcome import Verdict
from daemon.proving import Prover
from daemon.reading import Defaults
from daemon.resolver import Resolver
from daemon.spec.target import Hint
from daemon.storage import raw_key
from daemon.trust import RECEIVED_MAX
from daemon.trust.rules import Policy, Proof, Rule
from tests.fix_house import (
    DEFAULTS,
    NOTHING,
    PATIENCE,
    SPEC,
    a_mail,
    an_envelope,
    new_house,
    new_readers,
    spec_for,
)

if TYPE_CHECKING:
    from pathlib import Path

    from daemon.readers import Readers
    from tests.fix_database import Database
    from tests.fix_house import House


def test_a_mail_that_asks_for_too_many_sprints_is_rejected(house: House) -> None:
    """In all its specifications together; who needs more sends several, and nobody else waits for them."""
    spec = "planning: {epics: [{sprints: [" + "{goals: [g]}, " * 400 + "]}]}\nmeta: {repo: example/tides}\n"

    outcome = house.take(a_mail(*((f"{name}-spec.yaml", spec) for name in "abc")))

    assert outcome.verdict is Verdict.REJECTED
    assert str(outcome.problems[0]) == "1200 sprints in one mail, and 1000 at most are taken: send several"
    assert house.take(a_mail(*((f"{name}-spec.yaml", spec) for name in "ab"))).verdict is Verdict.ACCEPTED


def test_a_mailed_specification_is_a_spec_with_its_sprints_and_two_events(house: House) -> None:
    """An accepted mail leaves all its rows behind, and the outcome names them."""
    outcome = house.take()

    assert outcome.verdict is Verdict.ACCEPTED
    (spec,) = house.rows("select id, repo, branch, created_by from specs")
    assert spec == (outcome.spec_ids[0], "example/tides", "main", "ana@example.org")
    assert [row[0] for row in house.rows("select label from sprints order by created_at")] == ["S1", "S2"]
    assert [row[0] for row in house.rows("select phase from status_events order by id")] == [
        "SPEC_RECEIVED",
        "PLANNING",
    ]
    assert house.counts() == {
        "mails": 1,
        "arrivals": 1,
        "parts": 3,
        "specs": 1,
        "sprints": 2,
        "status_events": 2,
    }


def test_what_a_sprint_is_done_by_is_complete(house: House) -> None:
    """The defaults are laid under what a sprint says itself."""
    house.take()

    usual = {"coverage_min": 0.8, "e2e_pass": True, "lighthouse_min": 85}
    assert [row[0] for row in house.rows("select dod_json from sprints order by created_at")] == [
        usual,
        usual | {"coverage_min": 0.9},
    ]


def test_a_criterion_may_be_a_number_of_any_size(house: House) -> None:
    """JSON has no largest number, and neither has the database."""
    spec = json.dumps(
        {
            "meta": {"repo": "example/tides"},
            "planning": {
                "epics": [{"id": "E1", "sprints": [{"id": "S1", "dod": {"bundle_bytes_max": 10**30}}]}]
            },
        }
    )

    assert house.take(a_mail(("spec.json", spec))).verdict is Verdict.ACCEPTED
    assert house.rows("select dod_json ->> 'bundle_bytes_max' from sprints") == [(str(10**30),)]


def test_an_attachment_is_stored_byte_for_byte_where_the_spec_says(house: House) -> None:
    """The received bytes are kept as they came, never written anew."""
    latin = SPEC.replace("🌊", "").encode("latin-1", "ignore") + b"# \xe9\xff\r\n\r"
    house.take(a_mail(("spec.yaml", SPEC), ("noise.bin", latin)))

    (key,) = house.rows("select storage_path from specs")[0]
    assert house.storage.get(key) == SPEC.encode()
    (noise,) = house.rows("select key, sha256, size from intake.parts where name = 'noise.bin'")
    assert house.storage.get(noise[0]) == latin
    assert noise[1:] == (hashlib.sha256(latin).hexdigest(), len(latin))


def test_the_message_is_kept_as_it_came(house: House) -> None:
    """The raw mail can be read again later, to the byte."""
    raw = a_mail()

    outcome = house.take(raw)

    assert house.storage.get(f"mails/{str(outcome.mail_id)[:2]}/{outcome.mail_id}/raw.eml") == raw


def test_the_plan_lies_beside_the_specification(house: House) -> None:
    """Stories and acceptance have no row; the plan has them, under the ids of the rows."""
    outcome = house.take()

    (metadata,) = house.rows("select metadata from status_events where phase = 'PLANNING'")[0]
    plan = json.loads(house.storage.get(metadata["plan_path"]))
    assert plan["spec_id"] == str(outcome.spec_ids[0])
    assert plan["sprints"][0]["user_stories"][0]["acceptance"] == ["it is right"]
    ids = [str(row[0]) for row in house.rows("select id from sprints order by created_at")]
    assert (
        [sprint["id"] for sprint in plan["sprints"]]
        == ids
        == [sprint["id"] for sprint in metadata["sprints"]]
    )


def test_a_reader_can_work_from_the_event_alone(house: House) -> None:
    """SPEC_RECEIVED says what, for where, from whom, and where its bytes lie."""
    outcome = house.take(a_mail(("spec.yaml", SPEC), ("mockup.png", b"\x89PNG")))

    (told,) = house.rows("select metadata from status_events where phase = 'SPEC_RECEIVED'")[0]
    wanted = {
        "spec_id": str(outcome.spec_ids[0]),
        "mail_id": str(outcome.mail_id),
        "repo": "example/tides",
        "branch": "main",
        "project_name": "tides",
        "filename": "spec.yaml",
        "subject": "tides",
        "from": "ana@example.org",
        "message_id": "<tides@example.org>",
        "trigger_method": "email",
    }
    assert wanted.items() <= told.items()
    assert {attachment["name"] for attachment in told["attachments"]} == {"spec.yaml", "mockup.png"}
    assert all(house.storage.get(attachment["key"]) for attachment in told["attachments"])


def test_an_event_names_no_more_attachments_than_a_reader_wants(house: House) -> None:
    """The document it is about first, then what came beside it; of many not all, and none of another's."""
    files = [(f"{n}.spec.yaml", spec_for(f"example/{n}")) for n in range(3)]
    house.take(a_mail(*files, *[(f"{n}.png", b"\x89PNG") for n in range(30)]))

    told = house.rows("select metadata from status_events where phase = 'SPEC_RECEIVED' order by id")
    for n, (metadata,) in enumerate(told):
        names = [attachment["name"] for attachment in metadata["attachments"]]
        assert names == [f"{n}.spec.yaml", *(f"{other}.png" for other in range(24))]


def test_the_same_mail_a_hundred_times_is_one_spec(house: House) -> None:
    """Deliveries side by side are all told yes, and only one of them makes anything."""
    futures = [house.intake.take(an_envelope()) for _ in range(100)]
    outcomes = [future.result(PATIENCE) for future in futures]

    verdicts = [outcome.verdict for outcome in outcomes]
    assert (verdicts.count(Verdict.ACCEPTED), verdicts.count(Verdict.DUPLICATE)) == (1, 99)
    assert len({(outcome.mail_id, outcome.spec_ids) for outcome in outcomes}) == 1
    assert house.counts() == {
        "mails": 1,
        "arrivals": 100,
        "parts": 3,
        "specs": 1,
        "sprints": 2,
        "status_events": 2,
    }


def test_two_daemons_given_the_same_mails_make_each_spec_once(
    house: House, readers: Readers, database: Database, tmp_path: Path
) -> None:
    """The database decides who was first, and neither daemon waits for the other for ever."""
    mails = [
        a_mail(("spec.yaml", spec_for(f"example/app-{n}")), Message_ID=f"<{n}@example.org>")
        for n in range(20)
    ]
    with new_house(readers, database, tmp_path / "other") as other:
        order = [mail for n in range(5) for mail in (mails if n % 2 else mails[::-1])]
        futures = [each.intake.take(an_envelope(raw)) for raw in order for each in (house, other)]
        verdicts = [future.result(PATIENCE).verdict for future in futures]

    assert verdicts.count(Verdict.ACCEPTED) == 20
    assert verdicts.count(Verdict.DUPLICATE) == 180
    assert house.counts()["specs"] == 20
    assert house.counts()["status_events"] == 40


def test_who_comes_second_leaves_the_firsts_bytes_alone(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two services that take copies at the same moment: the copy's other trace headers are not kept."""
    raw = a_mail()
    first = house.take(raw)
    monkeypatch.setattr("db.mails.accepted", lambda *_: [])  # as it was when the second looked

    again = house.take(b"Received: by another way\r\n" + raw)

    assert (again.verdict, again.mail_id) == (Verdict.DUPLICATE, first.mail_id)
    assert house.storage.get(raw_key(first.mail_id)) == raw


def test_several_specifications_in_one_mail_are_several_specs(house: House) -> None:
    """Each gets its own id, its own sprints and its own events."""
    outcome = house.take(a_mail(("a.spec.yaml", SPEC), ("b.spec.yaml", spec_for("example/other"))))

    assert len(set(outcome.spec_ids)) == 2
    assert house.counts()["specs"] == 2
    assert house.counts()["status_events"] == 4


def test_a_repeated_mail_is_told_its_specs_in_the_same_order(house: House) -> None:
    """The answer to a second delivery is the answer to the first."""
    raw = a_mail(*[(f"{n}.spec.yaml", spec_for(f"example/{n}")) for n in range(12)])

    assert house.take(raw).spec_ids == house.take(raw).spec_ids


def test_sprints_are_in_the_specifications_order(house: House) -> None:
    """By created_at, which is all that CI has to go by; whatever their ids are."""
    sprints = "".join(f"        - id: S{n}\n" for n in range(40))
    house.take(a_mail(("spec.yaml", f"meta: {{repo: a/b}}\nplanning:\n  epics:\n    - sprints:\n{sprints}")))

    labels = [row[0] for row in house.rows("select label from sprints order by created_at, id")]
    assert labels == [f"S{n}" for n in range(40)]


def test_one_problem_rejects_the_whole_mail(house: House) -> None:
    """Nothing of a mail is recorded as work unless all of it can be."""
    outcome = house.take(a_mail(("a.spec.yaml", SPEC), ("b.spec.yaml", "meta: {repo: [}")))

    assert outcome.verdict is Verdict.REJECTED
    assert outcome.problems[0].file == "b.spec.yaml"
    assert outcome.problems[0].line == 1
    assert house.counts() == {
        "mails": 1,
        "arrivals": 1,
        "parts": 1,
        "specs": 0,
        "sprints": 0,
        "status_events": 1,
    }
    (failed,) = house.rows("select phase, metadata ->> 'mail_id' from status_events")
    assert failed == ("FAILED", str(outcome.mail_id))


def test_a_rejected_mail_fails_once_however_often_it_comes(house: House) -> None:
    """The event says something new, the arrivals say how often."""
    bad = a_mail(("spec.yaml", "meta: {}"))

    verdicts = [house.take(bad).verdict for _ in range(3)]

    assert verdicts == [Verdict.REJECTED] * 3
    assert house.counts()["status_events"] == 1
    assert house.counts()["arrivals"] == 3


def test_a_rejected_mail_fails_again_when_something_else_is_wrong_with_it(house: House) -> None:
    """What is new to its readers is told, such as after a change of rules."""
    bad = a_mail(("spec.yaml", "meta: {}"))
    house.take(bad)
    house.rows("update intake.mails set problems = '[]' returning id")
    house.take(bad)

    assert house.counts()["status_events"] == 2


def test_a_rejected_mail_that_is_mended_by_configuration_becomes_its_spec(
    house: House, database: Database, tmp_path: Path
) -> None:
    """Only acceptance is final: every other verdict is judged anew at each delivery."""
    homeless = a_mail(("spec.yaml", SPEC.replace("  repo: example/tides\n", "")))
    assert house.take(homeless).verdict is Verdict.REJECTED

    routed = Defaults(DEFAULTS.ours, Hint("example/fallback", "main"), DEFAULTS.dod)
    with new_readers(defaults=routed) as readers, new_house(readers, database, tmp_path / "s") as mended:
        accepted = mended.take(homeless)
    assert accepted.verdict is Verdict.ACCEPTED
    again = house.take(homeless)
    assert (again.verdict, again.mail_id, again.spec_ids) == (
        Verdict.DUPLICATE,
        accepted.mail_id,
        accepted.spec_ids,
    )


def test_the_same_mail_by_another_way_is_the_same_mail(house: House) -> None:
    """Trace headers and line ends are the way, not the mail."""
    first = house.take(a_mail())
    second = house.take(b"Received: from a by b; Sun, 22 Nov 2026 10:00:01 +0000\r\n" + a_mail())

    assert second.verdict is Verdict.DUPLICATE
    assert second.spec_ids == first.spec_ids


def test_a_forged_message_id_suppresses_nobody(house: House) -> None:
    """A Message-ID alone is never a key."""
    house.take(a_mail(("spec.yaml", spec_for("example/forged"))))

    assert house.take(a_mail()).verdict is Verdict.ACCEPTED


def test_echoes_are_ignored_and_leave_no_event(house: House) -> None:
    """Nobody waits for an answer to a bounce, an automatic reply or a loop."""
    outcomes = [
        house.take(mail_from=None),
        house.take(a_mail(Auto_Submitted="auto-replied (vacation)", Message_ID="<1@example.org>")),
        house.take(a_mail(X_Loop="specpost", Message_ID="<2@example.org>")),
        house.take(b"Received: from a by b\r\n" * (RECEIVED_MAX + 1) + a_mail()),
    ]

    assert [outcome.verdict for outcome in outcomes] == [Verdict.IGNORED] * 4
    assert house.counts() == NOTHING | {"mails": 4, "arrivals": 4}


def test_a_long_way_is_no_loop(house: House) -> None:
    """Thirty hops are many, and may be honest."""
    raw = b"Received: from a by b\r\n" * RECEIVED_MAX + a_mail()

    assert house.take(raw).verdict is Verdict.ACCEPTED


def test_an_echo_with_problems_is_ignored_all_the_same(house: House) -> None:
    """Nobody is told what is wrong with what nobody asked for."""
    assert house.take(a_mail(("spec.yaml", "meta: {}")), mail_from=None).verdict is Verdict.IGNORED
    assert house.counts() == NOTHING | {"mails": 1, "arrivals": 1}


def test_list_mail_is_taken_and_never_answered(house: House) -> None:
    """A list may carry a specification; a reply to a list would reach everybody."""
    assert house.take(a_mail(List_Id="<specs.example.org>")).verdict is Verdict.ACCEPTED
    assert house.rows("select reply_allowed from intake.mails") == [(False,)]


def test_a_mail_beyond_the_limits_is_held_with_its_bytes(house: House) -> None:
    """What can't be judged is kept for the operator, and the sender need not try again."""
    raw = b"".join(b"X-%d: y\r\n" % n for n in range(1001)) + a_mail()

    outcome = house.take(raw)

    assert outcome.verdict is Verdict.HELD
    (held,) = house.rows("select id, verdict, reason from intake.mails")
    assert held[:2] == (outcome.mail_id, "held")
    assert held[2].startswith("headers: ")
    assert house.storage.get(house.rows("select key from intake.parts")[0][0]) == raw


def test_a_mail_that_breaks_its_reader_is_held(house: House) -> None:
    """A break is no fault of ours that time would mend."""
    outcome = house.take(a_mail(To="specs+crash@example.net"))

    assert outcome.verdict is Verdict.HELD
    assert "SIGSEGV" in outcome.reason
    assert house.counts() == NOTHING | {"mails": 1, "arrivals": 1, "parts": 1}


def test_no_message_id_is_too_long_for_its_index(house: House) -> None:
    """A mail whose Message-ID no index could take is recorded like any other."""
    longest = "<" + "".join(chr(0x10000 + n * 7) for n in range(990)) + ">"
    raw = a_mail().replace(b"<tides@example.org>", longest.encode())

    assert house.take(raw).verdict is Verdict.ACCEPTED
    ((kept,),) = house.rows("select message_id from intake.mails")
    assert longest.startswith(kept)
    assert len(kept) > 490


def test_what_a_reader_broke_with_can_be_recorded(house: House) -> None:
    """An exception may quote the mail, with characters that no database takes."""
    outcome = house.take(a_mail(To="specs+quote@example.net"))

    assert outcome.verdict is Verdict.HELD
    ((reason,),) = house.rows("select reason from intake.mails")
    assert r"\x00\ud800" in reason


@pytest.mark.parametrize("zone", ["+2359", "-9959"])
def test_no_date_is_beyond_the_database(house: House, zone: str) -> None:
    """PostgreSQL knows no zone a day from Greenwich, and senders write such."""
    assert house.take(a_mail(Date=f"Sun, 22 Nov 2026 10:00:00 {zone}")).verdict is Verdict.ACCEPTED


def test_an_empty_message_is_told_what_a_specification_is(house: House) -> None:
    """Nothing at all is a mail, too."""
    outcome = house.take(b"")

    assert outcome.verdict is Verdict.REJECTED
    assert outcome.problems[0].text.startswith("no specification found")


def test_nothing_of_a_mail_stays_in_memory(house: House) -> None:
    """A large mail is let go at once, not when cycles are collected or when the next mail comes."""
    house.take()
    gc.collect()
    gc.disable()
    try:
        raws = [a_mail(), a_mail(Message_ID="<2@example.org>"), b"X: y\r\n" * 1001 + a_mail()]
        for number in range(3):
            house.take(raws[number])
        deadline = time.monotonic() + PATIENCE
        while held := [sys.getrefcount(raw) for raw in raws if sys.getrefcount(raw) > 3]:
            assert time.monotonic() < deadline, held
    finally:
        gc.enable()


HEADER_FLOOD = b"".join(b"X-%d: y\r\n" % n for n in range(1001))


@pytest.mark.parametrize(("limit", "value"), [("HELD_MAILS", 1), ("HELD_A_PEER", 1), ("HELD_BYTES", 12_000)])
def test_held_mails_are_bounded(
    house: House, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    """Who sends mails that nobody can read can't fill the disk: beyond the bound they keep them."""
    monkeypatch.setattr(f"daemon.ledger.{limit}", value)

    first, second = (house.take(HEADER_FLOOD + a_mail(Message_ID=f"<{n}@example.org>")) for n in range(2))

    assert (first.verdict, first.full) == (Verdict.HELD, False)
    assert (second.verdict, second.full) == (Verdict.DEFERRED, True)
    assert house.take().verdict is Verdict.ACCEPTED


def test_an_honest_mail_is_answered_at_once_beside_two_poison_ones(house: House) -> None:
    """Two mails that hang their readers cost everybody else nothing that they would notice."""
    poison = [
        house.intake.take(an_envelope(a_mail(To="specs+hang@example.net", Message_ID=f"<{n}@example.org>")))
        for n in range(2)
    ]
    started = time.monotonic()

    assert house.take().verdict is Verdict.ACCEPTED

    assert time.monotonic() - started < 3
    assert not any(outcome.done() for outcome in poison)
    assert [outcome.result(PATIENCE).verdict for outcome in poison] == [Verdict.HELD] * 2


def test_a_mail_is_judged_by_the_rules_by_which_it_was_read(database: Database, tmp_path: Path) -> None:
    """Those in effect when it came, whichever are when it was read; what comes then goes by them."""

    def ruled(name: str) -> Defaults:
        rule = Rule(name, ("ana@example.org",), ("example/*",), frozenset({Proof.NONE}))
        return replace(DEFAULTS, policy=Policy((rule,)))

    with (
        new_readers(defaults=ruled("first")) as before,
        new_readers(defaults=ruled("second")) as after,
        new_house(before, database, tmp_path / "storage", defaults=ruled("first")) as house,
        closing(Resolver([], 1.0)) as resolver,
        closing(Prover(after, ruled("second"), resolver, 1.0)) as prover,
    ):
        slow = house.intake.take(an_envelope(a_mail(To="specs+slow@example.net")))
        former = house.intake.go_by(after, prover)
        quick = house.take(a_mail(Message_ID="<2@example.org>"))

        assert {slow.result(PATIENCE).verdict, quick.verdict} == {Verdict.ACCEPTED}
        former.wait_until_empty()
        assert house.rows("select rule from intake.mails order by received_at") == [("first",), ("second",)]

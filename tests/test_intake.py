"""The story of a mail, from its bytes to what a source is told."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import Future
from threading import Event
from typing import TYPE_CHECKING

from daemon.batches import Batches
from daemon.outcome import Outcome, Verdict
from daemon.reading import Defaults
from daemon.records import Judged
from daemon.spec.target import Hint
from daemon.trust import RECEIVED_MAX, Judgement
from tests.fix_house import (
    DEFAULTS,
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

NOTHING = {"mails": 0, "arrivals": 0, "parts": 0, "specs": 0, "sprints": 0, "status_events": 0}


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


def test_several_specifications_in_one_mail_are_several_specs(house: House) -> None:
    """Each gets its own id, its own sprints and its own events."""
    outcome = house.take(a_mail(("a.spec.yaml", SPEC), ("b.spec.yaml", spec_for("example/other"))))

    assert len(set(outcome.spec_ids)) == 2
    assert house.counts()["specs"] == 2
    assert house.counts()["status_events"] == 4


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


def test_storage_that_is_down_defers_and_recovers_by_itself(house: House) -> None:
    """Nothing is recorded before its bytes are safe."""
    house.storage.root.rename(house.storage.root.with_name("away"))
    house.storage.root.write_text("in the way")

    assert house.take().verdict is Verdict.DEFERRED
    assert house.counts() == NOTHING
    assert house.intake.trouble() == "storage down"

    house.storage.root.unlink()
    assert house.take().verdict is Verdict.ACCEPTED
    assert house.intake.trouble() is None


def test_one_mail_the_database_refuses_does_not_hold_up_its_neighbours(house: House) -> None:
    """When a batch fails, each of its mails gets its own transaction."""
    house.owner.execute("alter table specs add check (repo <> 'example/cursed')")
    repos = ["example/a", "example/cursed", "example/b"]
    mails = [a_mail(("spec.yaml", spec_for(repo)), Message_ID=f"<{repo}>") for repo in repos]
    slow = house.owner.transaction()
    with slow:  # until this ends no batch can commit, so the three come together
        house.owner.execute("lock table intake.mails in exclusive mode")
        futures = [house.intake.take(an_envelope(raw)) for raw in mails]

    verdicts = [future.result(PATIENCE).verdict for future in futures]

    assert verdicts == [Verdict.ACCEPTED, Verdict.DEFERRED, Verdict.ACCEPTED]
    assert [row[0] for row in house.rows("select repo from specs order by repo")] == [
        "example/a",
        "example/b",
    ]


def test_mails_that_become_ready_during_a_commit_share_the_next(database: Database) -> None:
    """Group commit needs no timer: the batch forms while the last one is written."""
    sizes: list[int] = []
    begun, go_on = Event(), Event()

    def commit(batch: list[Judged]) -> list[Outcome]:
        sizes.append(len(batch))
        begun.set()
        go_on.wait(PATIENCE)
        return [Outcome(Verdict.IGNORED)] * len(batch)

    batches = Batches(commit)
    outcomes: list[Future[Outcome]] = [Future() for _ in range(31)]
    judged = Judged(an_envelope(), Verdict.IGNORED, Judgement())
    batches.add(judged, outcomes[0])
    begun.wait(PATIENCE)
    for outcome in outcomes[1:]:
        batches.add(judged, outcome)
    go_on.set()
    batches.close()

    assert sizes == [1, 30]
    assert all(outcome.result(0).verdict is Verdict.IGNORED for outcome in outcomes)

"""Group commit: what shares a transaction, and what is no neighbour's fault."""

from __future__ import annotations

import time
from concurrent.futures import Future
from threading import Event
from typing import TYPE_CHECKING

import pytest

from daemon import batches as batching
from daemon import ledger
from daemon.batches import Batches
from daemon.outcome import Outcome, Verdict
from daemon.records import Judged
from daemon.trust import Judgement
from db.pool import open_pool
from tests.fix_house import (
    NOTHING,
    PATIENCE,
    SPEC,
    a_mail,
    an_envelope,
    new_intake,
    spec_for,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from daemon.readers import Readers
    from tests.fix_database import Database
    from tests.fix_house import House


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


ONCE_IN_THE_WAY = """
create sequence public.tries;
create function public.in_the_way() returns trigger language plpgsql security definer as $$
begin
  if nextval('public.tries') = 1 then raise exception 'in the way' using errcode = '{code}'; end if;
  return new;
end $$;
create trigger in_the_way before insert on public.specs for each row execute function public.in_the_way();
"""


@pytest.mark.parametrize("code", ["40001", "40P01"])
def test_a_transaction_that_is_broken_off_is_repeated(code: str, house: House) -> None:
    """After a deadlock PostgreSQL ends one of two, whose mail its sender need not send again."""
    with house.database.connect("owner", autocommit=True) as owner:
        owner.execute(ONCE_IN_THE_WAY.format(code=code).encode())

    assert house.take().verdict is Verdict.ACCEPTED
    assert house.counts()["specs"] == 1


def test_an_echo_of_an_accepted_mail_is_ignored_whoever_is_in_its_batch(house: House) -> None:
    """What is nobody's request is decided before what was accepted before."""
    house.take()
    with house.owner.transaction():
        house.owner.execute("lock table intake.mails")
        plug = house.intake.take(an_envelope(a_mail(Message_ID="<plug@example.org>")))
        house.await_locked()
        futures = [house.intake.take(an_envelope(**how)) for how in ({}, {"mail_from": None})]

    assert plug.result(PATIENCE).verdict is Verdict.ACCEPTED
    assert [future.result(PATIENCE).verdict for future in futures] == [Verdict.DUPLICATE, Verdict.IGNORED]


def test_a_mail_postgresql_cannot_hold_is_no_outage(house: House) -> None:
    """An operational error that is one mail's own fault defers neither its neighbours nor the next."""
    house.owner.execute("""
        create function public.curse() returns trigger language plpgsql as $$
        begin raise 'too much of it' using errcode = 'program_limit_exceeded'; end $$
    """)
    house.owner.execute("""
        create trigger curse before insert on specs for each row
        when (new.repo = 'example/b') execute function public.curse()
    """)
    with house.owner.transaction():
        house.owner.execute("lock table intake.mails")
        plug = house.intake.take(an_envelope())
        house.await_locked()
        mails = [a_mail(("spec.yaml", spec_for(f"example/{n}")), Message_ID=f"<{n}>") for n in "abc"]
        futures = [house.intake.take(an_envelope(raw)) for raw in mails]

    verdicts = [future.result(PATIENCE).verdict for future in (plug, *futures)]

    assert verdicts == [Verdict.ACCEPTED, Verdict.ACCEPTED, Verdict.DEFERRED, Verdict.ACCEPTED]
    assert house.intake.trouble() is None


@pytest.mark.parametrize(
    ("bound", "value", "sizes"),
    [("BATCH_MAILS", 2, [1, 2, 2]), ("BATCH_BYTES", 1, [1, 1, 1, 1, 1]), ("BATCH_SPECS", 3, [1, 2, 2])],
)
def test_a_batch_is_bounded(
    house: House, monkeypatch: pytest.MonkeyPatch, bound: str, value: int, sizes: list[int]
) -> None:
    """However much is ready, a commit stays short; what doesn't fit goes with the next."""
    monkeypatch.setattr(batching, bound, value)
    seen: list[int] = []
    real = house.intake._batches._commit
    begun, go_on = Event(), Event()

    def commit(batch: Sequence[Judged]) -> list[Outcome]:
        seen.append(len(batch))
        begun.set()
        go_on.wait(PATIENCE)
        return real(batch)

    monkeypatch.setattr(house.intake._batches, "_commit", commit)
    two = (("a.spec.yaml", SPEC), ("b.spec.yaml", SPEC))
    futures = [house.intake.take(an_envelope(a_mail(*two, Message_ID="<0>")))]
    assert begun.wait(PATIENCE)
    futures += [house.intake.take(an_envelope(a_mail(*two, Message_ID=f"<{n}>"))) for n in range(1, 5)]
    deadline = time.monotonic() + PATIENCE
    while len(house.intake._batches._ready) < 4:
        assert time.monotonic() < deadline
    go_on.set()

    assert {future.result(PATIENCE).verdict for future in futures} == {Verdict.ACCEPTED}
    assert seen == sizes


def test_what_comes_after_the_end_is_deferred() -> None:
    """No mail is left without a word, and a commit is no longer promised."""
    batches = Batches(lambda batch: [Outcome(Verdict.IGNORED)] * len(batch))
    batches.close()
    outcome: Future[Outcome] = Future()

    batches.add(Judged(an_envelope(), Verdict.IGNORED, Judgement()), outcome)

    assert outcome.result(0).verdict is Verdict.DEFERRED


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


def test_a_caller_that_goes_away_cancels_nothing(house: House) -> None:
    """A mail that is being committed is committed, and the next one, too."""
    with house.owner.transaction():
        house.owner.execute("lock table intake.mails")
        future = house.intake.take(an_envelope())
        house.await_locked()
        assert not future.cancel()

    assert future.result(PATIENCE).verdict is Verdict.ACCEPTED
    assert house.take(a_mail(Message_ID="<next@example.org>")).verdict is Verdict.ACCEPTED


def test_storage_that_hangs_is_not_alive_and_a_database_that_hangs_is(
    readers: Readers, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restart may mend a write that never ends; a database is waited for."""
    begun, go_on = Event(), Event()

    def put(_objects: object) -> None:
        begun.set()
        go_on.wait(PATIENCE)

    with open_pool(database.url) as pool, new_intake(readers, put, pool) as hanging:
        with database.connect("owner") as owner:
            owner.execute("lock table intake.mails")
            monkeypatch.setattr(ledger, "STORAGE_TIMEOUT", -1.0)
            future = hanging.take(an_envelope())
            assert not begun.wait(0.3)
            assert hanging.alive()
        assert begun.wait(PATIENCE)
        assert not hanging.alive()
        go_on.set()
        assert future.result(PATIENCE).verdict is Verdict.ACCEPTED
        assert hanging.alive()

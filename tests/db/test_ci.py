"""What CI calls in the database: runs, artifacts, events, and the end of a run."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from threading import Thread
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from tests.gate_cases import FULL, NESTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from psycopg import Connection

    from tests.fix_database import Database

GOOD = NESTED | {"lint_pass": True, "type_check": True}

BAD = GOOD | {"lint_pass": False}

EVERYTHING = """
select jsonb_build_array(
  (select jsonb_agg(to_jsonb(s) order by id) from sprints as s),
  (select jsonb_agg(to_jsonb(r) order by id) from runs as r),
  (select jsonb_agg(to_jsonb(a) order by id) from artifacts as a),
  (select jsonb_agg(to_jsonb(e) order by id) from status_events as e)
)
"""


@dataclass(frozen=True)
class Plan:
    """A specification and its sprints, as the daemon leaves them, and a connection as CI's role."""

    ci: Connection[dict[str, Any]]
    owner: Connection[Any]
    spec: UUID
    sprints: tuple[UUID, ...]

    def call(self, function: str, *arguments: object) -> dict[str, Any]:
        """The row that a function gives."""
        places = ", ".join(["%s"] * len(arguments))
        found = self.ci.execute(f"select * from {function}({places})".encode(), arguments).fetchone()
        assert found
        return found

    def start(self, sprint: int = 0, ci_run: str = "77", attempt: int = 1) -> UUID:
        """Start a run of the sprint at that place."""
        found: UUID = self.call("start_run", self.sprints[sprint], ci_run, attempt)["id"]
        return found

    def finish(self, run: UUID, summary: dict[str, Any]) -> dict[str, Any]:
        """End a run, and give what the gate says."""
        found: dict[str, Any] = self.call("finish_run", run, Jsonb(summary))["finish_run"]
        return found

    def everything(self) -> Any:
        """All there is in the tables that CI has to do with."""
        row = self.owner.execute(EVERYTHING).fetchone()
        assert row
        return row[0]

    def states(self) -> list[str]:
        """The sprints' states, in their order."""
        rows = self.owner.execute("select state from sprints order by created_at, id")
        return [state for (state,) in rows]

    def events(self) -> list[tuple[str, str]]:
        """Phase and message of each event."""
        return self.owner.execute("select phase, message from status_events order by id").fetchall()


def planned(database: Database, **more: object) -> tuple[UUID, tuple[UUID, ...]]:
    """A specification of two sprints; the second was written first."""
    spec, first, second = (uuid4() for _ in range(3))
    with database.connect("daemon") as conn:
        conn.execute(
            "insert into specs (id, repo, branch, storage_path) values (%s, 'a/tides', 'main', 'k')", (spec,)
        )
        for sprint, label, place in (second, "S2", 1), (first, "S1", 0):
            conn.execute(
                "insert into sprints (id, spec_id, label, dod_json, created_at)"
                " values (%s, %s, %s, %s, now() + make_interval(secs => %s * 1e-6))",
                (sprint, spec, label, Jsonb(FULL | more), place),
            )
    return spec, (first, second)


@contextmanager
def planning(database: Database) -> Iterator[Plan]:
    """A specification of two sprints, and the connections that look at it."""
    spec, sprints = planned(database)
    with (
        database.connect("ci_runner", autocommit=True) as ci,
        database.connect(autocommit=True) as owner,
    ):
        ci.row_factory = dict_row  # type: ignore[assignment]
        yield Plan(ci, owner, spec, sprints)


@pytest.fixture
def plan(database: Database) -> Iterator[Plan]:
    """A specification of two sprints."""
    with planning(database) as made:
        yield made


@pytest.fixture
def any_plan(any_database: Database) -> Iterator[Plan]:
    """The same on the newest and on the oldest PostgreSQL."""
    with planning(any_database) as made:
        yield made


def test_a_sprint_goes_from_planned_to_done(any_plan: Plan) -> None:
    """Start, record, tell, finish: the sprint is DONE, the next one's turn comes, all is told in events."""
    plan = any_plan
    assert plan.call("next_sprint", plan.spec)["id"] == plan.sprints[0]
    run = plan.start()
    assert plan.states() == ["RUNNING", "PLANNED"]
    plan.call("record_artifact", run, "junit", f"reports/{run}/junit/1.xml", 12)
    plan.call("log_event", run, "ARTIFACTS_UPLOADED", "one file", Jsonb({"files": 1, "spec_id": "not CI's"}))
    verdict = plan.finish(run, GOOD)

    assert (verdict["result"], verdict["run_id"], verdict["sprint_id"], verdict["spec_id"]) == (
        *("PASSED", str(run), str(plan.sprints[0]), str(plan.spec)),
    )
    assert {line["verdict"] for line in verdict["criteria"]} == {"met"}
    assert plan.states() == ["DONE", "PLANNED"]
    assert plan.call("next_sprint", plan.spec)["id"] == plan.sprints[1]
    assert plan.events() == [
        ("BUILD", "S1: attempt 1 of run 77"),
        ("ARTIFACTS_UPLOADED", "one file"),
        ("TESTS_PASSED", "S1: the gate is passed"),
    ]
    row = plan.call("start_run", plan.sprints[0], "77")
    assert (row["result"], row["summary_json"], row["finished_at"] is None) == ("PASSED", GOOD, False)
    told = plan.owner.execute("select run_id, metadata from status_events order by id").fetchall()
    ids = {"spec_id": str(plan.spec), "sprint_id": str(plan.sprints[0])}
    assert told == [
        (run, ids | {"label": "S1", "ci_run_id": "77", "attempt": 1}),
        (run, ids | {"files": 1}),
        (run, ids | {"criteria": verdict["criteria"]}),
    ]


def test_a_sprint_that_fails_its_gate_may_be_run_again(plan: Plan) -> None:
    """The event says what was missed; another attempt is another run, and can be DONE."""
    run = plan.start()
    assert plan.finish(run, BAD | {"lighthouse": None})["result"] == "FAILED"
    assert plan.states() == ["FAILED", "PLANNED"]
    assert plan.events()[-1] == ("FAILED", "S1: lighthouse_min not reported, lint_pass missed")

    again = plan.start(attempt=2)
    assert again != run
    assert plan.states() == ["RUNNING", "PLANNED"]
    assert plan.finish(again, GOOD)["result"] == "PASSED"
    assert plan.states() == ["DONE", "PLANNED"]


def test_repeats_change_nothing(plan: Plan) -> None:
    """A step that CI does twice gives what it gave: the same run, the same artifact, the same verdict."""
    run = plan.start()
    artifact = plan.call("record_artifact", run, "logs", "a/b", 1)
    verdict = plan.finish(run, GOOD)
    before = plan.everything()

    assert plan.start() == run
    assert plan.call("record_artifact", run, "logs", "a/b", 1) == artifact
    assert plan.finish(run, GOOD) == verdict
    assert plan.finish(run, GOOD | {"duration_seconds": 181})["result"] == "PASSED"
    assert plan.everything() == before


def test_an_artifact_uploaded_again_has_its_new_size(plan: Plan) -> None:
    """A key in storage holds one object: the row says how large it is by now."""
    run = plan.start()
    first = plan.call("record_artifact", run, "logs", "a/b", 1)
    again = plan.call("record_artifact", run, "logs", "a/b", 2**40)

    assert again == first | {"size": 2**40}
    others = [("logs", "a/c"), ("junit", "a/b")]
    assert {plan.call("record_artifact", run, *other, 1)["id"] for other in others}.isdisjoint({first["id"]})


def test_illegal_moves_are_told_and_change_nothing(any_plan: Plan) -> None:
    """No state goes backwards: each attempt is a conflict with its reason in words."""
    plan = any_plan
    slow, run = plan.start(attempt=1), plan.start(attempt=2)
    orphan = plan.owner.execute("insert into runs (ci_run_id) values ('x') returning id").fetchone()
    assert orphan
    plan.finish(run, GOOD)
    before = plan.everything()

    for move, why in (
        (lambda: plan.finish(run, BAD), "is finished (PASSED), and by this summary it would be FAILED"),
        (lambda: plan.finish(slow, BAD), f"is of sprint {plan.sprints[0]}, which is DONE already"),
        (lambda: plan.start(attempt=3), f"sprint {plan.sprints[0]} is DONE and can't be run"),
        (lambda: plan.finish(orphan[0], GOOD), "is of no sprint"),
    ):
        with pytest.raises(psycopg.Error) as refused:
            move()
        assert refused.value.sqlstate == "PT409"
        assert why in str(refused.value.diag.message_primary)
    assert plan.everything() == before


NOBODY = UUID(int=9)

IMPOSSIBLE: list[tuple[str, tuple[object, ...], str]] = [
    ("start_run", (None, "1", 1), "no sprint has the id"),
    ("start_run", (NOBODY, "1", 1), f"no sprint has the id {NOBODY}"),
    ("start_run", ("sprint", "", 1), "ci_run_id: "),
    ("start_run", ("sprint", None, 1), "ci_run_id: "),
    ("start_run", ("sprint", "1\n2", 1), "ci_run_id: "),
    ("start_run", ("sprint", "1" * 201, 1), "ci_run_id: "),
    ("start_run", ("sprint", "1", 0), "attempt: "),
    ("start_run", ("sprint", "1", None), "attempt: "),
    ("record_artifact", (NOBODY, "junit", "a", 1), f"no run has the id {NOBODY}"),
    ("record_artifact", ("run", "", "a", 1), "kind: "),
    ("record_artifact", ("run", None, "a", 1), "kind: "),
    ("record_artifact", ("run", "../junit", "a", 1), "kind: "),
    ("record_artifact", ("run", "junit\n", "a", 1), "kind: "),
    ("record_artifact", ("run", "j" * 101, "a", 1), "kind: "),
    ("record_artifact", ("run", "junit", "", 1), "storage_path: "),
    ("record_artifact", ("run", "junit", "a/../b", 1), "storage_path: "),
    ("record_artifact", ("run", "junit", "/a", 1), "storage_path: "),
    ("record_artifact", ("run", "junit", "a\nb", 1), "storage_path: "),
    ("record_artifact", ("run", "junit", "é", 1), "storage_path: "),
    ("record_artifact", ("run", "junit", "a" * 1001, 1), "storage_path: "),
    ("record_artifact", ("run", "junit", "a", -1), "size: "),
    ("record_artifact", ("run", "junit", "a", None), "size: "),
    ("log_event", (NOBODY, "BUILD", "x", Jsonb({})), f"no run has the id {NOBODY}"),
    ("log_event", ("run", "build it", "x", Jsonb({})), "phase: "),
    ("log_event", ("run", "", "x", Jsonb({})), "phase: "),
    ("log_event", ("run", None, "x", Jsonb({})), "phase: "),
    ("log_event", ("run", "TESTS_PASSED", "x", Jsonb({})), "phase: TESTS_PASSED is said by finish_run alone"),
    ("log_event", ("run", "FAILED", "x", Jsonb({})), "phase: FAILED is said by finish_run alone"),
    ("log_event", ("run", "SPEC_RECEIVED", "x", Jsonb({})), "phase: SPEC_RECEIVED is said by the daemon"),
    ("log_event", ("run", "PLANNING", "x", Jsonb({})), "phase: PLANNING is said by the daemon"),
    ("log_event", ("run", "BUILD", None, Jsonb({})), "message: "),
    ("log_event", ("run", "BUILD", "x" * 2001, Jsonb({})), "message: "),
    ("log_event", ("run", "BUILD", "x", Jsonb([])), "metadata is []: "),
    ("log_event", ("run", "BUILD", "x", Jsonb({"x": "x" * 65536})), "metadata: "),
    ("finish_run", (NOBODY, Jsonb({})), f"no run has the id {NOBODY}"),
    ("finish_run", ("run", None), "summary: "),
    ("finish_run", ("run", Jsonb([])), "summary is []: "),
    ("finish_run", ("run", Jsonb(GOOD | {"coverage": 1.7})), "coverage is 1.7: "),
    ("finish_run", ("run", Jsonb(GOOD | {"log": "x" * 2**20})), "summary: at most 1 MiB"),
    ("next_sprint", (NOBODY,), f"no specification has the id {NOBODY}"),
]


def test_what_cannot_be_is_refused_in_one_line(any_plan: Plan) -> None:
    """Unknown ids, wrong words, sizes below nothing and boundless texts are told apart and change nothing."""
    plan = any_plan
    run = plan.start()
    before = plan.everything()
    for function, arguments, why in IMPOSSIBLE:
        given = [
            {"run": run, "sprint": plan.sprints[1]}.get(it, it) if isinstance(it, str) else it
            for it in arguments
        ]
        with pytest.raises(psycopg.Error) as refused:
            plan.call(function, *given)
        said = refused.value.diag.message_primary or ""
        assert said.startswith(why), (function, said)
        assert refused.value.sqlstate == ("PT404" if why.startswith("no ") else "22023"), (function, said)
        assert said.isprintable()
        assert len(said) < 200
    assert plan.everything() == before


def test_metadata_may_be_left_out(plan: Plan) -> None:
    """An event needs a phase and a message; null metadata is none."""
    run = plan.start()
    ids = {"spec_id": str(plan.spec), "sprint_id": str(plan.sprints[0])}

    assert plan.call("log_event", run, "TESTS_FAILED", "")["metadata"] == ids
    assert plan.call("log_event", run, "MERGED", "x", None)["metadata"] == ids


def test_next_sprint_is_the_first_planned_one_or_none(plan: Plan) -> None:
    """The order is by time of planning, whatever was updated since; with nothing planned there is no row."""
    plan.owner.execute("update sprints set dod_json = dod_json where id = %s", (plan.sprints[0],))
    assert plan.call("next_sprint", plan.spec)["id"] == plan.sprints[0]
    plan.owner.execute("update sprints set state = 'FAILED'")

    assert plan.ci.execute("select * from next_sprint(%s)", (plan.spec,)).fetchall() == []


SHADOWS = """
create domain pg_temp.text as pg_catalog.text check (false);
create domain pg_temp.uuid as pg_catalog.uuid check (false);
create domain pg_temp.jsonb as pg_catalog.jsonb check (false);
create domain pg_temp.bytea as pg_catalog.bytea check (false);
create temp table runs (id int);
create temp table sprints (id int);
create temp table specs (id int);
create temp table artifacts (id int);
create temp table status_events (id int);
create function pg_temp.now() returns timestamptz language plpgsql as $$ begin raise 'mine'; end $$;
create function pg_temp.gate(pg_catalog.jsonb, pg_catalog.jsonb) returns pg_catalog.jsonb
  language sql as $$ select '{"result": "PASSED", "criteria": []}'::pg_catalog.jsonb $$;
set search_path = pg_temp, pg_catalog, intake
"""


def test_nothing_that_a_caller_makes_is_used_with_the_gates_rights(any_plan: Plan) -> None:
    """Whoever calls may make types, tables and functions of the same names; the bodies use none of them."""
    plan = any_plan
    run = plan.start()
    for statement in SHADOWS.split(";\n"):
        plan.ci.execute(statement.encode())

    row = plan.ci.execute("select (public.start_run(%s, '78', 1)).sprint_id", (plan.sprints[1],)).fetchone()
    assert row == {"sprint_id": plan.sprints[1]}
    plan.ci.execute("select public.record_artifact(%s, 'logs', 'a', 1)", (run,))
    plan.ci.execute("select public.log_event(%s, 'BUILD', 'x')", (run,))
    found = plan.ci.execute("select public.finish_run(%s, %s)", (run, Jsonb(BAD))).fetchone()
    assert found
    assert found["finish_run"]["result"] == "FAILED"
    assert plan.ci.execute("select count(*) from public.next_sprint(%s)", (plan.spec,)).fetchone() == {
        "count": 0
    }


def at_once(database: Database, *calls: Callable[[Connection[Any]], Any]) -> list[Any]:
    """What each call gave or raised, when all of them waited for the same lock on the table of runs."""
    results: list[Any] = [None] * len(calls)

    def run(place: int) -> None:
        with database.connect("ci_runner", autocommit=True) as conn:
            try:
                results[place] = calls[place](conn)
            except psycopg.Error as error:
                results[place] = error

    with database.connect() as gatekeeper, database.connect(autocommit=True) as watcher:
        gatekeeper.execute("lock table sprints, runs in exclusive mode")
        threads = [Thread(target=run, args=(place,)) for place in range(len(calls))]
        for thread in threads:
            thread.start()
        waiting = (
            "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        )
        while watcher.execute(waiting.encode()).rowcount < len(calls):
            assert any(thread.is_alive() for thread in threads)
        gatekeeper.commit()
        for thread in threads:
            thread.join()
    return results


def one(conn: Connection[Any], query: str, *given: object) -> Any:
    """The one value of a query."""
    row = conn.execute(query.encode(), given).fetchone()
    assert row
    return row[0]


def test_two_starts_at_once(database: Database) -> None:
    """The same attempt twice is one run and one event; two attempts are two runs."""
    _, (first, second) = planned(database)
    start = "select (start_run(%s, '77', %s)).id"
    same = at_once(database, *[lambda conn: one(conn, start, first, 1)] * 3)
    other = at_once(
        database, lambda conn: one(conn, start, second, 1), lambda conn: one(conn, start, second, 2)
    )

    assert len(set(same)) == 1
    assert len(set(other)) == 2
    with database.connect() as conn:
        assert conn.execute("select state from sprints").fetchall() == [("RUNNING",)] * 2
        assert one(conn, "select count(*) from status_events where phase = 'BUILD'") == 3
        assert one(conn, "select count(*) from runs") == 3


def test_two_ends_at_once(any_database: Database) -> None:
    """The same end twice is one; of two that contradict each other one is a conflict; nobody deadlocks."""
    _, (first, second) = planned(any_database)
    with any_database.connect("ci_runner", autocommit=True) as conn:
        run, left, right = (
            one(conn, "select (start_run(%s, %s)).id", sprint, ci_run)
            for sprint, ci_run in ((first, "1"), (second, "2"), (second, "3"))
        )
    finish = "select finish_run(%s, %s) ->> 'result'"

    same = at_once(any_database, *[lambda conn: one(conn, finish, run, Jsonb(GOOD))] * 3)
    assert same == ["PASSED"] * 3
    twice = at_once(any_database, *[lambda conn: one(conn, finish, left, Jsonb(BAD))] * 2)
    assert twice == ["FAILED"] * 2
    ends = at_once(
        any_database,
        lambda conn: one(conn, finish, right, Jsonb(GOOD)),
        lambda conn: one(conn, finish, right, Jsonb(BAD)),
    )
    assert sorted(getattr(end, "sqlstate", "done") or "" for end in ends) == ["PT409", "done"]
    with any_database.connect() as conn:
        told = "select count(*) from status_events where phase in ('TESTS_PASSED', 'FAILED')"
        assert one(conn, told) == 3


def test_a_run_that_passed_wins_over_those_that_fail_at_the_same_time(database: Database) -> None:
    """Whichever is first: what is DONE stays so, and a late failure is told that it is late."""
    _, (sprint, _) = planned(database)
    with database.connect("ci_runner", autocommit=True) as conn:
        runs = [one(conn, "select (start_run(%s, '1', %s)).id", sprint, attempt) for attempt in (1, 2, 3)]
    finish = "select finish_run(%s, %s) ->> 'result'"

    passed, *failed = at_once(
        database,
        lambda conn: one(conn, finish, runs[0], Jsonb(GOOD)),
        lambda conn: one(conn, finish, runs[1], Jsonb(BAD)),
        lambda conn: one(conn, finish, runs[2], Jsonb(BAD)),
    )
    assert passed == "PASSED"
    assert {getattr(end, "sqlstate", end) for end in failed} <= {"FAILED", "PT409"}
    with database.connect() as conn:
        assert one(conn, "select state from sprints where id = %s", sprint) == "DONE"


def test_an_artifact_recorded_twice_at_once_is_one(database: Database) -> None:
    """Who records the same meanwhile waits and finds it."""
    _, (sprint, _) = planned(database)
    with database.connect("ci_runner", autocommit=True) as conn:
        run = one(conn, "select (start_run(%s, '1')).id", sprint)
    record = "select (record_artifact(%s, 'junit', 'a', 1)).id"

    assert len(set(at_once(database, *[lambda conn: one(conn, record, run)] * 3))) == 1

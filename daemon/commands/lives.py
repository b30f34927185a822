"""The life of a specification on a page: its sprints, their runs, what these left, and what the gate said."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click
from pydantic import ValidationError

from daemon.commands import display, gating
from daemon.gate import SummaryError
from daemon.spec.model import DefinitionOfDone
from daemon.text import json_line, printable
from db import artifacts, events, runs, specs, sprints

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from psycopg import Connection

    from daemon.commands.lending import Lent
    from daemon.gate import Decision
    from db.artifacts import Artifact
    from db.events import Event
    from db.runs import Run
    from db.specs import Spec
    from db.sprints import Tried

#: The events of a specification that are told, the newest.
EVENTS = 1000


@dataclass(frozen=True)
class Life:
    """All that is known of one specification."""

    spec: Spec
    sprints: Sequence[Tried]
    runs: Sequence[Run]
    artifacts: Sequence[Artifact]
    events: Sequence[Event]

    @classmethod
    def of(cls, conn: Connection[Any], spec_id: UUID) -> Life | None:
        """Read it; None when there is no such specification."""
        spec = specs.get(conn, spec_id)
        if spec is None:
            return None
        return cls(
            spec,
            sprints.of_spec(conn, spec_id),
            runs.of_spec(conn, spec_id),
            artifacts.of_spec(conn, spec_id),
            events.of_spec(conn, spec_id, EVENTS),
        )

    def sprint(self, run: Run) -> Tried:
        """Which sprint a run is of."""
        return next(sprint for sprint in self.sprints if sprint.id == run.sprint_id)


def told(life: Life, urls: Sequence[Lent] | None = None, *, as_json: bool) -> None:
    """Print it, with where its parts can be read if that was asked."""
    if as_json:
        click.echo(
            json_line(_plain(life) | ({} if urls is None else {"urls": [asdict(each) for each in urls]}))
        )
        return
    spec = life.spec
    click.echo(f"spec     {spec.id}")
    click.echo(f"target   {printable(spec.repo)}@{printable(spec.branch)}")
    click.echo(f"from     {printable(spec.created_by or '-')}")
    click.echo(f"received {display.when(spec.created_at)}")
    click.echo(f"stored   {printable(spec.storage_path)}\n")
    for each in urls or ():
        click.echo(f"{printable(each.name or each.media_type)}, {each.size:,} bytes\n  {each.url}")
    if urls:
        click.echo()
    display.table(
        ("SPRINT", "STATE", "DONE WHEN", "ID", "RUNS", "RESULT"),
        [(s.label, s.state, display.dod(s.dod_json), str(s.id), str(s.runs), s.result) for s in life.sprints],
    )
    click.echo()
    for run in life.runs:
        _run(life, run)
    for event in life.events:
        click.echo(display.event_line(event))


def _run(life: Life, run: Run) -> None:
    sprint = life.sprint(run)
    times = [display.when(time) for time in (run.started_at, run.finished_at) if time]
    said = run.result or ("finished" if run.finished_at else "running")
    click.echo(f"run      {run.id} of {printable(sprint.label)}: {printable(said)}")
    click.echo(f"ci run   {printable(run.ci_run_id or '-')}, {' to '.join(times) or 'nobody knows when'}")
    for each in life.artifacts:
        if each.run_id == run.id:
            size = "" if each.size is None else f", {each.size:,} bytes"
            click.echo(f"left     {printable(each.kind or '-')}: {printable(each.storage_path, 1000)}{size}")
    if run.summary_json is not None:
        decided = _decided(sprint, run)
        if isinstance(decided, str):
            click.echo(f"gate     {printable(decided)}")
        else:
            gating.table(_criteria(decided))
    click.echo()


def _decided(sprint: Tried, run: Run) -> Decision | str:
    """What the gate says to the summary of a run, whoever wrote it; in words why it can't say anything."""
    try:
        return DefinitionOfDone.model_validate(sprint.dod_json).evaluate(run.summary_json)
    except SummaryError as error:
        return f"can't decide: {error}"
    except ValidationError as error:
        wrong = error.errors(include_url=False)[0]
        return f"can't decide: {'.'.join(map(str, wrong['loc'])) or 'dod_json'}: {wrong['msg']}"


def _criteria(decision: Decision) -> Sequence[Mapping[str, Any]]:
    return [asdict(each) for each in decision.criteria]


def _plain(life: Life) -> dict[str, Any]:
    return asdict(life.spec) | {
        "sprints": [asdict(each) for each in life.sprints],
        "events": [asdict(each) for each in life.events],
        "runs": [asdict(run) | {"gate": _gate(life, run)} for run in life.runs],
        "artifacts": [asdict(each) for each in life.artifacts],
    }


def _gate(life: Life, run: Run) -> dict[str, Any] | None:
    if run.summary_json is None:
        return None
    decided = _decided(life.sprint(run), run)
    return {"trouble": decided} if isinstance(decided, str) else asdict(decided)

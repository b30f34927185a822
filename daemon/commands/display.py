"""What is in the control plane, for people as tables and for programs as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from daemon.text import json_line, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from db.events import Event
    from db.specs import Spec


def specs(found: Sequence[Spec], *, as_json: bool) -> None:
    """Specifications, a line each."""
    if as_json:
        for each in found:
            click.echo(json_line(asdict(each)))
    elif not found:
        click.echo("no specifications yet; specpost send FILE mails one")
    else:
        table(("RECEIVED", "SPEC", "REPOSITORY", "DONE", "FROM", "LAST", "SINCE"), map(_row, found))


def _row(spec: Spec) -> tuple[str | None, ...]:
    return (
        when(spec.created_at),
        str(spec.id),
        f"{spec.repo}@{spec.branch}",
        f"{spec.done}/{spec.sprints}",
        spec.created_by,
        spec.last_phase,
        when(spec.last_event_at) if spec.last_event_at else None,
    )


def dod(criteria: object) -> str:
    """A Definition of Done on one line, as ``coverage_min=0.8 e2e_pass=true``; any JSON that others wrote."""
    if not isinstance(criteria, dict):
        return json.dumps(criteria)
    return " ".join(f"{printable(key)}={json.dumps(value)}" for key, value in sorted(criteria.items()))


def event_line(event: Event) -> str:
    """An event on one line; texts from mails can do nothing to the terminal."""
    told = event.metadata or {}
    about = printable(str(told.get("spec_id") or told.get("mail_id") or "-"))
    phase, message = printable(event.phase or "-"), printable(event.message or "")
    return f"{when(event.created_at)}  {phase:<13}  {about}  {message}"


def when(moment: datetime) -> str:
    """A time in this machine's zone, to the second."""
    return moment.astimezone().isoformat(" ", "seconds")


def table(head: Sequence[str], rows: Iterable[Sequence[str | None]]) -> None:
    """Columns as wide as they need to be."""
    cells = [head, *([printable(cell or "-", 120) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())

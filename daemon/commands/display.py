"""What is in the control plane, for people as tables and for programs as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from daemon.text import json_line, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from daemon.commands.lending import Lent
    from db.events import Event
    from db.specs import Spec
    from db.sprints import Sprint


def specs(found: Sequence[Spec], *, as_json: bool) -> None:
    """Specifications, a line each."""
    if as_json:
        for each in found:
            click.echo(json_line(asdict(each)))
    elif not found:
        click.echo("no specifications yet; specpost send FILE mails one")
    else:
        rows = [
            (when(s.created_at), str(s.id), f"{s.repo}@{s.branch}", f"{s.done}/{s.sprints}", s.created_by)
            for s in found
        ]
        table(("RECEIVED", "SPEC", "REPOSITORY", "DONE", "FROM"), rows)


def spec(
    found: Spec,
    sprints: Sequence[Sprint],
    events: Sequence[Event],
    urls: Sequence[Lent] | None = None,
    *,
    as_json: bool,
) -> None:
    """One specification with its sprints and events, and where its parts can be read if that was asked."""
    if as_json:
        told = {"sprints": [asdict(s) for s in sprints], "events": [asdict(e) for e in events]}
        if urls is not None:
            told["urls"] = [asdict(each) for each in urls]
        click.echo(json_line(asdict(found) | told))
        return
    click.echo(f"spec     {found.id}")
    click.echo(f"target   {printable(found.repo)}@{printable(found.branch)}")
    click.echo(f"from     {printable(found.created_by or '-')}")
    click.echo(f"received {when(found.created_at)}")
    click.echo(f"stored   {printable(found.storage_path)}\n")
    for lent in urls or ():
        click.echo(f"{printable(lent.name or lent.media_type)}, {lent.size:,} bytes\n  {lent.url}")
    if urls:
        click.echo()
    table(
        ("SPRINT", "STATE", "DONE WHEN", "ID"),
        [(s.label, s.state, dod(s.dod_json), str(s.id)) for s in sprints],
    )
    click.echo()
    for each in events:
        click.echo(event_line(each))


def dod(criteria: dict[str, Any]) -> str:
    """A Definition of Done on one line, as ``coverage_min=0.8 e2e_pass=true``."""
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

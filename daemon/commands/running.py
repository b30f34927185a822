"""What CI does with a run: the steps of ``specpost ci``."""

from __future__ import annotations

import hashlib
import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from daemon.commands import display, gating, github
from daemon.storage import StoredObject
from daemon.text import json_line, printable
from db import artifacts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from uuid import UUID

    from psycopg import Connection

    from daemon.storage import Storage
    from db.artifacts import Artifact
    from db.events import Event
    from db.runs import Run
    from db.sprints import Sprint

#: An artifact, in octets: it is in memory while it is sent.
LARGEST = 256 << 20
#: A file's name that may be in a key as it is.
_PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}")


class ArtifactError(Exception):
    """A file that can't be stored; the text names it."""


def store(
    conn: Connection[Any], storage: Storage, run_id: UUID, kind: str, files: Sequence[Path]
) -> list[Artifact]:
    """Upload the files of one kind that a run left, and note where each lies.

    What can't be noted is not uploaded: each is noted at first in a
    transaction that is undone.

    Raises:
        ArtifactError: a file can't be read, or is too large.
        OSError: the storage doesn't take it.
        psycopg.Error: the database doesn't.
    """
    found = []
    for file in files:
        content = _content(file)
        key = artifact_key(run_id, kind, file.name, content)
        given = run_id, kind, storage.prefix + key, len(content)
        with conn.transaction(force_rollback=True):
            artifacts.record(conn, *given)
        conn.commit()
        storage.put([StoredObject(key, content)])
        with conn.transaction():
            found.append(artifacts.record(conn, *given))
    return found


def tell_next(sprint: Sprint | None, *, as_json: bool) -> None:
    """Print which sprint is next, and set it as outputs."""
    github.output(
        {
            "sprint_id": str(sprint.id) if sprint else "",
            "label": sprint.label if sprint else "",
            "dod": json_line(sprint.dod_json) if sprint else "",
        }
    )
    if as_json:
        click.echo(json_line(asdict(sprint) if sprint else None))
    elif sprint:
        click.echo(f"{sprint.id}  {printable(sprint.label)}  {display.dod(sprint.dod_json)}")


def tell_start(run: Run, *, as_json: bool) -> None:
    """Print the id of a run, and set it as output."""
    github.output({"run_id": str(run.id), "sprint_id": str(run.sprint_id)})
    click.echo(json_line(asdict(run)) if as_json else str(run.id))


def tell_event(event: Event, *, as_json: bool) -> None:
    """Print an event that was recorded."""
    click.echo(json_line(asdict(event)) if as_json else display.event_line(event))


def tell_artifacts(found: Sequence[Artifact], *, as_json: bool) -> None:
    """Print where artifacts lie."""
    for each in found:
        click.echo(json_line(asdict(each)) if as_json else each.storage_path)


def tell_finish(said: dict[str, Any], *, as_json: bool) -> bool:
    """Print the gate, set its outputs and put it on the run's page; whether it passed."""
    result, criteria = said["result"], said["criteria"]
    github.output({key: said[key] for key in ("run_id", "sprint_id", "result")})
    github.page(gating.markdown(result, criteria))
    if as_json:
        click.echo(json_line(said))
    else:
        gating.table(criteria)
        click.echo(f"{result}: sprint {said['sprint_id']}")
    return bool(result == "PASSED")


def artifact_key(run_id: UUID, kind: str, name: str, content: bytes) -> str:
    """Where an artifact lies: by its hash, so that none replaces another; with its name if that is plain."""
    digest = hashlib.sha256(content).hexdigest()
    return f"reports/{run_id}/{kind}/{digest}" + (f"-{name}" if _PLAIN.fullmatch(name) else "")


def _content(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            content = opened.read(LARGEST + 1)
    except OSError as error:
        raise ArtifactError(f"{file}: {error.strerror or error}") from None
    if len(content) > LARGEST:
        raise ArtifactError(f"{file}: it is larger than {LARGEST >> 20} MiB")
    return content

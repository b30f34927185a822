"""``specpost cleanup``: removes what is older than ``[retention]`` says, rows and stored objects together."""

from __future__ import annotations

import sys
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
import psycopg
import structlog

from daemon import database, wiring
from daemon.log import Event
from daemon.settings.kind import show_age
from db import cleanup

if TYPE_CHECKING:
    from psycopg import Connection

    from daemon.settings import Settings
    from daemon.storage import Storage

log = structlog.get_logger()

#: How many are removed in one transaction: their rows are locked while their objects are deleted.
BATCH = 100


@dataclass(slots=True)
class Removed:
    """What was removed of one kind."""

    rows: int = 0
    objects: int = 0


def clean(settings: Settings, *, dry_run: bool) -> None:
    """Remove, or only count, what is old, kind by kind.

    It may be broken off at any time: a batch is removed whole or not at all,
    but for objects whose rows then still say that they were there; the next
    cleanup removes those.

    Raises:
        OSError: storage can't be asked; nothing of the batch is removed then.
    """
    ages = {kind: age for kind in cleanup.KINDS if (age := getattr(settings.retention, kind.name))}
    if not ages:
        click.echo("nothing is ever too old: [retention] says nothing")
        return
    with ExitStack() as stack:
        url = stack.enter_context(database.cleanup_url(settings))
        conn = stack.enter_context(psycopg.connect(url, prepare_threshold=None))
        if dry_run:
            for kind, age in ages.items():
                count = cleanup.count(conn, kind, age)
                click.echo(f"{kind.name:<8} {count:,} older than {show_age(age)} would be removed")
            return
        storage = stack.enter_context(closing(wiring.storage(settings)))
        for kind, age in ages.items():
            removed = Removed()
            try:
                _clean(conn, storage, kind, age, removed)
            finally:  # what was removed is said, even if that was all that could be
                _tell(kind, age, removed)


def _clean(conn: Connection[Any], storage: Storage, kind: cleanup.Kind, age: float, removed: Removed) -> None:
    total = cleanup.count(conn, kind, age)
    conn.rollback()
    with click.progressbar(
        length=total, label=kind.name, file=sys.stderr, hidden=not sys.stderr.isatty()
    ) as progress:
        while ids := cleanup.old(conn, kind, age, BATCH):
            keys = cleanup.keys(conn, kind, ids, storage.prefix)
            cleanup.remove(conn, kind, ids)
            storage.delete(keys)
            conn.commit()
            removed.rows += len(ids)
            removed.objects += len(keys)
            progress.update(len(ids))


def _tell(kind: cleanup.Kind, age: float, removed: Removed) -> None:
    said = f"{removed.rows:,} older than {show_age(age)} removed, with {removed.objects:,} stored objects"
    click.echo(f"{kind.name:<8} {said}")
    log.info(Event.CLEANED, kind=kind.name, rows=removed.rows, objects=removed.objects, age=show_age(age))

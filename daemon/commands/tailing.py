"""Following the status events of the control plane."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import asdict
from itertools import chain
from typing import TYPE_CHECKING, Any

import click
import psycopg
import structlog

from daemon import database
from daemon.commands import display
from daemon.log import Event
from daemon.text import json_line
from db import events
from db.follower import Follower

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from uuid import UUID

    from psycopg import Connection

    from daemon.settings import Settings
    from db.events import Event as StatusEvent

log = structlog.get_logger()

#: Seconds between two looks when nobody wakes us: a pooler swallows LISTEN in silence.
POLL = 1.0


@contextmanager
def stream(
    settings: Settings, count: int, spec_id: UUID | None, *, follow: bool
) -> Iterator[Iterator[StatusEvent]]:
    """The ``count`` newest events and, to ``follow``, all that come; of one specification if given."""
    with database.url(settings) as url:
        with _connect(url) as conn:
            follower = Follower.from_now(conn)  # first: what comes between the two is seen twice, not never
            shown = events.last(conn, count, spec_id)
        if follow:
            listen_url = settings.database.listen_url or url
            yield chain(shown, _following(url, listen_url, follower, shown, spec_id))
        else:
            yield iter(shown)


def show(found: Iterable[StatusEvent], *, as_json: bool) -> None:
    """Print events as they come."""
    for event in found:
        click.echo(json_line(asdict(event)) if as_json else display.event_line(event))


def _following(
    url: str, listen_url: str, follower: Follower, shown: Iterable[StatusEvent], spec_id: UUID | None
) -> Iterator[StatusEvent]:
    """What follows ``shown``; through a database that goes away and comes back."""
    seen = {event.id for event in shown}
    while True:
        try:
            with _connect(url) as conn, _connect(listen_url) as bell:
                bell.execute(f"listen {events.CHANNEL}")
                for event in _polled(conn, bell, follower):
                    if event.id not in seen and _is_about(event, spec_id):
                        yield event
        except psycopg.OperationalError as error:
            log.warning(Event.DATABASE_DOWN, reason=str(error))
            time.sleep(POLL)


def _polled(conn: Connection[Any], bell: Connection[Any], follower: Follower) -> Iterator[StatusEvent]:
    while True:
        yield from follower.poll(conn)
        for _ in bell.notifies(timeout=POLL, stop_after=1):
            pass


def _connect(url: str) -> Connection[Any]:
    return psycopg.connect(url, autocommit=True, prepare_threshold=None)


def _is_about(event: StatusEvent, spec_id: UUID | None) -> bool:
    return spec_id is None or (event.metadata or {}).get("spec_id") == str(spec_id)

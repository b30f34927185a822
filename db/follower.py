"""Following ``status_events`` so that no event is skipped, even one that commits late."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from psycopg.rows import class_row

from db.events import COLUMNS, Event

if TYPE_CHECKING:
    from collections.abc import Iterable

    from psycopg import Connection

#: Ids below the newest among which a new follower looks for events that have yet to commit.
LOOK_BACK = 1000
#: Seconds between drawing an id and its transaction being seen in snapshots, at the most.
SETTLE = 1.0

VISIBLE = f"""
select {COLUMNS} from public.status_events where id > %s
union all
select {COLUMNS} from unnest(%s::bigint[], %s::bigint[]) as gap (first, last)
  join public.status_events on id between first and last
order by id
"""  # noqa: S608 - nothing but our own list of columns

SNAPSHOT = """
select pg_snapshot_xmin(s)::text::bigint, pg_snapshot_xmax(s)::text::bigint
from pg_current_snapshot() as s
"""


@dataclass(frozen=True, slots=True)
class _Gap:
    """Ids that were drawn and are not seen; ``first_seen`` in monotonic seconds.

    Every transaction that may still fill the gap is older than ``horizon``,
    once that is known.
    """

    first: int
    last: int
    first_seen: float
    horizon: int | None = None

    def without(self, seen: Iterable[int]) -> Iterable[_Gap]:
        """What is left of the gap when ``seen`` (ascending) were seen."""
        first = self.first
        for number in seen:
            if first <= number <= self.last:
                if first < number:
                    yield replace(self, first=first, last=number - 1)
                first = number + 1
        if first <= self.last:
            yield replace(self, first=first)

    def dated(self, youngest: int, asked: float) -> _Gap:
        """The gap with its horizon, if ``youngest``, which was ``asked`` for then, is one."""
        if self.horizon is None and asked - self.first_seen > SETTLE:
            return replace(self, horizon=youngest)
        return self

    def may_fill(self, oldest: int) -> bool:
        """Whether a transaction that could fill the gap may still run."""
        return self.horizon is None or oldest < self.horizon


@dataclass(slots=True)
class Follower:
    """Sees every event once, also one that commits after events with larger ids.

    Ids are drawn before the commit, so asking for ``id > last`` alone would
    skip what commits late. Gaps in the ids are remembered and asked for
    again, until every transaction that could fill them is over.
    """

    after: int
    _gaps: list[_Gap] = field(default_factory=list)

    @classmethod
    def from_now(cls, conn: Connection) -> Follower:
        """A follower of what is not visible yet."""
        newest = conn.execute("select coalesce(max(id), 0) from public.status_events").fetchall()[0][0]
        follower = cls(max(0, newest - LOOK_BACK))
        follower.poll(conn)
        return follower

    def poll(self, conn: Connection) -> list[Event]:
        """The events that became visible since the last call, by id.

        ``conn`` is in autocommit, for each statement needs a snapshot of its own.
        """
        # Before the events: whatever had ended by this snapshot is visible to the next statement.
        asked = time.monotonic()
        oldest, youngest = conn.execute(SNAPSHOT).fetchall()[0]
        events = self._visible(conn)
        self._remember(events)
        self._gaps = [gap.dated(youngest, asked) for gap in self._gaps if gap.may_fill(oldest)]
        return events

    def _visible(self, conn: Connection) -> list[Event]:
        bounds = [gap.first for gap in self._gaps], [gap.last for gap in self._gaps]
        with conn.cursor(row_factory=class_row(Event)) as cursor:
            return cursor.execute(VISIBLE, [self.after, *bounds]).fetchall()

    def _remember(self, events: list[Event]) -> None:
        seen = [event.id for event in events]
        newest = max([self.after, *seen])
        spans = [*self._gaps, _Gap(self.after + 1, newest, time.monotonic())]
        self._gaps = [left for span in spans for left in span.without(seen)]
        self.after = newest

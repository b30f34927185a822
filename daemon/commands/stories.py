"""What became of mails: a line for each, or the life of one on a page."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from daemon.commands import display
from daemon.outcome import Problem
from daemon.text import json_line, printable
from db import events, mailboxes, parts, specs, stories
from db import jobs as job_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from psycopg import Connection

    from db.events import Event
    from db.jobs import Job
    from db.mailboxes import Watched
    from db.parts import PartRow
    from db.specs import Spec
    from db.stories import Arrival, Mail

#: Mails of one sender that are listed when they are asked for by their address.
OF_A_SENDER = 20

_UNITS = {"s": "seconds", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True)
class Story:
    """All that is known of one mail."""

    mail: Mail
    arrivals: list[Arrival]
    parts: list[PartRow]
    specs: list[Spec]
    events: list[Event]
    jobs: list[Job]

    @property
    def kept(self) -> bool:
        """Whether what was stored of it is kept still."""
        return not (self.mail.dropped_at or self.mail.superseded_by)

    @classmethod
    def of(cls, conn: Connection[Any], mail: Mail) -> Story:
        """Read it."""
        stored = parts.of_mail(conn, mail.id)
        made = specs.some(conn, {part.spec_id for part in stored if part.spec_id})
        return cls(
            mail,
            stories.arrivals(conn, mail.id),
            stored,
            made,
            events.of_mail(conn, mail.id),
            job_table.of_mail(conn, mail.id),
        )


def since(text: str, now: datetime) -> datetime:
    """The time that ``text`` says: ``2 h`` or ``7d`` ago, or one as ISO 8601 has it, local without a zone.

    Raises:
        ValueError: it is neither.
    """
    number = text.rstrip("abcdefghijklmnopqrstuvwxyz")
    unit = _UNITS.get(text[len(number) :])
    try:
        return now - timedelta(**{unit: float(number)}) if unit else datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise ValueError('a time such as "2h", "7d", 2026-11-27 or 2026-11-27T10:00') from None


def listed(found: Sequence[Mail], *, as_json: bool) -> None:
    """Mails, a line each."""
    if as_json:
        for mail in found:
            click.echo(json_line(asdict(mail)))
        return
    rows = [
        (
            display.when(mail.received_at),
            str(mail.id),
            _became(mail),
            mail.sender,
            printable(mail.subject or "", 40),
            _why(mail),
        )
        for mail in found
    ]
    display.table(("RECEIVED", "MAIL", "VERDICT", "FROM", "SUBJECT", "WHY"), rows)


def told(story: Story, *, as_json: bool) -> None:
    """The life of one mail."""
    if as_json:
        click.echo(json_line(_plain(story)))
        return
    for line in (*_about(story.mail), "", *_came(story.arrivals), *_follows(story.jobs)):
        click.echo(line)
    if story.parts:
        click.echo()
        display.table(
            ("STORED" if story.kept else "WAS STORED", "TYPE", "BYTES", "NAME", "SPECIFICATION"),
            [
                (p.key, p.media_type, f"{p.size:,}", p.name, str(p.spec_id) if p.spec_id else None)
                for p in story.parts
            ],
        )
    if story.specs:
        click.echo()
        display.specs(story.specs, as_json=False)
    if story.events:
        click.echo()
    for each in story.events:
        click.echo(display.event_line(each))


def jobs(found: Sequence[Job], *, as_json: bool) -> None:
    """Jobs, a line each."""
    if as_json:
        for job in found:
            click.echo(json_line(asdict(job)))
    elif not found:
        click.echo("nothing is to be done")
    else:
        rows = [
            (
                display.when(job.created_at),
                str(job.id),
                job.kind,
                str(job.mail_id),
                str(job.attempts),
                state(job),
            )
            for job in found
        ]
        display.table(("ASKED FOR", "JOB", "KIND", "MAIL", "ATTEMPTS", "STATE"), rows)


def unseen(conn: Connection[Any], what: str, polls: Mapping[str, float]) -> str:
    """What there is to say of a mail that isn't there: how the mailboxes fare in which it may still lie.

    ``polls`` says for each account after how many seconds it is looked
    through again, if nothing makes it sooner.
    """
    said = f"never seen: no mail has the id, the Message-ID or the sender {printable(what)!r}"
    watched = [(mailboxes.watched(conn, account), poll) for account, poll in polls.items()]
    return "\n".join([said, *(_fares(each, poll) for each, poll in watched if each)])


def _became(mail: Mail) -> str:
    settled = ", dropped" if mail.dropped_at else ", replaced" if mail.superseded_by else ""
    return f"{mail.verdict}{settled}" + (f" x{mail.came}" if mail.came > 1 else "")


def _why(mail: Mail) -> str | None:
    if mail.dropped_why:
        return printable(mail.dropped_why, 80)
    if mail.problems:
        more = len(mail.problems) - 1
        return printable(str(Problem(**mail.problems[0])), 80) + (f" (+{more} more)" if more else "")
    return mail.reason and printable(mail.reason, 80)


def _about(mail: Mail) -> Iterator[str]:
    yield f"mail      {mail.id}"
    yield f"verdict   {mail.verdict}" + (f": {printable(mail.reason, 1000)}" if mail.reason else "")
    for problem in mail.problems:
        yield f"problem   {printable(str(Problem(**problem)), 1000)}"
    yield f"from      {printable(mail.sender or 'nobody that is beyond doubt')}"
    yield f"rule      {printable(mail.rule or '-')}"
    for key, value in sorted(mail.evidence.items()):
        said = value if isinstance(value, str) else json_line(value)
        yield f"evidence  {printable(key)}: {printable(said)}"
    yield f"subject   {printable(mail.subject or '-')}"
    yield f"message   {printable(mail.message_id or '-')}"
    yield f"sent      {display.when(mail.sent_at) if mail.sent_at else '-'}"
    yield f"received  {display.when(mail.received_at)} by {mail.source}, {mail.size:,} bytes"
    yield f"decided   {display.when(mail.decided_at)}"
    if mail.dropped_at:
        yield f"dropped   {display.when(mail.dropped_at)}: {printable(mail.dropped_why or '-', 1000)}"
    if mail.supersedes:
        yield f"replaces  {mail.supersedes}, the same bytes, which were held or rejected before"
    if mail.superseded_by:
        yield f"replaced  by {mail.superseded_by}, as which it was accepted later on"


def _came(arrivals: Sequence[Arrival]) -> Iterator[str]:
    for each in arrivals:
        slot = f"{each.account}/{each.folder} {each.uidvalidity}:{each.uid}" if each.account else None
        way = slot or f"{each.peer or '-'} <{each.mail_from or ''}> to {', '.join(each.rcpt_to) or '-'}"
        how = f"{each.source} {printable(way)}" + (f", logged in as {each.login}" if each.login else "")
        yield f"came      {display.when(each.received_at)} by {how}: {each.verdict}"


def _follows(found: Sequence[Job]) -> Iterator[str]:
    for job in found:
        tries = f"{job.attempts} attempt{'s' * (job.attempts != 1)}"
        yield f"job       {display.when(job.ended_at or job.created_at)} {job.kind}: {state(job)}, {tries}"


def state(job: Job) -> str:
    """How far a job is."""
    trouble = f": {printable(job.trouble)}" if job.trouble else ""
    if job.state != "waiting":
        return job.state + trouble
    if job.owner:
        return f"being done by {printable(job.owner)}{trouble}"
    return f"due {display.when(job.due_at)}{trouble}"


def _fares(watched: Watched, poll: float) -> str:
    looked = "never looked through"
    if watched.looked_at:
        ago = max((datetime.now(UTC) - watched.looked_at).total_seconds(), 0)
        again = f", again in {max(poll - ago, 0):.0f} s at the latest" if watched.leased else ""
        looked = f"last looked through {ago:.0f} s ago{again}"
    nobody = "" if watched.leased else ", and nobody watches it now"
    return f"mailbox {watched.account}: {looked}; {printable(watched.state or 'no word of it')}{nobody}"


def _plain(story: Story) -> dict[str, Any]:
    lists = ("arrivals", "parts", "specs", "events", "jobs")
    return asdict(story.mail) | {name: [asdict(each) for each in getattr(story, name)] for name in lists}


def raw(parts: Sequence[PartRow]) -> PartRow | None:
    """The mail as it came; None when it wasn't kept."""
    return next((part for part in parts if part.place == "raw"), None)

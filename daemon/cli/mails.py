"""What became of mails."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from daemon.cli import edge

if TYPE_CHECKING:
    from pathlib import Path

#: What can become of a mail that is recorded (daemon.outcome.Verdict, which would have to be imported first).
VERDICTS = ("accepted", "rejected", "refused", "ignored", "held")


@click.command()
@click.option("-n", "count", type=edge.COUNT, default=50, show_default=True, help="How many, newest first.")
@click.option("--verdict", type=click.Choice(VERDICTS), help="Only those of which this became.")
@click.option("--since", metavar="TIME", help='Only what came since then: "2h", "7d", or a date or time.')
@edge.as_json
@edge.config
def mails(count: int, verdict: str | None, since: str | None, *, as_json: bool, config: Path | None) -> None:
    """List the mails that came in, and what became of each.

    \b
    Examples:
      specpost mails --verdict held
      specpost mails --since 2h --json | jq -r 'select(.verdict == "refused").reason'
    """
    from datetime import UTC, datetime

    from daemon.commands import stories as display
    from db import stories

    try:
        after = display.since(since, datetime.now(UTC)) if since else None
    except ValueError as wrong:
        raise click.BadParameter(f"{since!r} is not {wrong}", param_hint="--since") from None
    with edge.connection(config) as conn:
        display.listed(stories.newest(conn, count, verdict, after), as_json=as_json)


@click.command()
@click.argument("what", metavar="ID|MESSAGE-ID|ADDRESS")
@edge.as_json
@edge.config
def why(what: str, *, as_json: bool, config: Path | None) -> None:
    """Tell the life of a mail: how it came, what was found in it, what became of it, and why.

    It is named by its id or that of a specification in it, by its Message-ID,
    or by its sender's address. Of several, each is listed. The status is 1 when there is none; then it says
    how the mailboxes fare in which it may still lie.

    \b
    Examples:
      specpost why 7d0c1f3e-…
      specpost why '<20261122.1000@example.org>'
      specpost why ana@example.org
    """
    from daemon.commands import stories as display
    from db import stories

    settings = edge.settings(config)
    with edge.connection(config) as conn:
        found = stories.of(conn, what, display.OF_A_SENDER)
        if not found:
            raise edge.Fatal(display.unseen(conn, what, list(settings.imap)))
        if len(found) > 1:
            display.listed(found, as_json=as_json)
        else:
            display.told(display.Story.of(conn, found[0]), as_json=as_json)


@click.command()
@click.argument("what", metavar="ID|MESSAGE-ID")
@edge.config
def export(what: str, config: Path | None) -> None:
    """Write a mail to standard output, to the byte as it came.

    \b
    Example:
      specpost export 7d0c1f3e-… > mail.eml
    """
    from contextlib import closing

    from daemon import wiring
    from daemon.commands import stories as display
    from db import parts, stories

    settings = edge.settings(config)
    with edge.connection(config) as conn:
        found = stories.of(conn, what, display.OF_A_SENDER)
        if len(found) != 1:
            raise edge.Fatal(f"{what!r} names {len(found)} mails; specpost mails lists those there are")
        raw = display.raw(parts.of_mail(conn, found[0].id))
    if raw is None:
        raise edge.Fatal(f"only that it came was kept of mail {found[0].id}: specpost why tells its life")
    with edge.explained(), closing(wiring.storage(settings)) as storage:
        sys.stdout.buffer.write(storage.get(raw.key, raw.sha256))


COMMANDS = (mails, why, export)

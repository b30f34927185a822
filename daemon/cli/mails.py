"""What became of mails."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from daemon.cli import edge

if TYPE_CHECKING:
    from pathlib import Path
    from uuid import UUID

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
            polls = {name: imap.poll for name, imap in settings.imap.items()}
            raise edge.Fatal(display.unseen(conn, what, polls))
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


@click.command()
@click.argument("names", metavar="[ID|MESSAGE-ID]...", nargs=-1)
@click.option("--held", is_flag=True, help="All mails that are held.")
@click.option("--dry-run", is_flag=True, help="Only say what would become of them.")
@edge.config
def replay(names: tuple[str, ...], *, held: bool, dry_run: bool, config: Path | None) -> None:
    """Read held or rejected mails again, by today's rules.

    What was wrong may have been ours: a limit, a rule, a fault that is
    mended. A mail that is fine by now becomes the specification that it
    would have been at first. Prints what became of each; the status is 0
    when all are accepted, or would be. A copy of it in a mailbox stays where
    it was filed.

    \b
    Examples:
      specpost replay --held --dry-run
      specpost replay 7d0c1f3e-…
    """
    from daemon.commands import replaying

    if bool(names) == held:
        raise click.UsageError("which mails? Name some, or say --held")
    with edge.explained():
        accepted = replaying.replay(edge.settings(config), names, dry_run=dry_run)
    sys.exit(not accepted)


@click.command()
@click.argument("name", metavar="ID|MESSAGE-ID")
@click.option("--why", required=True, metavar="TEXT", help="For whoever asks what became of it.")
@edge.config
def drop(name: str, why: str, config: Path | None) -> None:
    """Give up a held or rejected mail.

    It is no longer held, and the daemon removes what was kept of it. That it
    came, and why it was dropped, can be told for ever.

    \b
    Example:
      specpost drop 7d0c1f3e-… --why "spam"
    """
    from daemon.commands import replaying

    with edge.connection(config) as conn:
        replaying.drop(conn, name, why)


@click.command()
@click.option("--repair", is_flag=True, help="Mend what can be mended, and remove what nobody refers to.")
@edge.as_json
@edge.config
def reconcile(*, repair: bool, as_json: bool, config: Path | None) -> None:
    """Hold what is recorded against what is stored, and against the mailboxes.

    Objects that are missing, or have another size than was recorded, are
    made again out of the mail as it came. Objects that nothing recorded
    refers to are removed once they are an hour old: they are of mails whose
    senders were told to try again. After a database was restored from a
    backup they may be all that is left of newer mails: look before you
    repair. The status is 0 when all is well, or was mended.

    \b
    Examples:
      specpost reconcile
      specpost reconcile --repair
    """
    from daemon.commands import reconciling

    with edge.connection(config) as conn:
        well = reconciling.reconcile(conn, edge.settings(config), repair=repair, as_json=as_json)
    sys.exit(not well)


@click.command()
@click.option("-n", "count", type=edge.COUNT, default=50, show_default=True, help="How many, the dead first.")
@click.option("--retry", "job_id", type=click.UUID, metavar="ID", help="Have a dead one tried again.")
@edge.as_json
@edge.config
def jobs(count: int, job_id: UUID | None, *, as_json: bool, config: Path | None) -> None:
    """List what is still to be done after mails were recorded, and what was given up.

    \b
    Examples:
      specpost jobs
      specpost jobs --retry 7d0c1f3e-…
    """
    from daemon.commands import stories as display
    from db import jobs as table

    with edge.connection(config) as conn:
        if job_id and not table.revive(conn, job_id):
            raise edge.Fatal(f"there is no dead job {job_id}; specpost jobs lists them")
        display.jobs(table.unfinished(conn, count), as_json=as_json)


@click.command()
@click.option("--dry-run", is_flag=True, help="Only count what would be removed.")
@edge.config
def cleanup(*, dry_run: bool, config: Path | None) -> None:
    """Remove what is older than [retention] says.

    Rows and what is stored of them go together, kind by kind, a hundred at a
    time; it may be broken off at any time. What is young, what runs, and
    what is still referred to stays. It works as a login of its own
    ([database] cleanup_url), since the daemon's may delete nothing.

    \b
    Examples:
      specpost cleanup --dry-run
      specpost cleanup
    """
    from daemon import log
    from daemon.commands import cleaning

    settings = edge.settings(config)
    if not sys.stderr.isatty():
        log.configure(settings.log.format, settings.log.level)
    with edge.explained():
        cleaning.clean(settings, dry_run=dry_run)


COMMANDS = (mails, why, export, replay, drop, reconcile, jobs, cleanup)

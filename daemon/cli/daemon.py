"""The daemon itself, and what is mailed to it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from daemon.cli import edge


@click.command()
@edge.config
def run(config: Path | None) -> None:
    """Be the daemon, in the foreground.

    It ends by Ctrl-C or SIGTERM. Without a configuration it brings its own PostgreSQL and storage, and
    takes mail on 127.0.0.1:8025 or the next free port. Its state lies in
    $STATE_DIRECTORY, else $XDG_STATE_HOME/specpost, else
    ~/.local/state/specpost.

    \b
    Example:
      SPECPOST_SMTP__LISTEN=127.0.0.1:2525 specpost run --config specpost.toml
    """
    from functools import partial

    from daemon import log, service
    from daemon.settings import load

    settings = edge.settings(config)
    log.configure(settings.log.format, settings.log.level)
    with edge.explained():
        service.run(settings, partial(load, config))


@click.command("try")
@click.option("--once", is_flag=True, help="End after the walk: status 0, or 1 and the reason.")
def try_(*, once: bool) -> None:
    """See it work: a daemon, a mail, its rows.

    Everything is embedded and stays in one folder; nothing needs to be
    configured. The daemon goes on, so that you can mail your own, until
    Ctrl-C.

    \b
    Example:
      specpost try            # and in another terminal:
      specpost send spec.yaml
    """
    from daemon.commands import trial

    with edge.explained():
        trial.walk(edge.settings(Path(os.devnull)), once=once)


@click.command()
@click.argument("files", nargs=-1, required=True, type=edge.FILE)
@click.option("--to", metavar="ADDR", help="The recipient; default: the daemon's first address.")
@click.option("--from", "sender", metavar="ADDR", help="The sender; default: you at this machine.")
@click.option(
    "--subject", metavar="TEXT", help="May name the repository: [owner/name] or [owner/name@branch]."
)
@click.option("--smtp", metavar="HOST:PORT", help="Where to; default: the daemon that runs on this machine.")
def send(
    files: tuple[Path, ...], to: str | None, sender: str | None, subject: str | None, smtp: str | None
) -> None:
    """Mail specifications, or an .eml.

    FILEs are attached to one new mail, which is planned even if the same
    files were mailed before; an .eml is sent as it is. Prints the daemon's
    answer; the status is 0 when it said 250.

    \b
    Examples:
      specpost send spec.yaml
      specpost send --subject '[octo/app@develop] Login' login.md mockup.png
      specpost send mail.eml --smtp 127.0.0.1:2525
    """
    from daemon.commands import posting

    settings = edge.settings(None)
    with edge.explained():
        letter = posting.compose(files, settings, to=to, sender=sender, subject=subject)
        code, text = posting.deliver(letter, posting.door(settings, smtp))
    click.echo(f"{code} {text}")
    sys.exit(code != posting.ACCEPTED)


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--dns", is_flag=True, help="Look up what proves a mail's sender; else nothing is asked.")
@click.option("--peer", metavar="ADDRESS", help="Who brings the mail: an IP address, or unix; SPF asks.")
@edge.config
def check(file: Path, config: Path | None, peer: str | None, *, dns: bool) -> None:
    """Say what would become of a file.

    FILE is a specification or an .eml, or - for standard input. Of a mail it
    also says whether its sender may send it, and why not; a specification
    by itself has no sender, so a rule's defaults are not applied. Needs no
    database and, but for --dns, no network, and changes nothing. The status
    is 0, or 1 when it would not be taken.

    \b
    Examples:
      specpost check spec.yaml
      specpost check --dns --peer 192.0.2.7 mail.eml
      specpost check - < mail.eml
    """
    from daemon.commands import checking

    with edge.explained():
        fine = checking.check(checking.Asked(file, peer, dns), edge.settings(config))
    sys.exit(not fine)


COMMANDS = (run, try_, send, check)

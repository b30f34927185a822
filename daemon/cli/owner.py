"""What is done to a database as its owner."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from daemon.cli import edge

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@click.option("--url-file", type=edge.FILE, help="A file with the owner's URL; default: $SPECPOST_OWNER_URL.")
@click.option(
    "--create-login", "login", metavar="NAME", help="Make a login, or give one that is there a new password."
)
@click.option(
    "--role",
    type=click.Choice(["specpost_daemon", "ci_runner", "specpost_cleanup"]),
    help="With --create-login: whose rights it has, the daemon's (default), CI's, or cleanup's.",
)
@click.option("--out", type=edge.OUT, help="With --create-login: the file for its URL (made with mode 0600).")
def migrate(url_file: Path | None, login: str | None, role: str | None, out: Path | None) -> None:
    """Bring a database to this release's schema.

    This is done as its owner. The owner's URL never goes on the command line. `supabase --workdir db db push`
    applies the same migrations; use either.

    \b
    Examples:
      specpost migrate --url-file owner_url
      specpost migrate --url-file owner_url --create-login specpost --out /etc/specpost/database__url
      specpost migrate --url-file owner_url --create-login ci --role ci_runner --out ci_url
    """
    from daemon.commands import owning

    if (login is None) != (out is None):
        raise click.UsageError("--create-login NAME and --out FILE go together")
    if role and login is None:
        raise click.UsageError("--role is of the login that --create-login NAME makes")
    with edge.explained(), owning.connected(url_file) as owner:
        if login is None or out is None:
            owning.migrate(owner)
        else:
            owning.create_login(owner, login, out, role or "specpost_daemon")


@click.command("db-url")
@edge.config
def db_url(config: Path | None) -> None:
    """Print the URL of the database in use.

    The embedded server is started if need be, and goes on.

    \b
    Example:
      psql "$(specpost db-url)" -c 'table specs'
    """
    from daemon import database

    with edge.explained(), database.url(edge.settings(config), keep=True) as url:
        click.echo(url)


COMMANDS = (migrate, db_url)

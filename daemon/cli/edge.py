"""What all commands share: their options, and how they end when something is wrong."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg import Connection

    from daemon.settings import Settings

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
COUNT = click.IntRange(0, 1_000_000)
OUT = click.Path(dir_okay=False, path_type=Path)

config = click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The configuration; default: $SPECPOST_CONFIG, else /etc/specpost/specpost.toml if it is there.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for programs.")


def spec_id(_ctx: click.Context, _param: click.Parameter, value: str | None) -> UUID | None:
    """The id of a specification, as an option or argument has it."""
    try:
        return UUID(value) if value else None
    except ValueError:
        raise click.BadParameter(f"{value!r} is no id; specpost specs lists them") from None


class Fatal(click.ClickException):
    """Ends the command with one message on standard error, and status 1."""

    def show(self, file: Any = None) -> None:  # noqa: ANN401, ARG002 - click's signature
        """Print the message as the command's own."""
        click.echo(f"specpost: {self.message}", err=True)


class FatalConfig(Fatal):
    """As Fatal, with the status after which systemd does not try again (EX_CONFIG of sysexits.h)."""

    exit_code = 78


def settings(config: Path | None) -> Settings:
    """The settings; the log of a command is quiet."""
    from daemon import log, settings

    try:
        loaded = settings.load(config)
    except settings.SettingsError as error:
        raise FatalConfig(str(error)) from None
    log.configure("console", "warning")
    return loaded


@contextmanager
def connection(config: Path | None, *, for_ci: bool = False) -> Iterator[Connection[Any]]:
    """A connection to the control plane as the daemon's role, or as CI's."""
    import psycopg

    from daemon import database

    with (
        explained(),
        database.url(settings(config), login=database.CI if for_ci else database.DAEMON) as url,
        psycopg.connect(url, prepare_threshold=None) as conn,
    ):
        yield conn


@contextmanager
def explained() -> Iterator[None]:
    """What can go wrong at this edge, as one message and an exit status."""
    try:
        yield
    except BrokenPipeError:  # nobody reads any more, as behind head: click ends in silence
        raise
    except Exception as error:
        if told := _told(error):
            raise told from error
        raise


def _told(error: Exception) -> Fatal | None:
    """An error in words for whoever gave the command; None for one that is our own fault, or click's.

    Half of the house is imported to know them all, which is why it is when
    something is wrong.
    """
    import psycopg

    from daemon import child, database, service
    from daemon.commands import checking, posting, replaying, trial
    from db import embedded, migrate, pool

    if isinstance(error, service.StartError | database.UnfitError | pool.UrlError):
        return FatalConfig(str(error))
    expected = (
        service.ListenError,
        child.NotStarted,
        checking.CheckError,
        embedded.EmbeddedError,
        migrate.MigrationError,
        migrate.LoginError,
        OSError,
        posting.PostingError,
        replaying.ReplayError,
        trial.TrialError,
    )
    if isinstance(error, expected):
        return Fatal(str(error))
    if isinstance(error, psycopg.Error):
        return Fatal(f"the database says: {str(error).strip()}")
    return None

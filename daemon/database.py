"""Which control plane this is, and whether the daemon may work on it."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg
import structlog

from daemon import notify
from daemon.log import Event
from db import embedded, migrate
from db.pool import CI_GROUP, CLEANUP_GROUP, GROUP, NOT_A_MEMBER, UrlError, privileges, with_tls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from psycopg import Connection

    from daemon.settings import Settings

log = structlog.get_logger()


class Login(NamedTuple):
    """A login of the embedded server, and the group whose rights it has; its superuser is ``postgres``."""

    name: str
    group: str


DAEMON, CI = Login("specpost", GROUP), Login("specpost_ci", CI_GROUP)
CLEANER = Login("specpost_cleaner", CLEANUP_GROUP)
#: Seconds between two attempts to reach a database that is down at start.
RETRY = 1.0

_MIGRATE = "  SPECPOST_OWNER_URL='postgresql://owner…' specpost migrate"
_LOGIN = f"{_MIGRATE} --create-login specpost --out /etc/specpost/database__url"

TOO_MIGHTY = f"""\
the database URL's role is {{why}}; the daemon works with its own narrow rights only.
With the URL you gave as the owner's, these two commands make a login for it:
{_MIGRATE}
{_LOGIN}"""
TOO_POOR = f"""\
the database URL's role is {{why}}. As the schema's owner, these two commands give it a daemon's rights:
{_MIGRATE}
{_LOGIN}"""
TOO_OLD = f"""\
the database lacks {{count}} of this release's migrations (first: {{first}}); apply them as its owner:
{_MIGRATE}"""

NO_CLEANUP = """\
[database] cleanup_url is missing: the daemon's login may delete nothing.
As the schema's owner, this makes one that may:
  SPECPOST_OWNER_URL='postgresql://owner…' specpost migrate --create-login specpost_cleaner \\
    --role specpost_cleanup --out /etc/specpost/database__cleanup_url"""


class UnfitError(Exception):
    """The daemon may not work on this database; the text says what mends it."""


@contextmanager
def url(settings: Settings, *, keep: bool = False, login: Login = DAEMON) -> Iterator[str]:
    """The connection URL; the embedded server runs as long as the context, or on to ``keep``.

    There it is that of ``login``; who configures another database says whose login it is.

    Raises:
        UnfitError: what is configured is no URL.
        db.embedded.EmbeddedError: there is no server to be had.
    """
    if settings.database.url != "embedded":
        try:
            foreign = with_tls(settings.database.url)
        except UrlError as error:
            raise UnfitError(f"[database] url: {error}") from None
        yield foreign
        return
    with embedded.running(settings.state_dir, keep=keep) as server:
        with psycopg.connect(server.url("postgres"), autocommit=True) as owner:
            if done := migrate.migrate(owner):
                log.info(Event.DATABASE_MIGRATED, migrations=[migration.file for migration in done])
            migrate.create_login(owner, login.name, None, login.group)
        yield server.url(login.name)


@contextmanager
def cleanup_url(settings: Settings) -> Iterator[str]:
    """The URL of who may delete.

    Raises:
        UnfitError: nobody is configured who may.
    """
    if settings.database.url != "embedded":
        if settings.database.cleanup_url is None:
            raise UnfitError(NO_CLEANUP)
        yield with_tls(settings.database.cleanup_url)
        return
    with url(settings, login=CLEANER) as embedded_url:
        yield embedded_url


def revive(settings: Settings) -> None:
    """Start the embedded server again if it died; a foreign one has a keeper of its own."""
    if settings.database.url != "embedded":
        return
    try:
        with embedded.running(settings.state_dir, keep=True):
            pass  # it runs now, and the daemon's own hold on it goes on
    except embedded.EmbeddedError as error:
        log.error(Event.DATABASE_DOWN, reason=str(error))  # noqa: TRY400 - expected, and no traceback


def wait_until_fit(database_url: str, stop: Callable[[], None]) -> None:
    """Return once the database answers and the daemon may work on it; a database that is down is waited for.

    ``stop`` is asked before each attempt, and ends the waiting by what it raises.

    Raises:
        UnfitError: its schema is too old, or its role not the daemon's.
    """
    down = False
    while True:
        stop()
        try:
            with psycopg.connect(database_url, connect_timeout=10, prepare_threshold=None) as conn:
                check(conn)
        except psycopg.OperationalError as error:
            if not down:
                log.error(Event.DATABASE_DOWN, reason=str(error))  # noqa: TRY400 - expected, and no traceback
            down = True
            notify.still_starting("waiting for the database", 10 * RETRY)
            time.sleep(RETRY)
        else:
            if down:
                log.info(Event.DATABASE_UP)
            return


def check(conn: Connection[Any]) -> None:
    """Refuse a database that the daemon must not work on."""
    if why := privileges(conn):
        advice = TOO_POOR if why == [NOT_A_MEMBER] else TOO_MIGHTY
        raise UnfitError(advice.format(why=", ".join(why)))
    state = migrate.compare(conn)
    if state.missing:
        raise UnfitError(TOO_OLD.format(count=len(state.missing), first=state.missing[0]))
    if state.unknown:
        log.warning(Event.DATABASE_NEWER, migrations=state.unknown)

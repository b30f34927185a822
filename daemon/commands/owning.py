"""What is done to a database as its owner: migrations, and logins for the daemon and for CI."""

from __future__ import annotations

import os
import secrets
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
import psycopg

from db import migrate as migrations
from db.pool import redact, with_tls

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from psycopg import Connection

VARIABLE = "SPECPOST_OWNER_URL"


@dataclass(frozen=True, slots=True)
class Owner:
    """A connection as the schema's owner, and the URL that made it."""

    conn: Connection[Any]
    url: str


@contextmanager
def connected(url_file: Path | None) -> Iterator[Owner]:
    """Connect as the owner that ``url_file`` or the environment names."""
    url = url_file.read_text().strip() if url_file else os.environ.get(VARIABLE, "").strip()
    if not url:
        raise click.UsageError(
            f"who owns the database? Put the owner's URL into ${VARIABLE}, or into a file for --url-file"
        )
    url = with_tls(url)
    with psycopg.connect(url, autocommit=True, prepare_threshold=None) as conn:
        yield Owner(conn, url)


def migrate(owner: Owner) -> None:
    """Apply what is missing, telling each file."""
    done = migrations.migrate(owner.conn, lambda migration: click.echo(f"applied {migration.file}"))
    click.echo(f"{redact(owner.url)} is up to date" + ("" if done else "; there was nothing to do"))


def create_login(owner: Owner, name: str, out: Path, group: str) -> None:
    """Give ``name`` the rights of ``group`` and a new password, in a URL that nobody else can read."""
    password = secrets.token_urlsafe(32)
    unfinished = out.with_name(f".{out.name}.{secrets.token_hex(4)}")
    try:
        handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise migrations.LoginError(f"{out} can't be written: {error.strerror}") from error
    try:
        with os.fdopen(handle, "w") as file:
            file.write(migrations.login_url(owner.url, name, password) + "\n")
        migrations.create_login(owner.conn, name, password, group)
        unfinished.replace(out)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    click.echo(f"{name} may connect with the rights of {group}; its URL is in {out}")

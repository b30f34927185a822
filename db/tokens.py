"""``intake.tokens``: what each account gets its access tokens with, sealed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from psycopg.rows import class_row

if TYPE_CHECKING:
    from psycopg import Connection


@dataclass(frozen=True, slots=True)
class Token:
    """A sealed token, and which of its account's it is: each later one has a higher version."""

    version: int
    sealed: bytes = field(repr=False)


GET = "select version, sealed from intake.tokens where account = %s"

REPLACE = """
update intake.tokens set version = version + 1, sealed = %s, updated_at = now()
where account = %s and version = %s
"""

PUT = """
insert into intake.tokens (account, sealed) values (%s, %s)
on conflict (account) do update set
  version = tokens.version + 1, sealed = excluded.sealed, updated_at = excluded.updated_at
"""


def get(conn: Connection, account: str) -> Token | None:
    """The token of ``account``; None when nobody has logged in."""
    with conn.cursor(row_factory=class_row(Token)) as cursor:
        return cursor.execute(GET, [account]).fetchone()


def replace(conn: Connection, account: str, version: int, sealed: bytes) -> bool:
    """Store the token that follows ``version``; False when somebody else has stored one, which then stays."""
    return conn.execute(REPLACE, [sealed, account, version]).rowcount == 1


def put(conn: Connection, account: str, sealed: bytes) -> None:
    """Store the token of a new login, whatever there was before."""
    conn.execute(PUT, [account, sealed])

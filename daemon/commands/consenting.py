"""Consent: a person lets the daemon into a mailbox, once, and what comes of it is stored."""

from __future__ import annotations

import os
import select
import sys
import time
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Protocol

import click
import psycopg

from daemon import oauth
from daemon.credentials import ConsentError
from daemon.text import printable
from daemon.vault import Vault
from db import tokens

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    from daemon.oauth import Grant, Invitation, Provider
    from daemon.oauth.provider import Asked

#: Seconds that a person has in the browser.
PATIENCE = 900.0
#: Octets of a pasted address, and seconds for a browser that has connected to ask for something.
_PASTED_MAX, _REQUEST = 16 << 10, 5.0


class AccountError(Exception):
    """There is no such account to log in to; the text says which there are, or what it lacks."""


class Account(Protocol):
    """An account of the configuration, as far as it matters here."""

    @property
    def oauth(self) -> Asked | None:
        """How it is entered, if not by a password."""


class Configured(Protocol):
    """The settings, as far as it matters here."""

    @property
    def imap(self) -> Mapping[str, Account]:
        """The accounts by their names."""

    @property
    def oauth(self) -> Key:
        """How tokens are kept."""


class Key(Protocol):
    """How tokens are kept."""

    @property
    def key(self) -> bytes | None:
        """What they are sealed with."""


def login(
    settings: Configured, url: AbstractContextManager[str], name: str, *, browser: bool = False
) -> None:
    """Ask a person to consent to account ``name``, and store what comes of it in the database of ``url``.

    In the ``browser``, or by a code where the provider gives one. Raises
    AccountError, ConsentError, and what a provider and a database raise that
    are down.
    """
    provider, vault = oauth.provider(_asked(settings.imap, name)), _vault(settings.oauth.key)
    with url as where:
        _try(where, name)  # what is wrong with the database is better heard before a person consents
        grant = _consent(provider, browser=browser or provider.device_url is None)
        if grant.refresh_token is None:
            raise ConsentError(_without_refresh(provider))
        with psycopg.connect(where, prepare_threshold=None) as conn:
            tokens.put(conn, name, vault.seal(name, grant.refresh_token))
    click.echo(f"\nstored, sealed: the daemon gets into {name} with it from its next connection on")
    click.echo("nothing needs to be restarted; specpost run, if the daemon doesn't run yet")


def _asked(accounts: Mapping[str, Account], name: str) -> Asked:
    if name not in accounts:
        known = ", ".join(sorted(accounts)) or "none; [imap.NAME] in the configuration makes one"
        raise AccountError(f"there is no account {printable(name, 80)!r}; there are: {known}")
    asked = accounts[name].oauth
    if asked is None:
        raise AccountError(
            f'{name} is not entered by OAuth2; that takes oauth = {{ provider = "google", client_id = "…" }}'
            f" in [imap.{name}]"
        )
    return asked


def _vault(key: bytes | None) -> Vault:
    if key is None:
        raise AccountError(
            "there is no key to seal the token with; make one with openssl rand -base64 32,"
            " and give it as [oauth] key or as the credential oauth__key"
        )
    return Vault(key)


def _try(url: str, name: str) -> None:
    with psycopg.connect(url, prepare_threshold=None) as conn:
        tokens.get(conn, name)


def _without_refresh(provider: Provider) -> str:
    return (
        f"{provider.name} handed out no refresh token, so the daemon could read mail for an hour only:"
        f" nothing was stored. It must be asked for: by the scope offline_access (Microsoft and most others;"
        f" ours is {provider.scope}), or by access_type=offline in authorize_url (Google)"
    )


def _consent(provider: Provider, *, browser: bool) -> Grant:
    return _by_browser(provider) if browser else _by_code(provider)


def _by_code(provider: Provider) -> Grant:
    asked = oauth.begin(provider)
    click.echo(
        f"Open this page on any device, and log in as the mailbox's owner:\n\n  {asked.verification_uri}\n"
    )
    click.echo(f"Then type this code, which is good for {asked.expires_in / 60:.0f} minutes:\n")
    click.echo(f"  {asked.user_code}\n")
    return oauth.await_consent(provider, asked, _wait)


def _wait(seconds: float) -> None:
    """Let time go by, and show that it does where somebody watches."""
    if sys.stderr.isatty():
        click.echo(".", nl=False, err=True)
    time.sleep(seconds)


def _by_browser(provider: Provider) -> Grant:
    with closing(_Door()) as door:
        invitation = oauth.invite(provider, door.address)
        click.echo("Open this page in a browser, and log in as the mailbox's owner:\n")
        click.echo(f"  {invitation.url}\n")
        click.echo(
            f"On this machine that is all. Elsewhere the browser ends at a page that it can't open, on"
            f" {door.address}:\npaste the whole address of that page here.\n"
        )
        return _awaited(provider, invitation, door)


def _awaited(provider: Provider, invitation: Invitation, door: _Door) -> Grant:
    """The grant for the first address that is the right one."""
    deadline = time.monotonic() + PATIENCE
    while (left := deadline - time.monotonic()) > 0:
        address = door.next(left)
        if address is None:
            continue
        try:
            return oauth.redeem(provider, invitation, address)
        except oauth.AddressError as error:
            click.echo(f"that is not the address of the page ({error}); paste all of it", err=True)
    raise ConsentError(f"nobody consented at {provider.name} in time")


class _Door:
    """Where an address comes in: brought by a browser on this machine, or pasted into the terminal."""

    def __init__(self) -> None:
        self._server = _Server(("127.0.0.1", 0), _Page)
        self._typed: int | None = None
        with suppress(AttributeError, OSError, ValueError):  # there is no standard input
            self._typed = sys.stdin.fileno()
        self._text = b""

    @property
    def address(self) -> str:
        """Where a provider sends the browser; so named, Google and Microsoft allow it with any port."""
        return f"http://localhost:{self._server.server_port}"

    def close(self) -> None:
        """Take no more."""
        self._server.server_close()

    def next(self, seconds: float) -> str | None:
        """The next address; None when there is none yet, at the latest after ``seconds``."""
        if b"\n" in self._text:
            line, _, self._text = self._text.partition(b"\n")
            return line.decode(errors="replace").strip() or None
        door, typed = self._server.fileno(), self._typed
        ready, _, _ = select.select([door] if typed is None else [door, typed], [], [], seconds)
        if typed in ready:
            self._read(typed)
        if door in ready:
            self._server.handle_request()
            address, self._server.brought = self._server.brought, None
            return address
        return None

    def _read(self, typed: int) -> None:
        piece = os.read(typed, _PASTED_MAX)
        self._text = (self._text + piece)[-_PASTED_MAX:]
        if not piece:
            self._typed, self._text = None, self._text + b"\n"


class _Server(HTTPServer):
    """One request at a time, from this machine; what goes wrong with one is the browser's to try again."""

    timeout = 0
    brought: str | None = None

    def handle_error(self, _request: object, _client: object) -> None:
        """Say nothing: it would be a traceback among our words."""


class _Page(BaseHTTPRequestHandler):
    """What the browser sees at the end."""

    server: _Server
    timeout = _REQUEST

    def do_GET(self) -> None:
        """Take an address that answers; a browser asks for icons too."""
        if "state=" not in self.path:
            self.send_error(404)
            return
        self.server.brought = self.path
        text = b"specpost has the answer. Go back to the terminal: it says what became of it.\n"
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_args: object) -> None:
        """Say nothing: the code is in the path."""

"""Providers: whom tokens come from, and where to ask them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """Whom to ask, as which client, and for what.

    Without ``device_url`` there is no consent by a code, without
    ``authorize_url`` none by a browser.
    """

    name: str
    client_id: str
    client_secret: str | None = field(default=None, repr=False)
    scope: str
    token_url: str
    device_url: str | None = None
    authorize_url: str | None = None

    @property
    def client(self) -> dict[str, str]:
        """The client's fields in a request (RFC 6749, 2.3.1)."""
        secret = {"client_secret": self.client_secret} if self.client_secret else {}
        return {"client_id": self.client_id, **secret}


class Asked(Protocol):
    """What the operator says of a provider; None is what the provider is known for."""

    @property
    def provider(self) -> str:
        """``google``, ``microsoft`` or ``other``."""

    @property
    def client_id(self) -> str:
        """As whom."""

    @property
    def client_secret(self) -> str | None:
        """And its secret, if it has one."""

    @property
    def tenant(self) -> str:
        """Whose users, with Microsoft."""

    @property
    def device_url(self) -> str | None:
        """Where a code is had from."""

    @property
    def authorize_url(self) -> str | None:
        """Where a browser is sent."""

    @property
    def token_url(self) -> str | None:
        """Where tokens are had from."""

    @property
    def scope(self) -> str | None:
        """What for."""


_MICROSOFT = "https://login.microsoftonline.com/{tenant}/oauth2/v2.0"

#: What each provider documents. Google hands out a refresh token only when asked for it by these two words of
#: its own, and refuses Gmail's scope in its device flow, so that it has no device_url here.
_KNOWN: Mapping[str, Mapping[str, str]] = {
    "google": {
        "authorize_url": "https://accounts.google.com/o/oauth2/v2/auth?access_type=offline&prompt=consent",
        "token_url": "https://oauth2.googleapis.com/token",
        "scope": "https://mail.google.com/",
    },
    "microsoft": {
        "device_url": f"{_MICROSOFT}/devicecode",
        "authorize_url": f"{_MICROSOFT}/authorize",
        "token_url": f"{_MICROSOFT}/token",
        "scope": "https://outlook.office.com/IMAP.AccessAsUser.All offline_access",
    },
    "other": {},
}


def provider(asked: Asked) -> Provider:
    """The provider that the operator means: what it is known for, under what they say themselves."""
    known = {key: text.format(tenant=asked.tenant) for key, text in _KNOWN[asked.provider].items()}
    return Provider(
        name=asked.provider if asked.provider != "other" else "the provider",
        client_id=asked.client_id,
        client_secret=asked.client_secret,
        scope=asked.scope or known["scope"],
        token_url=asked.token_url or known["token_url"],
        device_url=asked.device_url or known.get("device_url"),
        authorize_url=asked.authorize_url or known.get("authorize_url"),
    )

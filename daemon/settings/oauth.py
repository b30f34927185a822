"""``[oauth]`` and an account's ``oauth``: whom tokens for its mailbox come from, and how they are kept."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from daemon.settings.kind import Kind, UnfitError, choice, hidden, matching
from daemon.settings.listen import loopback
from daemon.settings.model import Table

if TYPE_CHECKING:
    from pydantic import ValidationInfo

_KEY = 32  # octets, vault.KEY
_URL_MAX = 2000

_KEY_WORDS = "32 octets in base64, as openssl rand -base64 32 prints them"


def _read_key(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise UnfitError
    try:
        octets = base64.b64decode(value.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise UnfitError("no base64") from None
    if len(octets) != _KEY:
        raise UnfitError(f"{len(octets)} octets")
    return octets


def _read_url(value: object) -> str:
    """An address to which secrets may be sent."""
    if not isinstance(value, str) or len(value) > _URL_MAX or not value.isascii() or not value.isprintable():
        raise UnfitError
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise UnfitError from None
    if parts.scheme not in ("https", "http") or not host or " " in value or parts.fragment:
        raise UnfitError
    if "@" in parts.netloc:
        raise UnfitError("a name or password has no place in it")
    if parts.scheme == "http" and not loopback(host):
        raise UnfitError("everybody on the way could read the tokens: https, or http on loopback")
    return value


_URL = Kind('a URL, "https://…"', _read_url)
_TEXT = matching(r"[\x21-\x7e]{1,500}", "text without spaces, as the provider shows it")
_SECRET = hidden(_TEXT)
_SCOPE = matching(
    r"[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*", "scopes with one space between"
)
_TENANT = matching(
    r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?",
    '"common", "organizations", "consumers", or a tenant\'s id or domain',
)


class OAuth(Table):
    """How the daemon gets into a mailbox that takes no password: as which client of whom."""

    provider: Annotated[Literal["google", "microsoft", "other"], choice("google", "microsoft", "other")] = (
        Field(description="Who hands out the tokens; of `other` the URLs and the scope must be said.")
    )
    client_id: Annotated[str, _TEXT] = Field(
        description="The client that you have registered with the provider."
    )
    client_secret: Annotated[str | None, _SECRET] = Field(
        default=None,
        repr=False,
        description="Its secret, if it has one (with Google it has); best given as the credential"
        " `imap__NAME__oauth__client_secret`.",
    )
    tenant: Annotated[str, _TENANT] = Field(
        default="common", description="Whose users may log in; with `microsoft` only."
    )
    scope: Annotated[str | None, _SCOPE] = Field(
        default=None,
        description="What the tokens are for; left out, reading mail by IMAP and going on without you.",
    )
    token_url: Annotated[str | None, _URL] = Field(
        default=None, description="Where tokens come from; left out, the provider's own."
    )
    device_url: Annotated[str | None, _URL] = Field(
        default=None,
        description="Where codes come from that are typed on any device (RFC 8628); left out, the provider's"
        " own.",
    )
    authorize_url: Annotated[str | None, _URL] = Field(
        default=None, description="The page for consent in a browser; left out, the provider's own."
    )

    @field_validator("tenant")
    @classmethod
    def _only_with_microsoft(cls, tenant: str, info: ValidationInfo) -> str:
        if info.data.get("provider", "microsoft") != "microsoft":  # missing when it was itself refused
            raise UnfitError('only provider = "microsoft" has tenants')
        return tenant

    @model_validator(mode="after")
    def _other_is_told(self) -> OAuth:
        if self.provider != "other":
            return self
        missing = [key for key in ("token_url", "scope") if getattr(self, key) is None]
        if self.device_url is None and self.authorize_url is None:
            missing.append("device_url or authorize_url")
        if missing:
            raise ValueError(f'provider = "other" needs {", ".join(missing)} as well')
        return self


class Vault(Table):
    """How tokens are kept."""

    key: Annotated[bytes | None, hidden(Kind(_KEY_WORDS, _read_key))] = Field(
        default=None,
        repr=False,
        description="What refresh tokens are sealed with in the database, the same for all daemons that use"
        " it; best given as the credential `oauth__key`.",
    )

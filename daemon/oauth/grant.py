"""Grants: the tokens that a provider hands out."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeGuard

from daemon.oauth.wire import ProviderError, RefusalError, post

if TYPE_CHECKING:
    from collections.abc import Mapping

    from daemon.oauth.provider import Provider

#: Seconds that an access token is good for when its provider doesn't say (RFC 6749, 5.1), and at most.
USUAL, LONGEST = 3600.0, 86_400.0

#: RFC 6750, 2.1, and a bound: it becomes a line of IMAP's, in which a control character would be a command.
_TOKEN = re.compile(r"[\x21-\x7e]{1,16384}")


@dataclass(frozen=True, slots=True)
class Grant:
    """An access token, the seconds it is good for, and the refresh token that is to be used from now on.

    None is the one that was used before, or, at a login, that there is none.
    """

    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    expires_in: float


def refresh(provider: Provider, refresh_token: str) -> Grant:
    """A new access token (RFC 6749, 6).

    Raises:
        WithdrawnError: ``refresh_token`` is good no longer.
        ConsentError: a person must mend something; the text says what.
        OSError: it may pass by itself.
    """
    return granted(provider, {"grant_type": "refresh_token", "refresh_token": refresh_token})


def granted(provider: Provider, fields: Mapping[str, str]) -> Grant:
    """What the token endpoint hands out for ``fields``; raises as ``refresh`` does."""
    try:
        return grant(provider, post(provider, provider.token_url, fields))
    except RefusalError as refusal:
        explained = refusal.explained(provider)
    raise explained  # outside the handler: its frames hold what was sent


def grant(provider: Provider, answer: Mapping[str, Any]) -> Grant:
    """The grant in ``answer``.

    Raises:
        ProviderError: there is none that can be used.
    """
    access, renewed = answer.get("access_token"), answer.get("refresh_token")
    if not _is_token(access) or str(answer.get("token_type", "bearer")).lower() != "bearer":
        raise ProviderError(f"{provider.name} answered without an access token that can be used")
    if renewed is not None and not _is_token(renewed):
        raise ProviderError(f"{provider.name} answered with a refresh token that can't be used")
    return Grant(access, renewed, seconds(answer.get("expires_in"), USUAL, LONGEST))


def seconds(value: object, usual: float, longest: float) -> float:
    """``value``, a number or its digits, if it is a time that makes sense; else ``usual``."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        return usual
    return min(float(value), longest)


def _is_token(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and bool(_TOKEN.fullmatch(value))

"""Consent by a browser that is sent back to this machine (RFC 8252), and a proof that it is us (RFC 7636)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlencode, urlsplit

from daemon.credentials import ConsentError
from daemon.oauth.grant import granted
from daemon.oauth.wire import refused

if TYPE_CHECKING:
    from daemon.oauth.grant import Grant
    from daemon.oauth.provider import Provider


class AddressError(ValueError):
    """What is not the address to which the browser was sent back; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """The page on which a person consents, and by what its answer is known."""

    url: str = field(repr=False)
    redirect_uri: str
    state: str = field(repr=False)
    verifier: str = field(repr=False)


def invite(provider: Provider, redirect_uri: str) -> Invitation:
    """A page for one consent, which sends the browser on to ``redirect_uri``, on loopback.

    Raises:
        ConsentError: the provider has no such way.
    """
    if provider.authorize_url is None:
        raise ConsentError(f"{provider.name} has no page to consent on; there is no authorize_url")
    state, verifier = secrets.token_urlsafe(24), secrets.token_urlsafe(48)
    digest = hashlib.sha256(verifier.encode()).digest()
    query = urlencode(
        {
            "response_type": "code",
            "client_id": provider.client_id,
            "redirect_uri": redirect_uri,
            "scope": provider.scope,
            "state": state,
            "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
            "code_challenge_method": "S256",
        }
    )
    joint = "&" if urlsplit(provider.authorize_url).query else "?"
    return Invitation(f"{provider.authorize_url}{joint}{query}", redirect_uri, state, verifier)


def redeem(provider: Provider, invitation: Invitation, address: str) -> Grant:
    """The tokens for a consent, by the address to which the browser was sent back.

    Raises:
        AddressError: ``address`` is not that.
        ConsentError: the person or the provider refused.
        OSError: it may pass by itself; the address is good once more, or never again.
    """
    answer = _answer(invitation, address)
    if "error" in answer:
        refusal = refused(answer["error"], answer.get("error_description"), [invitation.state])
        raise refusal.explained(provider)
    if "code" not in answer:
        raise AddressError("there is no code in it")
    fields = {
        "grant_type": "authorization_code",
        "code": answer["code"],
        "redirect_uri": invitation.redirect_uri,
        "code_verifier": invitation.verifier,
    }
    return granted(provider, fields)


def _answer(invitation: Invitation, address: str) -> dict[str, str]:
    """What the address says, if it answers ``invitation``: anybody can send a browser to any address."""
    try:
        query = urlsplit(address.strip()).query
        found = {key: values[0] for key, values in parse_qs(query, max_num_fields=50).items()}
    except ValueError:
        raise AddressError("it can't be read") from None
    if not found:
        raise AddressError(f"it begins with {invitation.redirect_uri} and has a ? in it")
    if not hmac.compare_digest(found.get("state", "").encode("utf-8", "replace"), invitation.state.encode()):
        raise AddressError("it belongs to another login")
    return found

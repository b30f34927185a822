"""OAuth 2.0 as a client: how a person consents once, and how tokens are had from then on without them.

Two ways lead to consent. By a code that is typed on any device (RFC 8628),
and by a browser that is sent back to this machine, or whose address is pasted
(RFC 8252 and 7636). Google needs the second: its device flow takes no scope
of Gmail's. Whichever it was, ``refresh`` goes on from there (RFC 6749, 6).
"""

from __future__ import annotations

from daemon.oauth.browser import AddressError, Invitation, invite, redeem
from daemon.oauth.device import DeviceGrant, Wait, await_consent, begin, poll
from daemon.oauth.grant import Grant, refresh
from daemon.oauth.provider import Provider, provider
from daemon.oauth.wire import ProviderError, WithdrawnError

__all__ = [
    "AddressError",
    "DeviceGrant",
    "Grant",
    "Invitation",
    "Provider",
    "ProviderError",
    "Wait",
    "WithdrawnError",
    "await_consent",
    "begin",
    "invite",
    "poll",
    "provider",
    "redeem",
    "refresh",
]

"""Consent by a code that a person types on any device (RFC 8628)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from daemon.credentials import ConsentError
from daemon.oauth.grant import Grant, grant, seconds
from daemon.oauth.wire import ProviderError, RefusalError, post
from daemon.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from daemon.oauth.provider import Provider

_GRANT_TYPE = "urn:ietf:params:oauth:grant-type:device_code"

#: Seconds between two questions when the provider doesn't say (RFC 8628, 3.2), what is added when it asks for
#: that (3.5), and at most.
_INTERVAL, _SLOWER, _SLOWEST = 5.0, 5.0, 60.0
#: Seconds that a code is good for when the provider doesn't say, and at most.
_USUAL, _LONGEST = 900.0, 3600.0
_CODE_MAX, _URI_MAX = 64, 300


@dataclass(frozen=True, slots=True)
class DeviceGrant:
    """A code for a person to type, and where; both can be printed. Times are in seconds."""

    device_code: str = field(repr=False)
    user_code: str
    verification_uri: str
    interval: float
    expires_in: float


class Wait(Enum):
    """The person hasn't consented yet."""

    PENDING = auto()
    SLOWER = auto()
    """And we ask too often."""


def begin(provider: Provider) -> DeviceGrant:
    """Ask for a code.

    Raises:
        ConsentError: the provider has no such way, or refuses; the text says what to do.
        OSError: it may pass by itself.
    """
    if provider.device_url is None:
        raise ConsentError(f"{provider.name} gives no code to type; there is no device_url")
    try:
        answer = post(provider, provider.device_url, {"scope": provider.scope})
    except RefusalError as refusal:
        explained = refusal.explained(provider)
    else:
        return _begun(provider, answer)
    raise explained  # outside the handler: its frames hold what was sent


def _begun(provider: Provider, answer: Mapping[str, Any]) -> DeviceGrant:
    uri = answer.get("verification_uri") or answer.get("verification_url")  # Google's, older than the RFC
    device_code, user_code = answer.get("device_code"), answer.get("user_code")
    if not all(isinstance(each, str) and each for each in (uri, device_code, user_code)):
        raise ProviderError(f"{provider.name} answered without a code to type")
    return DeviceGrant(
        str(device_code),
        printable(str(user_code), _CODE_MAX),
        printable(str(uri), _URI_MAX),
        max(seconds(answer.get("interval"), _INTERVAL, _SLOWEST), 1),
        seconds(answer.get("expires_in"), _USUAL, _LONGEST),
    )


def poll(provider: Provider, asked: DeviceGrant) -> Grant | Wait:
    """Whether the person has consented.

    Raises:
        ConsentError: they refused, or the code has run out.
        OSError: it may pass by itself.
    """
    fields = {"grant_type": _GRANT_TYPE, "device_code": asked.device_code}
    try:
        return grant(provider, post(provider, provider.token_url, fields))
    except RefusalError as refusal:
        if refusal.code == "authorization_pending":
            return Wait.PENDING
        if refusal.code == "slow_down":
            return Wait.SLOWER
        explained = refusal.explained(provider)
    raise explained  # outside the handler: its frames hold what was sent


def await_consent(provider: Provider, asked: DeviceGrant, sleep: Callable[[float], None]) -> Grant:
    """Ask until the person has consented, with ``sleep`` between two questions.

    Trouble that may pass is waited out, ever slower (RFC 8628, 3.5).

    Raises:
        ConsentError: they refused, or did nothing in time.
        OSError: there was trouble to the end.
    """
    interval, waited = asked.interval, 0.0
    last: OSError | None = None
    while waited < asked.expires_in:
        sleep(interval)
        waited += interval
        try:
            found, last = poll(provider, asked), None
        except OSError as error:
            last, interval = error, min(interval * 2, _SLOWEST)
            continue
        if isinstance(found, Grant):
            return found
        if found is Wait.SLOWER:
            interval = min(interval + _SLOWER, _SLOWEST)
    raise last or ConsentError(f"nobody consented at {provider.name} in time")

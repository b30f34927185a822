"""The wire: one form sent to a provider, and its answer as an object or as an error of one of two kinds."""

from __future__ import annotations

import json
import time
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import HTTPError, NewConnectionError
from urllib3.exceptions import TimeoutError as TookTooLong

from daemon.credentials import ConsentError
from daemon.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from daemon.oauth.provider import Provider

#: Seconds until there is a connection, between two pieces of an answer, and for all of them together.
CONNECT, READ, WHOLE = 10.0, 20.0, 30.0
#: Octets of an answer; real ones have a few thousand.
ANSWER_MAX = 64 << 10

_DESCRIPTION_MAX = 200  # characters of what a provider adds in words of its own
_CODE_MAX = 60
_OK, _BAD, _WORSE = 200, 400, 500

#: Fields of a request that nobody may read.
_SECRET = {"client_secret", "refresh_token", "device_code", "code", "code_verifier"}

#: What a provider says while a person hasn't consented yet, by whatever status (Google: 428, 403; else 400).
WAITING = {"authorization_pending", "slow_down"}
#: Errors that pass by themselves (RFC 6749, 4.1.2.1), whatever the status.
_PASSING = {"temporarily_unavailable", "server_error"}
_PASSING_STATUS = {408, 429}

#: Errors that only a new login mends: RFC 6749's, and OpenID Connect's, which Microsoft says too.
_WITHDRAWN = {
    "invalid_grant": "consent was withdrawn or has run out",
    "interaction_required": "a person has to log in again",
    "login_required": "a person has to log in again",
    "consent_required": "a person has to consent again",
}
_MEANING = _WITHDRAWN | {
    "invalid_client": "it doesn't know this client; look at client_id and client_secret",
    "unauthorized_client": (
        "the client may not ask in this way; look at its settings there"
        " (at Microsoft: allow public client flows)"
    ),
    "access_denied": "consent was refused",
    "authorization_declined": "consent was refused",
    "expired_token": "nobody consented in time",
    "code_expired": "nobody consented in time",
    "invalid_scope": "the client may not ask for this scope; look at scope, and at what it is allowed there",
    "invalid_request": "it doesn't understand the request; look at the client's settings there, and at ours",
}


class ProviderError(OSError):
    """The provider can't be reached or is in trouble; it may pass by itself. The text holds no secret."""


class WithdrawnError(ConsentError):
    """There was consent, and there is no longer."""


class RefusalError(Exception):
    """The provider's own error: its code, and what it adds; both printable, bounded and free of secrets."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(code)
        self.code, self.description = code, description

    def explained(self, provider: Provider) -> ConsentError:
        """What it means to the operator."""
        meaning = f": {_MEANING[self.code]}" if self.code in _MEANING else ""
        added = f" ({self.description})" if self.description else ""
        kind = WithdrawnError if self.code in _WITHDRAWN else ConsentError
        return kind(f"{provider.name} says {self.code}{meaning}{added}")


def post(provider: Provider, url: str, fields: Mapping[str, str]) -> dict[str, Any]:
    """The object with which ``url`` answers ``fields`` and the client's own.

    Raises:
        RefusalError: the provider said an error of OAuth's.
        ConsentError: ``url`` is one to which no secret is sent.
        ProviderError: it can't be reached, or its answer is none.
        TimeoutError: it takes too long.
    """
    host = _host(url)
    sent = provider.client | dict(fields)
    try:
        status, octets = _exchanged(url, sent)
    except (HTTPError, OSError) as error:
        if _is_late(error):
            raise TimeoutError(f"{provider.name}: {host} did not answer in time") from None
        raise ProviderError(f"{provider.name}: {host} can't be reached: {_why(error)}") from None
    if octets is None:
        raise ProviderError(f"{provider.name}: {host} answered more than {ANSWER_MAX >> 10} KiB")
    return _meant(f"{provider.name}: {host}", status, _object(octets), _secrets(sent))


def refused(code: str, description: object, secrets: list[str]) -> RefusalError:
    """A refusal with ``code``; a provider may repeat what it was sent, so ``secrets`` are taken out."""
    return RefusalError(
        _plain(code, secrets, _CODE_MAX),
        _plain(description, secrets, _DESCRIPTION_MAX) if isinstance(description, str) else "",
    )


def _host(url: str) -> str:
    """The host of ``url``, if what is sent there nobody else can read."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(host)):
        raise ConsentError(f"nothing secret is sent to {printable(host, 80)} but by https")
    return printable(host, 80)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _exchanged(url: str, fields: Mapping[str, str]) -> tuple[int, bytes | None]:
    """Status and body; None for a body that is too long."""
    timeout = urllib3.Timeout(connect=CONNECT, read=READ)
    with urllib3.PoolManager(num_pools=1, retries=False, timeout=timeout) as pool:
        answer = pool.request(
            "POST",
            url,
            fields=dict(fields),
            encode_multipart=False,
            headers={"Accept": "application/json", "User-Agent": "specpost"},
            redirect=False,  # a token sent to where a redirect leads would be somebody else's
            preload_content=False,
        )
        try:
            return answer.status, _body(answer)
        finally:
            answer.close()


def _is_late(error: Exception) -> bool:
    """A connection that was refused is a kind of timeout to urllib3."""
    return isinstance(error, TookTooLong | TimeoutError) and not isinstance(error, NewConnectionError)


def _body(answer: urllib3.BaseHTTPResponse) -> bytes | None:
    """All of it, unless it is too long; a peer that drips gets no more time than one that is silent."""
    deadline, found = time.monotonic() + WHOLE, b""
    while piece := answer.read1(ANSWER_MAX, decode_content=False):
        found += piece
        if len(found) > ANSWER_MAX:
            return None
        if time.monotonic() > deadline:
            raise TimeoutError
    return found


def _object(octets: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(octets)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _meant(who: str, status: int, told: dict[str, Any] | None, secrets: list[str]) -> dict[str, Any]:
    code = told.get("error") if told else None
    if isinstance(code, str) and told and (code in WAITING or _is_final(status, code)):
        raise refused(code, told.get("error_description"), secrets)
    if told is None or code is not None or status != _OK:
        kind = "" if told is not None else ", and nothing that could be read"
        raise ProviderError(f"{who} answered {status}{kind}")
    return told


def _is_final(status: int, code: str) -> bool:
    is_theirs = status == _OK or _BAD <= status < _WORSE
    return is_theirs and status not in _PASSING_STATUS and code not in _PASSING


def _secrets(sent: Mapping[str, str]) -> list[str]:
    return [value for key, value in sent.items() if key in _SECRET and value]


def _plain(text: str, secrets: list[str], limit: int) -> str:
    for secret in secrets:
        text = text.replace(secret, "***")
    return printable(" ".join(text.split()), limit)


def _why(error: Exception) -> str:
    """The reason alone: urllib3 puts a connection's representation in front."""
    return printable(str(error).rpartition("): ")[2], 200)

"""AWS Signature Version 4, as a server checks it: signed headers and signed URLs, from the bytes on the wire.

Written from AWS's description and not with anybody's signer, so that what it
takes was signed right, whoever signed it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, unquote

if TYPE_CHECKING:
    from collections.abc import Mapping

#: How far a request's clock may be from ours (AWS's figure), and how long a signed URL may live.
SKEW, WEEK = timedelta(minutes=15), timedelta(days=7)

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<credential>[^,]+), ?SignedHeaders=(?P<headers>[^,]+), ?"
    r"Signature=(?P<signature>[0-9a-f]{64})"
)


class RefusedError(Exception):
    """Why a request isn't served: S3's own code, the status that goes with it, and what else is said."""

    def __init__(self, status: str, code: str, more: str = "") -> None:
        super().__init__(code)
        self.status, self.code, self.more = status, code, more


@dataclass(frozen=True)
class Request:
    """What came: ``target`` is the path and query as on the wire, ``headers`` have lower-case names."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Claim:
    """What a request says of its signature."""

    credential: str
    headers: str
    signature: str
    date: str
    payload: str


def now() -> datetime:
    """What the time is here."""
    return datetime.now(UTC)


def check(request: Request, keys: Mapping[str, str], region: str) -> None:
    """Raise RefusedError unless the request is signed with one of ``keys``, for this place and time."""
    query = _query(request.target)
    claim = _in_url(query) if "X-Amz-Signature" in dict(query) else _in_headers(request)
    key_id, *scope = claim.credential.split("/")
    if key_id not in keys:
        raise RefusedError("403 Forbidden", "InvalidAccessKeyId")
    if scope[1:] != [region, "s3", "aws4_request"] or scope[0] != claim.date[:8]:
        raise RefusedError("400 Bad Request", "AuthorizationHeaderMalformed", f"<Region>{region}</Region>")
    if not hmac.compare_digest(claim.signature, _signature(request, query, claim, keys[key_id])):
        raise RefusedError("403 Forbidden", "SignatureDoesNotMatch")
    if claim.payload not in ("UNSIGNED-PAYLOAD", hashlib.sha256(request.body).hexdigest()):
        raise RefusedError("400 Bad Request", "XAmzContentSHA256Mismatch")


def _in_headers(request: Request) -> Claim:
    match = _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
    if not match:
        raise RefusedError("403 Forbidden", "AccessDenied")
    date = request.headers["x-amz-date"]
    if abs(now() - _moment(date)) > SKEW:
        raise RefusedError("403 Forbidden", "RequestTimeTooSkewed")
    return Claim(**match.groupdict(), date=date, payload=request.headers["x-amz-content-sha256"])


def _in_url(query: list[tuple[str, str]]) -> Claim:
    given = dict(query)
    date, lasts = given["X-Amz-Date"], timedelta(seconds=int(given["X-Amz-Expires"]))
    if not timedelta(0) < lasts <= WEEK:
        raise RefusedError("400 Bad Request", "AuthorizationQueryParametersError")
    if not _moment(date) - SKEW <= now() <= _moment(date) + lasts:
        raise RefusedError("403 Forbidden", "AccessDenied")
    return Claim(
        given["X-Amz-Credential"],
        given["X-Amz-SignedHeaders"],
        given["X-Amz-Signature"],
        date,
        "UNSIGNED-PAYLOAD",
    )


def _signature(request: Request, query: list[tuple[str, str]], claim: Claim, secret: str) -> str:
    path = quote(unquote(request.target.partition("?")[0]), safe="/~-._")
    asked = sorted((_escaped(key), _escaped(value)) for key, value in query if key != "X-Amz-Signature")
    names = claim.headers.split(";")
    if "host" not in names:
        raise RefusedError("403 Forbidden", "SignatureDoesNotMatch")
    canonical = "\n".join(
        [
            request.method,
            path,
            "&".join(f"{key}={value}" for key, value in asked),
            *(f"{name}:{' '.join(request.headers.get(name, '').split())}" for name in names),
            "",
            claim.headers,
            claim.payload,
        ]
    )
    scope = claim.credential.partition("/")[2]
    text = f"AWS4-HMAC-SHA256\n{claim.date}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = _hmac(key, part)
    return _hmac(key, text).hex()


def _query(target: str) -> list[tuple[str, str]]:
    return parse_qsl(target.partition("?")[2].replace("+", "%2B"), keep_blank_values=True)


def _escaped(text: str) -> str:
    return quote(text, safe="~-._")


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")


def _moment(text: str) -> datetime:
    return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)

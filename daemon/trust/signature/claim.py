"""A claim: what one DKIM-Signature says of itself (RFC 6376, 3.5), read more strictly than dkimpy does."""

from __future__ import annotations

import re
from base64 import b64decode
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from daemon.trust.signature import tags

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

#: Characters of a signature that is read, and headers it may name. Real ones have 1,500 and 40; dkimpy takes
#: time in proportion to the square of the one, and to the other times the headers of the mail.
LENGTH_MAX, NAMES_MAX = 4096, 200
#: How far ahead a signer's clock may be.
CLOCK = timedelta(hours=1)
#: Headers that every signature must cover, as they are written and in lower case.
NEEDED = {name.lower(): name for name in ("From", "Subject", "Date", "Message-ID")}

_ALGORITHMS = {"rsa-sha256": "rsa", "ed25519-sha256": "ed25519"}
_METHODS = ("simple", "relaxed")
_DOMAIN = re.compile(r"(?=.{1,253}\Z)(?:[a-z0-9_-]{1,63}\.)*+[a-z0-9_-]{1,63}")
_SELECTOR = re.compile(r"(?=.{1,180}\Z)(?:[A-Za-z0-9_-]{1,63}\.)*+[A-Za-z0-9_-]{1,63}")
_HEADER = re.compile(r"[!-9;-~]{1,100}")
_NUMBER = re.compile(r"[0-9]{1,12}")
_SHA256_BYTES = 32


@dataclass(frozen=True, slots=True)
class Claim:
    """A signature that can be checked.

    ``position`` counts the mail's signatures from the topmost, 0; ``names``
    are the headers it covers, in lower case; ``header`` and ``body`` say how
    either was made canonical; ``identity`` is the domain of ``i=``; ``made``
    and ``ends`` are seconds since 1970.
    """

    position: int
    domain: str
    selector: str
    algorithm: str
    names: frozenset[str]
    header: str
    body: str
    body_hash: bytes
    identity: str
    made: int | None
    ends: int | None

    @property
    def kind(self) -> str:
        """The kind of key it takes."""
        return _ALGORITHMS[self.algorithm]

    @property
    def key_name(self) -> str:
        """Where its key is published."""
        return f"{self.selector}._domainkey.{self.domain}".lower()


def read(position: int, value: str) -> Claim | str:
    """Read an unfolded DKIM-Signature; in words why it proves nothing, when it isn't one we count."""
    about = tags.read(value) if len(value) <= LENGTH_MAX and value.isascii() and value.isprintable() else None
    if about is None:
        return "this DKIM-Signature can't be read"
    if fault := next(_faults(about), None):
        return fault
    domain, (header, body) = about["d"].lower(), _methods(about)
    made, ends = (int(about[name]) if name in about else None for name in ("t", "x"))
    return Claim(
        position=position,
        domain=domain,
        selector=about["s"],
        algorithm=about["a"],
        names=frozenset(tags.items(about["h"])),
        header=header,
        body=body,
        body_hash=b64decode(tags.packed(about["bh"])),
        identity=about.get("i", f"@{domain}").rpartition("@")[2].lower(),
        made=made,
        ends=ends,
    )


def name(value: str) -> tuple[str, str]:
    """Domain and selector as a signature writes them, whether it can be read or not."""
    about = tags.read(value[:LENGTH_MAX]) or {}
    return about.get("d", "").lower(), about.get("s", "")


def out_of_time(claim: Claim, received_at: datetime) -> Iterator[str]:
    """Why a signature doesn't count at that time, in words; ``x=`` is held to the second."""
    now = received_at.timestamp()
    if claim.made is not None and claim.made > now + CLOCK.total_seconds():
        yield "made in the future (t=)"
    if claim.ends is not None and claim.ends <= now:
        yield "past its end (x=)"
    if claim.ends is not None and claim.made is not None and claim.ends <= claim.made:
        yield "its end is before its beginning (x=, t=)"


def uncovered(claim: Claim) -> Iterator[str]:
    """What it must sign and doesn't, in words."""
    missing = [shown for needed, shown in NEEDED.items() if needed not in claim.names]
    if missing:
        yield f"it doesn't sign {', '.join(missing)}"


def _faults(about: Mapping[str, str]) -> Iterator[str]:
    missing = [tag for tag in ("v", "a", "b", "bh", "d", "h", "s") if not about.get(tag)]
    if missing:
        yield f"it has no {missing[0]}="
    elif about["v"] != "1":
        yield "its version is unknown (v=)"
    elif about["a"] not in _ALGORITHMS:
        yield f"{about['a']} counts for nothing, only {' and '.join(_ALGORITHMS)} do (RFC 8301)"
    elif "l" in about:
        yield "it leaves the end of the body open (l=)"
    elif about.get("q", "dns/txt") != "dns/txt":
        yield "it wants its key looked up in an unknown way (q=)"
    else:
        yield from _malformed(about)


def _malformed(about: Mapping[str, str]) -> Iterator[str]:
    headers = tags.items(about["h"])
    if not _DOMAIN.fullmatch(about["d"].lower()):
        yield "its domain is none (d=)"
    if not _SELECTOR.fullmatch(about["s"]):
        yield "its selector is none (s=)"
    if len(headers) > NAMES_MAX or not all(map(_HEADER.fullmatch, headers)):
        yield "what it signs can't be read (h=)"
    if not all(method in _METHODS for method in _methods(about)):
        yield "it is canonical in an unknown way (c=)"
    if not _is_base64(about["b"]) or not _is_base64(about["bh"], _SHA256_BYTES):
        yield "it holds no Base64 where it should (b=, bh=)"
    if not _is_within(about.get("i"), about["d"].lower()):
        yield "it speaks for another domain than its own (i=)"
    if not all(_NUMBER.fullmatch(about.get(tag, "0")) for tag in ("t", "x")):
        yield "its times are no numbers (t=, x=)"


def _methods(about: Mapping[str, str]) -> tuple[str, str]:
    header, _, body = about.get("c", "simple/simple").partition("/")
    return header, body or "simple"


def _is_base64(value: str, length: int | None = None) -> bool:
    try:
        octets = b64decode(tags.packed(value), validate=True)
    except ValueError:
        return False
    return len(octets) == length if length else bool(octets)


def _is_within(identity: str | None, domain: str) -> bool:
    """Whether ``i=`` is of the signing domain or of one below it (RFC 6376, 3.5)."""
    if identity is None:
        return True
    _, at, theirs = identity.lower().rpartition("@")
    return (
        bool(at) and (theirs == domain or theirs.endswith(f".{domain}")) and bool(_DOMAIN.fullmatch(theirs))
    )

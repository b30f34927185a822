"""Macros: the names that SPF records make of who sends from where (RFC 7208, 7)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

#: Octets of a name in the DNS; a longer one loses labels on its left (7.3).
_NAME_MAX = 253
#: Characters of a name with macros. Each may grow to many.
_SPEC_MAX = 512
_LITERALS = {"%%": "%", "%_": " ", "%-": "%20"}
_PIECE = re.compile(r"%\{([slodivhp])([0-9]{0,3})(r?)([-.+,/_=]*+)\}|(%[%_-])|([!-$&-~]++)", re.IGNORECASE)
#: What of an expanded name is asked for: our resolver's names are plain.
_NAME = re.compile(r"(?:[a-z0-9_=+-]{1,63}\.)++[a-z0-9-]{1,63}")


class MalformedMacroError(ValueError):
    """A name that is none by RFC 7208, 7.1."""


@dataclass(frozen=True, slots=True)
class Sending:
    """Who sends from where: an address, and the mailbox of MAIL FROM, its domain as the DNS writes it."""

    peer: IPv4Address | IPv6Address
    local: str
    domain: str


def expand(spec: str, domain: str, sending: Sending) -> str | None:
    """The name that ``spec`` in a record of ``domain`` stands for; None if it can be nobody's.

    ``%{h}`` and ``%{p}`` are ``unknown``: our doors don't keep the name that
    a client gives itself, and the RFC advises against the other.

    Raises:
        MalformedMacroError: it isn't written as the RFC has it.
    """
    if len(spec) > _SPEC_MAX:
        raise MalformedMacroError(f"{spec[:80]}…")
    expanded: list[str] = []
    position = 0
    while position < len(spec):
        piece = _PIECE.match(spec, position)
        if not piece:
            raise MalformedMacroError(spec[:80])
        expanded.append(piece[6] or _LITERALS.get(piece[5], "") or _expanded(piece, domain, sending))
        position = piece.end()
    return _shortened("".join(expanded).lower().removesuffix("."))


def _expanded(piece: re.Match[str], domain: str, sending: Sending) -> str:
    letter = piece[1]
    value = _values(domain, sending)[letter.lower()]
    parts = re.split(f"[{re.escape(piece[4] or '.')}]", value)
    if piece[3]:
        parts.reverse()
    if piece[2]:
        if not int(piece[2]):
            raise MalformedMacroError(piece[0])
        parts = parts[-int(piece[2]) :]
    text = ".".join(parts)
    return quote(text, safe="") if letter.isupper() else text


def _values(domain: str, sending: Sending) -> dict[str, str]:
    peer = sending.peer
    return {
        "s": f"{sending.local}@{sending.domain}",
        "l": sending.local,
        "o": sending.domain,
        "d": domain,
        "i": str(peer) if peer.version == 4 else ".".join(f"{int(peer):032x}"),  # noqa: PLR2004 - IPv4
        "v": "in-addr" if peer.version == 4 else "ip6",  # noqa: PLR2004 - IPv4
        "h": "unknown",
        "p": "unknown",
    }


def _shortened(name: str) -> str | None:
    while len(name) > _NAME_MAX:
        name = name.partition(".")[2]
    return name if _NAME.fullmatch(name) else None

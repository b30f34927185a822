"""The argument of MAIL and RCPT: an address and its parameters (RFC 5321 4.1.2)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from daemon.sources.refusal import Refusal

_SHAPE = re.compile(
    r"""\ *<(?P<path>(?:"(?:[^"\\]|\\.)*"|[^<>"\ ])*)>(?:\ +(?P<parameters>.*))?""", re.VERBOSE
)
#: ``@a,@b:`` before an address is a route nobody takes any more (RFC 5321 appendix C: ignore it).
_ROUTE = re.compile(r"@[^:]*:")
#: Stricter than its neighbours where an address could be read in two ways, such as a second ``@``.
#: Longer than RFC 5321's 64 octets: our own tag may hold ``owner=repository``.
_ADDRESS = re.compile(
    r"""(?:"(?:[^"\\]|\\.)*"|[^\s@"<>(),:;\\\[\]]+)@(?:[^\s@"<>(),:;\\\[\]]+|\[[^\s@"<>\\\[\]]+\])"""
)
_PARAMETER = re.compile(r"(?P<key>[A-Z0-9][A-Z0-9-]*)(?:=(?P<value>[^=]+))?", re.IGNORECASE)
_SIZE = re.compile(r"[0-9]{1,20}")  # RFC 1870 6.1
_BODIES: Final = {"7BIT", "8BITMIME"}


@dataclass(frozen=True, slots=True)
class Sender:
    """What MAIL said: ``address`` is empty for the null sender, ``size`` 0 when it was not declared."""

    address: str
    size: int
    smtputf8: bool


def sender(argument: str | None, *, takes_auth: bool = False) -> Sender:
    """Read the argument of MAIL, or refuse it: 501, 553 or 555 by what is wrong.

    AUTH, where it is taken, says whom the peer believes to have submitted
    the mail (RFC 4954 5). Nobody here believes it, so it is left at that.
    """
    path, parameters = _taken_apart(argument, "FROM:")
    if takes_auth and parameters.pop("AUTH", "<>") is None:
        raise Refusal("501 5.5.4 malformed parameter of MAIL")
    size, body = parameters.pop("SIZE", "0") or "", parameters.pop("BODY", "7BIT") or ""
    smtputf8 = "SMTPUTF8" in parameters
    if not _SIZE.fullmatch(size) or body.upper() not in _BODIES or parameters.pop("SMTPUTF8", None):
        raise Refusal("501 5.5.4 malformed parameter of MAIL")
    _no_more(parameters)
    if path and not _ADDRESS.fullmatch(path):
        raise Refusal("501 5.1.7 malformed address")
    _ascii(path, smtputf8=smtputf8)
    return Sender(path, int(size), smtputf8)


def recipient(argument: str | None, *, smtputf8: bool) -> str:
    """Read the address out of RCPT, or refuse it; ``postmaster`` alone is one (RFC 5321 4.1.1.3)."""
    path, parameters = _taken_apart(argument, "TO:")
    _no_more(parameters)
    if not _ADDRESS.fullmatch(path) and path.lower() != "postmaster":
        raise Refusal("501 5.1.3 malformed address")
    _ascii(path, smtputf8=smtputf8)
    return path


def _taken_apart(argument: str | None, keyword: str) -> tuple[str, dict[str, str | None]]:
    """Path and parameters, these by upper-case key."""
    rest = argument or ""
    shape = _SHAPE.fullmatch(rest[len(keyword) :]) if rest[: len(keyword)].upper() == keyword else None
    if shape is None:
        raise Refusal(f"501 5.5.4 syntax: {keyword}<address> [parameters]")
    return _ROUTE.sub("", shape["path"], count=1), _parameters(shape["parameters"] or "")


def _parameters(text: str) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for word in text.split():
        parameter = _PARAMETER.fullmatch(word)
        if parameter is None or parameter["key"].upper() in found:
            raise Refusal("501 5.5.4 malformed parameters")
        found[parameter["key"].upper()] = parameter["value"]
    return found


def _no_more(parameters: dict[str, str | None]) -> None:
    if parameters:
        raise Refusal("555 5.5.4 parameter not supported")


def _ascii(path: str, *, smtputf8: bool) -> None:
    """Other letters only where the sender asked for them (RFC 6531 3.4)."""
    if not path.isascii() and not smtputf8:
        raise Refusal("553 5.6.7 an address beyond ASCII needs SMTPUTF8")

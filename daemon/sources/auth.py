"""AUTH PLAIN: what a peer says to prove who it is (RFC 4954, RFC 4616)."""

from __future__ import annotations

from binascii import a2b_base64
from dataclasses import dataclass, field

from daemon.sources.refusal import Refusal

#: Octets of a name or a password, as many as RFC 4616 2 makes a server take. A whole command is then 1,035
#: long at most, so ``command_length`` (2,048) may bound it: RFC 4954's 12,288 are for larger mechanisms.
_OCTETS = 255


@dataclass(frozen=True, slots=True)
class Credentials:
    """A name and the password that is said to go with it; no ``repr`` shows the latter."""

    name: str
    password: str = field(repr=False)


def plain(response: str) -> Credentials:
    """Read the response of PLAIN: ``[authzid] NUL authcid NUL passwd``, in base64.

    Both are taken as they come: names of logins are ASCII, and a password is
    whatever its owner's program makes of it, without SASLprep.

    Raises:
        Refusal: 501 for what is no such response, 535 for acting as somebody else.
    """
    acts_for, name, password = _fields(response)
    if acts_for not in ("", name):
        raise Refusal("535 5.7.8 nobody may log in for somebody else")
    return Credentials(name, password)


def _fields(response: str) -> list[str]:
    """The three fields; what is wrong with them isn't told, and no exception keeps a piece of them."""
    try:
        fields = a2b_base64(response, strict_mode=True).decode().split("\0")
    except ValueError:
        fields = []
    is_short = all(len(each.encode()) <= _OCTETS for each in fields)
    if len(fields) != 3 or not all(fields[1:]) or not is_short:  # noqa: PLR2004 - as plain() says
        raise Refusal("501 5.5.2 malformed response to AUTH PLAIN")
    return fields

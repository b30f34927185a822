"""Where a source listens: scheme, host and port or path, as one value."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from ipaddress import ip_address

from daemon.settings.kind import Kind, UnfitError, several

SCHEMES = ("smtp", "lmtp")

_ADDRESS = re.compile(
    r"(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://)?"
    r"(?:(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s\[\]/:@*]+):(?P<port>[0-9]{1,5})/?|(?P<path>/[^\x00-\x1f\x7f]*[^/\x00-\x1f\x7f]))"
)

#: Octets of a UNIX socket's path: sun_path has 108, the last of which is NUL (unix(7)).
_PATH_MAX = 107


@dataclass(frozen=True, slots=True)
class Listen:
    """An address to listen on; ``host`` is without brackets, ``port`` 0 takes any free one.

    With a ``path`` it is a UNIX socket, and ``host`` and ``port`` mean
    nothing.
    """

    scheme: str
    host: str
    port: int
    path: str | None = None

    def __str__(self) -> str:
        """As it is written in the configuration."""
        return f"{self.scheme}://{self.place}"

    @property
    def place(self) -> str:
        """What can be listened on by one alone, but for port 0."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.path or f"{host}:{self.port}"

    @property
    def needs_senders(self) -> bool:
        """Whether mail of strangers may come this way, so that somebody must say who may send.

        LMTP is what a mail server speaks that passes on everybody's mail,
        wherever it listens.
        """
        return self.scheme == "lmtp" or not loopback(self.host)


def loopback(host: str) -> bool:
    """Whether ``host`` is an address of this machine alone.

    Of names only ``localhost`` counts (RFC 6761, section 6.3): to judge
    another one would take DNS, whose answer may change after it was judged.
    """
    if host.lower() == "localhost":
        return True
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def _read(value: object) -> Listen:
    if isinstance(value, Listen):
        return value
    match = _ADDRESS.fullmatch(value) if isinstance(value, str) else None
    if not match:
        raise UnfitError
    scheme = (match["scheme"] or SCHEMES[0]).lower()
    if scheme not in SCHEMES:
        raise UnfitError(f"{scheme}:// is not in this release")
    return _unix(scheme, match["path"]) if match["path"] else _tcp(scheme, match["host"], int(match["port"]))


def _tcp(scheme: str, host: str, port: int) -> Listen:
    if port > 65535:  # noqa: PLR2004  # the last port there is
        raise UnfitError
    return Listen(scheme, host.strip("[]").lower(), port)


def _unix(scheme: str, path: str) -> Listen:
    if scheme != "lmtp":
        raise UnfitError(f"on a UNIX socket we speak LMTP: write lmtp://{path}")
    if len(os.fsencode(path)) > _PATH_MAX:
        raise UnfitError(f"the path of a UNIX socket has at most {_PATH_MAX} octets")
    return Listen(scheme, "", 0, path)


_ONE = (
    'HOST:PORT, smtp://HOST:PORT, lmtp://HOST:PORT or lmtp://PATH, such as "127.0.0.1:8025", "[::]:25" or'
    ' "lmtp:///run/specpost/lmtp"'
)

LISTENS = several(Kind(_ONE, _read), f"{_ONE}, or a list of these")

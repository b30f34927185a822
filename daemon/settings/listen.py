"""Where a source listens: scheme, host and port, as one value."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address

from daemon.settings.kind import Kind, UnfitError, several

SCHEMES = ("smtp",)

_ADDRESS = re.compile(r"(?:([A-Za-z][A-Za-z0-9+.-]*)://)?(\[[0-9A-Fa-f:.]+\]|[^\s\[\]/:@]+):([0-9]{1,5})/?")


@dataclass(frozen=True, slots=True)
class Listen:
    """An address to listen on; ``host`` is without brackets, ``port`` 0 takes any free one."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        """As it is written in the configuration."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


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
    if not match or int(match[3]) > 65535:  # noqa: PLR2004  # the last port there is
        raise UnfitError
    listen = Listen((match[1] or SCHEMES[0]).lower(), match[2].strip("[]").lower(), int(match[3]))
    _check(listen)
    return listen


def _check(listen: Listen) -> None:
    if listen.scheme not in SCHEMES:
        raise UnfitError(f"{listen.scheme}:// is not in this release")
    if not loopback(listen.host):
        raise UnfitError("beyond loopback it must first be configured who may send, which this release can't")


_ONE = 'HOST:PORT or smtp://HOST:PORT on loopback, such as "127.0.0.1:8025" or "[::1]:8025"'

LISTENS = several(Kind(_ONE, _read), f"{_ONE}, or a list of these")

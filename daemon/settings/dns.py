"""``[dns]``: whom the daemon asks for the records that prove a sender."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Annotated, NamedTuple

from pydantic import Field

from daemon.settings.kind import Kind, UnfitError, duration, several
from daemon.settings.model import Table

PORT = 53

#: An address with a port, or none; an IPv6 address has brackets, else its own colons would be in doubt.
_SERVER = re.compile(r"(?:\[(?P<six>[^\[\]]+)\]|(?P<four>[^:\[\]]+))(?::(?P<port>[0-9]{1,5}))?")


class Server(NamedTuple):
    """A DNS server: its address, without brackets, and its port."""

    host: str
    port: int = PORT


def _read(value: object) -> Server:
    if isinstance(value, Server):
        return value
    if not isinstance(value, str):
        raise UnfitError
    match = _SERVER.fullmatch(value)
    if not match:
        return Server(_address(value))
    port = int(match["port"] or PORT)
    if not 0 < port <= 65535:  # noqa: PLR2004  # the last port there is
        raise UnfitError(f"there is no port {port}")
    return Server(_address(match["six"] or match["four"]), port)


def _address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise UnfitError("not an IP address; a name would itself have to be asked for") from None


def _show(server: Server) -> str:
    if server.port == PORT:
        return server.host
    return f"[{server.host}]:{server.port}" if ":" in server.host else f"{server.host}:{server.port}"


_SERVERS = several(
    Kind("", _read, _show),
    'IP addresses, each with a port if it is not 53, such as "192.0.2.53" or "[::1]:5353", in a list or with'
    " commas between",
)


class Dns(Table):
    """Whom to ask, and for how long."""

    servers: Annotated[tuple[Server, ...], _SERVERS] = Field(
        default=(), description="The DNS servers to ask. None: the system's."
    )
    timeout: Annotated[float, duration(0.1, 60)] = Field(
        default=10.0, description="For all DNS questions of one mail together; then it is deferred."
    )

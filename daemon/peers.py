"""Peers: who brings a mail, as far as caps count them together."""

from __future__ import annotations

from ipaddress import ip_address, ip_network


def neighbourhood(host: str) -> str:
    """Whom a cap per peer counts together: an IPv6 customer has a /64 of addresses; no address is itself."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    return host if address.version == 4 else str(ip_network((address.packed, 64), strict=False))  # noqa: PLR2004

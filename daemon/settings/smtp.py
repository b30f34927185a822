"""``[smtp]``: how mail comes in by SMTP and LMTP, whom it is believed, and how much of us it may use."""

from __future__ import annotations

import socket
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path  # noqa: TC003  # pydantic reads the annotations
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, field_validator, model_validator

from daemon.settings.kind import (
    FLAG,
    GIB,
    KIB,
    MIB,
    READABLE,
    Kind,
    UnfitError,
    count,
    duration,
    matching,
    several,
    size,
)
from daemon.settings.listen import LISTENS, Listen
from daemon.settings.model import Table

if TYPE_CHECKING:
    from pydantic import ValidationInfo

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
_ATOM = r"[\w!#$%&'/=?^`{|}~-]+"

HOSTNAME = matching(rf"{_LABEL}(?:\.{_LABEL})*", 'a host name, such as "mail.example.org"')
_RECIPIENTS = several(
    matching(rf"{_ATOM}(?:\.{_ATOM})*@[\w-]+(?:\.[\w-]+)*", ""),
    'addresses without a tag, such as "specs@example.org", in a list or with commas between',
)
_LOGINS = replace(
    READABLE,
    allowed="the path of a file that can be read (specpost login add NAME --from ADDRESS --file PATH makes"
    " one)",
)


def _relay(value: object) -> str:
    """``unix``, an address, or a network whose address has no bits beyond its length (RFC 4632, 3.1)."""
    if not isinstance(value, str):
        raise UnfitError
    if value == "unix":
        return value
    try:
        network = ip_network(value)
    except ValueError:
        raise UnfitError(_why_no_network(value)) from None
    if not network.prefixlen:
        raise UnfitError("that is everybody, and who is a relay is believed")
    return value


def _why_no_network(text: str) -> str:
    """Why ``text`` is none: most often it is an address of the network that was meant."""
    try:
        meant = ip_network(text, strict=False)
    except ValueError:
        return ""
    address = ip_address(text.partition("/")[0])
    return f"an address within a network: write {meant} for the network, or {address} for the one address"


_RELAYS = several(
    Kind("", _relay),
    'IP addresses, networks such as "10.0.0.0/24", or "unix" for UNIX sockets, in a list or with commas'
    " between",
)


class Smtp(Table):
    """How mail comes in by SMTP and LMTP, and the limits that keep one peer from taking the door."""

    listen: Annotated[tuple[Listen, ...] | None, LISTENS] = Field(
        default=None,
        description="Where to listen, one address or a list; left out, 127.0.0.1:8025 or the next free port.",
    )
    reuse_port: Annotated[bool, FLAG] = Field(
        default=False,
        description="Share the ports of `listen` with other services of the same user, each with a"
        " `state_dir` of its own (SO_REUSEPORT): the kernel deals connections out. Limits are for each"
        " service.",
    )
    hostname: Annotated[str, HOSTNAME] = Field(
        default_factory=socket.gethostname,
        description="The name in the greeting.",
        json_schema_extra={"left_out": "this machine's name"},
    )
    recipients: Annotated[tuple[str, ...], _RECIPIENTS] = Field(
        default=(),
        description="Our addresses; each also takes any `+tag`. None: every address is ours.",
    )
    max_size: Annotated[int, size(KIB, GIB)] = Field(
        default=25 * MIB, description="The largest mail that is taken; announced by SIZE (RFC 1870)."
    )
    tls_cert: Annotated[Path | None, READABLE] = Field(
        default=None, description="The certificate chain in PEM; with `tls_key` it turns STARTTLS on."
    )
    tls_key: Annotated[Path | None, READABLE] = Field(
        default=None, description="The certificate's private key in PEM."
    )
    logins_file: Annotated[Path | None, _LOGINS] = Field(
        default=None,
        description="Names, password hashes and From addresses for SMTP AUTH, which is offered under TLS"
        " alone; `specpost login add` writes it, SIGHUP reads it again.",
    )
    relays: Annotated[tuple[str, ...], _RELAYS] = Field(
        default=(),
        description="Peers whose Authentication-Results are believed; also exempt from"
        " `connections_per_peer`.",
    )
    authserv_id: Annotated[str | None, HOSTNAME] = Field(
        default=None,
        description="The server whose Authentication-Results (RFC 8601) are believed, by the name they begin"
        " with, in mail from `relays`; it must remove those that come to it with this name.",
    )
    connections: Annotated[int, count(1, 100_000)] = Field(
        default=1000, description="Sessions at a time, over all listeners."
    )
    connections_per_peer: Annotated[int, count(1, 100_000)] = Field(
        default=50,
        description="Sessions at a time from one address; loopback, UNIX sockets and `relays` are exempt.",
    )
    sender_rate: Annotated[int | None, count(1, 1_000_000)] = Field(
        default=None,
        description="New mails of one sender that are accepted within an hour; left out, no limit.",
    )
    session_timeout: Annotated[float, duration(1, 86_400)] = Field(
        default=600.0, description="The longest a session may last; a mail under way is finished first."
    )
    handshake_timeout: Annotated[float, duration(1, 300)] = Field(
        default=10.0, description="The longest a TLS handshake may take."
    )
    command_timeout: Annotated[float, duration(1, 3600)] = Field(
        default=300.0, description="The longest wait for the next command (RFC 5321, section 4.5.3.2.7)."
    )
    data_timeout: Annotated[float, duration(1, 3600)] = Field(
        default=600.0, description="The longest the transfer of one mail may take."
    )
    bytes_in_flight: Annotated[int, size(MIB, 64 * GIB)] = Field(
        default=256 * MIB,
        description="What all mails under way may occupy, at least two of `max_size`; beyond, the answer is:"
        " later.",
    )
    recipients_per_mail: Annotated[int, count(1, 10_000)] = Field(
        default=100, description="Recipients of one mail (RFC 5321 asks for 100 at least)."
    )
    line_length: Annotated[int, size(1000, MIB)] = Field(
        default=64 * KIB,
        description="The longest line of a mail; 3 % of real mail exceeds the standard's 998.",
    )
    junk_commands: Annotated[int, count(10, 10_000)] = Field(
        default=100, description="Commands without progress towards a mail after which a session is closed."
    )
    errors: Annotated[int, count(1, 1000)] = Field(
        default=20, description="Bad commands after which a session is closed."
    )

    @field_validator("logins_file")
    @classmethod
    def _needs_tls(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        """A password in clear text is everybody's; whether TLS was itself refused shows in ``info``."""
        if path and info.data.get("tls_cert", path) is None:
            raise UnfitError("it needs tls_cert and tls_key, for a password is only taken under TLS")
        return path

    @field_validator("authserv_id")
    @classmethod
    def _needs_relays(cls, name: str | None, info: ValidationInfo) -> str | None:
        """Relays alone make sense, for their exemption; a name that anybody may write does not."""
        if name and not info.data.get("relays", name):
            raise UnfitError("it needs relays, whose headers these are: anybody else can write the same")
        return name

    @model_validator(mode="after")
    def _both_or_none(self) -> Smtp:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key are given together, or neither")
        return self

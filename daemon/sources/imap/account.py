"""An account: which mailbox is watched, and how."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    from daemon.credentials import Credentials
    from daemon.outcome import Verdict

Tls = Literal["implicit", "starttls", "none"]


@dataclass(frozen=True, slots=True)
class Account:
    """One mailbox of the configuration.

    ``filed`` names the folder for each verdict, "" for those that stay where
    they are. ``idle`` and ``poll`` are seconds: after which IDLE is issued
    anew, and after which the folder is looked at whatever the server says.
    ``max_size`` is in bytes. ``context`` is for TLS, None for the system's
    trust.
    """

    name: str
    host: str
    port: int
    tls: Tls
    user: str
    credentials: Credentials = field(repr=False)
    folder: str
    take_existing: bool
    filed: Mapping[Verdict, str]
    idle: float
    poll: float
    max_size: int
    context: ssl.SSLContext | None = None

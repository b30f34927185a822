"""Credentials: what a mailbox is entered with, and why there are none at the moment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Password:
    """A password that stays; it is in no representation of this."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Bearer:
    """An access token (RFC 6750) and the seconds it is good for, from when it was handed out."""

    token: str = field(repr=False)
    seconds: float


class ConsentError(Exception):
    """There is no token until a person acts; the text says what to do, and holds no secret."""


#: Asked anew for each connection. It raises ConsentError, and OSError for what may pass by itself.
if TYPE_CHECKING:
    Credentials = Callable[[], Password | Bearer]

"""Where bytes lie. The only room that knows.

Keys are ASCII and made of ids and hashes only: names from senders stay in the
database. They are relative to ``[storage] url``, in whatever kind of storage
that is. ``put`` returns when the bytes are durable, and may be repeated.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime
    from uuid import UUID


@dataclass(frozen=True, slots=True)
class StoredObject:
    """Bytes and the key under which they lie."""

    key: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Listed:
    """An object that lies there: its size in bytes, and when it was written."""

    key: str
    size: int
    modified: datetime


class UnfitError(OSError):
    """Storage that can't be worked with as it is configured; the text says what to change."""


class Storage(Protocol):
    """What every kind of storage does. Its trouble is an OSError that names the place, and what to do."""

    prefix: str
    """What stands before the keys of all our objects for others who use the same bucket; may be empty."""

    def check(self) -> None:
        """Find out whether it can be worked with.

        Raises:
            UnfitError: not before the configuration is changed.
            OSError: not now.
        """

    def put(self, objects: Iterable[StoredObject]) -> None:
        """Make all of ``objects`` durable, replacing what lies under their keys.

        Raises:
            OSError: not all of them are; those that are harm nobody.
        """

    def get(self, key: str, sha256: str | None = None) -> bytes:
        """The bytes under ``key``, whose hash is ``sha256`` if that is given.

        Raises:
            FileNotFoundError: there are none.
            DamagedError: there are others.
            OSError: nobody knows now.
        """

    def delete(self, keys: Iterable[str]) -> None:
        """Remove the objects under ``keys``; what isn't there is no error."""

    def list(self, prefix: str = "") -> Iterator[Listed]:
        """What lies under keys that begin with ``prefix``, in no order; read bit by bit, so it may change."""

    def sign(self, key: str, seconds: int) -> str:
        """A URL by which anybody can read the object for so long, whether or not it is there."""

    def close(self) -> None:
        """Let go of what is held open."""


def raw_key(mail_id: UUID) -> str:
    """Where the message lies as it came."""
    return f"{_folder(mail_id)}/raw.eml"


def part_key(mail_id: UUID, place: str, sha256: str) -> str:
    """Where a part of the message lies, its transfer encoding undone."""
    return f"{_folder(mail_id)}/{place}-{sha256}"


def plan_key(mail_id: UUID, number: int) -> str:
    """Where the plan of the mail's ``number``-th specification lies, counted from 1."""
    return f"{_folder(mail_id)}/plan-{number}.json"


class DamagedError(OSError):
    """Other bytes lie there than were stored."""


def intact(content: bytes, where: str, sha256: str | None) -> bytes:
    """``content``, whose hash is ``sha256`` if that is given; DamagedError when it isn't."""
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        raise DamagedError(
            f"{where}: these are not the bytes that were stored: another hash than was recorded"
        )
    return content


def _folder(mail_id: UUID) -> str:
    return f"mails/{str(mail_id)[:2]}/{mail_id}"

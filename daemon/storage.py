"""Where bytes lie. The only room that knows.

Keys are ASCII and made of ids and hashes only: names from senders stay in the
database. ``put`` returns when the bytes are durable, and may be repeated.
"""

from __future__ import annotations

import os
import secrets
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from uuid import UUID

#: Files written and synced side by side.
SYNCS = 8


@dataclass(frozen=True, slots=True)
class StoredObject:
    """Bytes and the key under which they lie."""

    key: str
    content: bytes


def raw_key(mail_id: UUID) -> str:
    """Where the message lies as it came."""
    return f"{_folder(mail_id)}/raw.eml"


def part_key(mail_id: UUID, place: str, sha256: str) -> str:
    """Where a part of the message lies, its transfer encoding undone."""
    return f"{_folder(mail_id)}/{place}-{sha256}"


def plan_key(mail_id: UUID, number: int) -> str:
    """Where the plan of the mail's ``number``-th specification lies, counted from 1."""
    return f"{_folder(mail_id)}/plan-{number}.json"


def _folder(mail_id: UUID) -> str:
    return f"mails/{str(mail_id)[:2]}/{mail_id}"


class FileStorage:
    """Objects as files under ``root``, readable by their owner only.

    Own code, since what an SMTP 250 promises must survive a power cut, and
    no library for object stores syncs files and their folders.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        missing = [folder for folder in (root, *root.parents) if not folder.exists()]
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        for folder in missing:
            _sync(folder.parent)
        self._syncs = ThreadPoolExecutor(SYNCS, thread_name_prefix="storage")

    def put(self, objects: Iterable[StoredObject]) -> None:
        """Make all of ``objects`` durable, replacing what lies under their keys.

        Raises:
            OSError: not all of them are; those that are harm nobody.
        """
        files = {self.path(item.key): item.content for item in objects}
        folders = {folder for path in files for folder in self._way(path)}
        for leaf in {path.parent for path in files}:
            leaf.mkdir(parents=True, exist_ok=True)
        for _ in self._syncs.map(_write, files, files.values()):
            pass
        for _ in self._syncs.map(_sync, folders):
            pass

    def get(self, key: str) -> bytes:
        """The bytes under ``key``; FileNotFoundError when there are none."""
        return self.path(key).read_bytes()

    def path(self, key: str) -> Path:
        """The file in which the object ``key`` lies."""
        return self.root / key

    def close(self) -> None:
        """Let the writing threads go."""
        self._syncs.shutdown()

    def _way(self, path: Path) -> list[Path]:
        """The folders from ``path`` up to the root.

        All of them are synced, for one that is there already may have been
        made by a put that failed, or by another process, and not be safe yet.
        """
        return [folder for folder in path.parents if folder.is_relative_to(self.root)]


def _write(path: Path, content: bytes) -> None:
    """Bring ``path`` into being whole or not at all; its folder's sync is the caller's."""
    unfinished = path.with_name(f".{path.name[:100]}.{secrets.token_hex(8)}")
    handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:
        with suppress(OSError):
            unfinished.unlink()
        raise


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

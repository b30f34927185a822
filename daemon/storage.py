"""Where bytes lie. The only room that knows.

Keys are ASCII and made of ids and hashes only: names from senders stay in the
database. ``put`` returns when the bytes are durable, and may be repeated.
"""

from __future__ import annotations

import ctypes
import errno
import os
import secrets
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from uuid import UUID


#: Bytes that are written at once: ten megabytes in one go took ext4 20 ms, and in pieces 2.
_PIECE = 256 * 1024


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
    no library for object stores syncs files and their folders. A put is made
    durable by syncfs(2), which covers contents, names and the folders on the
    way: an fsync for each file and folder took four times as long and seven
    times the CPU, for one mail as for a hundred. It waits for what others
    have written to the same file system, too; and one in user space (FUSE)
    may not heed it.

    What is put into one folder is written into a folder aside, and gets its
    name with that, all at once. Only where the name is taken, as when a put
    is repeated, the files are moved one by one.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def put(self, objects: Iterable[StoredObject]) -> None:
        """Make all of ``objects`` durable, replacing what lies under their keys.

        Raises:
            OSError: not all of them are; those that are harm nobody.
        """
        asides: dict[str, str] = {}
        try:
            for item in objects:
                folder, _, name = f"{self.root}/{item.key}".rpartition("/")
                if folder not in asides:
                    asides[folder] = _aside(folder)
                _write(f"{asides[folder]}/{name}", item.content)
            taken = {folder: aside for folder, aside in asides.items() if not _renamed(aside, folder)}
            if taken:
                self._sync()  # the contents before the names: what is replaced is whole or as it was
            for folder, aside in taken.items():
                _move(aside, folder)
            self._sync()
        except BaseException:
            for aside in asides.values():
                shutil.rmtree(aside, ignore_errors=True)
            raise

    def get(self, key: str) -> bytes:
        """The bytes under ``key``; FileNotFoundError when there are none."""
        return self.path(key).read_bytes()

    def path(self, key: str) -> Path:
        """The file in which the object ``key`` lies."""
        return self.root / key

    def close(self) -> None:
        """Let the file system go."""
        os.close(self._handle)

    def _sync(self) -> None:
        """Have the file system write down all it knows (syncfs(2); errors of the writing since Linux 5.8)."""
        if _libc.syncfs(self._handle):
            error = ctypes.get_errno()
            raise OSError(error, f"{self.root}: {os.strerror(error)}")


_libc = ctypes.CDLL(None, use_errno=True)


def _aside(folder: str) -> str:
    """A new folder under a name that nobody has, beside ``folder``."""
    above, _, name = folder.rpartition("/")
    aside = f"{above}/.{name[:100]}.{secrets.token_hex(8)}"
    try:
        os.mkdir(aside, 0o700)
    except FileNotFoundError:
        os.makedirs(above, 0o700, exist_ok=True)
        os.mkdir(aside, 0o700)
    return aside


def _write(path: str, content: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        left = memoryview(content)
        while left:
            left = left[os.write(handle, left[:_PIECE]) :]
    finally:
        os.close(handle)


def _renamed(aside: str, folder: str) -> bool:
    """Whether ``aside`` could be given the name ``folder``; not when there is one with files in it."""
    try:
        os.rename(aside, folder)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
            raise
        return False
    return True


def _move(aside: str, folder: str) -> None:
    for name in os.listdir(aside):
        os.replace(f"{aside}/{name}", f"{folder}/{name}")
    os.rmdir(aside)

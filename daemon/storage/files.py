"""Objects as files on this machine."""

from __future__ import annotations

import ctypes
import errno
import os
import secrets
import shutil
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from daemon.storage import Listed, intact

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from daemon.storage import StoredObject

#: Bytes that are written at once: ten megabytes in one go took ext4 20 ms, and in pieces 2.
_PIECE = 256 * 1024


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

    prefix = ""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def check(self) -> None:
        """That the folder is there, and ours, was found out when it was opened."""

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

    def get(self, key: str, sha256: str | None = None) -> bytes:
        """The bytes under ``key``, whose hash is ``sha256`` if that is given.

        Raises:
            FileNotFoundError: there are none.
            OSError: there are others, or they can't be read.
        """
        return intact(self.path(key).read_bytes(), str(self.path(key)), sha256)

    def delete(self, keys: Iterable[str]) -> None:
        """Remove the objects under ``keys``, and each folder that is empty then.

        What isn't there is no error. Nothing is synced: after a power cut
        some of them may be there again, and harm nobody.
        """
        for key in keys:
            folder = f"{self.root}/{key}".rpartition("/")[0]
            with suppress(FileNotFoundError, NotADirectoryError):
                if not key.endswith("/"):
                    os.unlink(f"{self.root}/{key}")
                if folder != str(self.root):
                    _remove_empty(folder)

    def list(self, prefix: str = "") -> Iterator[Listed]:
        """What lies under keys that begin with ``prefix``, in no order.

        What is being put is listed too, and what a kill left of that: there
        a folder in the key begins with a dot. One without files is listed as
        its name and a slash, and can be deleted by that. Only its age tells
        a leftover from what is still under way.
        """
        return _listed(str(self.root), prefix.rpartition("/")[0], prefix)

    def sign(self, key: str, seconds: int) -> str:  # noqa: ARG002 - files have no time
        """The object's ``file://`` URL; who may read the file decides."""
        return self.path(key).absolute().as_uri()

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


def _remove_empty(folder: str) -> None:
    try:
        os.rmdir(folder)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise


def _listed(root: str, folder: str, prefix: str) -> Iterator[Listed]:
    """The files in and under ``folder``, a path from ``root``, whose keys begin with ``prefix``.

    A folder is read while it is walked through, so it may change, or go.
    """
    empty = True
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(f"{root}/{folder}") as entries:
        for entry in entries:
            empty = False
            key = f"{folder}/{entry.name}".removeprefix("/")
            if not key.startswith(prefix):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _listed(root, key, prefix)
                continue
            with suppress(FileNotFoundError):
                about = entry.stat(follow_symlinks=False)
                yield Listed(key, about.st_size, datetime.fromtimestamp(about.st_mtime, UTC))
        if empty and folder.rpartition("/")[2].startswith("."):
            about = os.stat(f"{root}/{folder}")
            yield Listed(f"{folder}/", 0, datetime.fromtimestamp(about.st_mtime, UTC))

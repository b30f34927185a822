"""A listener: where mail is taken, and in which protocol."""

from __future__ import annotations

import errno
import os
import socket
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Protocol = Literal["smtp", "lmtp"]


@dataclass(frozen=True, slots=True)
class Listener:
    """One protocol at one place: a bound socket, (host, port), or the path of a UNIX socket."""

    protocol: Protocol
    where: socket.socket | tuple[str, int] | Path

    def __str__(self) -> str:
        """As an operator writes it: ``127.0.0.1:25``, ``lmtp://[::1]:24``, ``lmtp:///run/specpost/lmtp``."""
        where = place(self.where) if isinstance(self.where, socket.socket) else self.where
        scheme = "" if self.protocol == "smtp" else f"{self.protocol}://"
        if isinstance(where, Path):
            return f"{scheme}{where}"
        host, port = where
        return f"{scheme}[{host}]:{port}" if ":" in host else f"{scheme}{host}:{port}"


def place(bound: socket.socket) -> tuple[str, int] | Path:
    """What ``bound`` is bound to, without IPv6's flow and scope."""
    name = bound.getsockname()
    return (name[0], name[1]) if isinstance(name, tuple) else Path(os.fsdecode(name))


class UnixPlace:
    """A path with a socket of ours, listening, that its owner and group may talk to (mode 0660).

    What a dead process left at the path is replaced.

    Raises:
        OSError: somebody listens there, or there is something else, or the folder can't be written to.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        _make_way(path)
        self.socket = socket.socket(socket.AF_UNIX)
        try:
            self._listen()
        except OSError as error:
            self.socket.close()
            raise OSError(error.errno, f"{path}: {error.strerror or error}") from error
        self._inode = path.lstat().st_ino

    def clear(self) -> None:
        """Remove the socket from its path, unless another one lies there by now."""
        with suppress(OSError):  # a socket left behind is replaced at the next start
            if self._path.lstat().st_ino == self._inode:
                self._path.unlink()

    def _listen(self) -> None:
        """Nobody can connect before the last step, so there is no moment in which others might.

        The umask would do as well, but it is the whole process's: a folder
        that a thread makes meanwhile would be one that nobody can enter.
        """
        self.socket.bind(os.fspath(self._path))
        self._path.chmod(0o660)
        self.socket.listen()


def _make_way(path: Path) -> None:
    """Remove what a dead process left at ``path``, and nothing else."""
    try:
        is_socket = stat.S_ISSOCK(path.lstat().st_mode)
    except FileNotFoundError:
        return
    if not is_socket:
        raise OSError(errno.EEXIST, f"{path}: there is a file that is no socket")
    if _is_listening(path):
        raise OSError(errno.EADDRINUSE, f"{path}: address already in use")
    path.unlink(missing_ok=True)


def _is_listening(path: Path) -> bool:
    """Whether somebody would answer; when in doubt, as when their queue is full, yes."""
    with socket.socket(socket.AF_UNIX) as caller:
        caller.settimeout(0)
        try:
            caller.connect(os.fspath(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True
    return True

"""Who may log in: lines of the file of logins, written so that a daemon never reads half of one."""

from __future__ import annotations

import fcntl
import grp
import os
import pwd
import secrets
import stat
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import click

from daemon import logins
from daemon.logins import LoginsError
from daemon.passwords import LONGEST, hashed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path


def add(path: Path, name: str, addresses: Sequence[str]) -> None:
    """Let ``name`` log in and send as ``addresses``, instead of what their line said before, if they had one.

    Asks for the password on a terminal, else takes it from standard input:
    an argument or a variable could be seen by others. Raises LoginsError and
    passwords.PasswordError.
    """
    path = path.resolve()  # what is renamed over a link would take its place
    owns = _owned(name, addresses)
    with _writable(path):
        _known(path)  # what is wrong with the file is better heard before a password is typed
    line = f"{name}:{hashed(_password())}:{','.join(owns)}"
    with _writable(path), _alone(path.parent) as folder:
        text = _known(path)
        found = logins.entries(text, path).get(name)
        is_new = not path.exists()
        _write(path, _with(text, line, found.line if found else None))
        os.fsync(folder)
    click.echo(f"{'replaced' if found else 'added'} {name} in {path}: may send as {', '.join(owns)}")
    click.echo(_first_steps(path) if is_new else "the daemon reads it again after: systemctl reload specpost")


def _owned(name: str, addresses: Sequence[str]) -> list[str]:
    if not logins.NAME.fullmatch(name):
        raise click.UsageError(f"{name!r} is no name: 1 to 64 letters, digits and . _ @ + -")
    try:
        return [logins.address(each) for each in addresses]
    except ValueError as error:
        raise click.UsageError(f"--from: {error}") from None


def _known(path: Path) -> str:
    """The file as it is, nothing wrong in it; ``""`` when there is none."""
    if not path.exists():
        return ""
    text = logins.content(path)
    logins.entries(text, path)
    return text


def _password() -> str:
    if sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    line = sys.stdin.buffer.readline(LONGEST + 2)
    try:
        return line.removesuffix(b"\n").removesuffix(b"\r").decode()
    except UnicodeDecodeError:
        raise LoginsError("the password on standard input is not UTF-8") from None


@contextmanager
def _writable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise LoginsError(f"{path} can't be written: {error.strerror}") from None


@contextmanager
def _alone(folder: Path) -> Iterator[int]:
    """Hold ``folder`` against another who adds a login: of two at a time, one would be lost."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)


def _with(text: str, line: str, number: int | None) -> str:
    """``text`` with ``line`` in place of the one of that number, else at its end; all others untouched."""
    if number is None:
        end = "" if text.endswith("\n") or not text else "\n"
        return f"{text}{end}{line}\n"
    lines = text.split("\n")
    lines[number - 1] = line
    return "\n".join(lines)


def _write(path: Path, text: str) -> None:
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            _open_to_the_same(path, handle)
            os.fsync(handle)
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def _open_to_the_same(path: Path, handle: int) -> None:
    """Give the new file the old one's owner, group and mode.

    The first has its folder's group, if the folder is closed to all others:
    who may look into /etc/specpost (root:specpost, 0750) is who has to read
    it, and root alone may write it. Anywhere else it is its maker's alone.
    """
    if path.exists():
        old, made = path.stat(), os.fstat(handle)
        if (old.st_uid, old.st_gid) != (made.st_uid, made.st_gid):
            os.fchown(handle, old.st_uid, old.st_gid)
        os.fchmod(handle, old.st_mode & 0o777)
        return
    folder = path.parent.stat()
    if folder.st_mode & 0o050 == 0o050 and not folder.st_mode & 0o007:  # noqa: PLR2004 - may enter and list
        with suppress(PermissionError):  # of a group that isn't ours
            os.fchown(handle, -1, folder.st_gid)
            os.fchmod(handle, 0o640)


def _first_steps(path: Path) -> str:
    status = path.stat()
    readers = _named(pwd.getpwuid, status.st_uid)
    if status.st_mode & stat.S_IRGRP:
        readers += f" and the group {_named(grp.getgrgid, status.st_gid)}"
    return (
        f"it is new, and readable by {readers}; if the daemon runs as somebody else:"
        f" chgrp GROUP {path} && chmod 640 {path}\n"
        f'the configuration names it, under [smtp]: logins_file = "{path}"; then: systemctl restart specpost'
    )


def _named(look_up: Callable[[int], Sequence[object]], number: int) -> str:
    """The name of a user or a group; a container may know none."""
    try:
        return str(look_up(number)[0])
    except KeyError:
        return str(number)

"""What the operator gave: the values of file, environment and credentials, and where each stands."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Key = tuple[str, ...]
Tree = dict[str, Any]

STANDARD = Path("/etc/specpost/specpost.toml")
PREFIX = "SPECPOST_"

#: Variables of ours that are no settings: where the file is, the owner's URL, and the tests' switch.
NO_SETTINGS = {"SPECPOST_CONFIG", "SPECPOST_OWNER_URL", "SPECPOST_ALL_PARTS"}


class SettingsError(Exception):
    """A configuration that can't be meant: one line for each thing wrong, ready for a terminal."""


@dataclass(frozen=True, slots=True)
class File:
    """A TOML file, its text kept so that a complaint can name the line."""

    path: Path
    text: str
    tree: Tree

    def where(self, key: Key) -> str:
        """``FILE:LINE`` of the line on which ``key`` begins.

        tomllib keeps no lines, so the file is read again in ever longer
        pieces until one holds the key: no second idea of TOML's grammar, and
        time that only a wrong file costs.
        """
        lines = [f"{line}\n" for line in self.text.split("\n")]
        before = 0
        for end in range(1, len(lines) + 1):
            tree = _parsed("".join(lines[:end]))
            if tree is not None and holds(tree, key):
                return f"{self.path}:{_first_said(lines, before)}"
            before = end if tree is not None else before
        return str(self.path)


@dataclass(frozen=True, slots=True)
class Given:
    """All that was given, the later source laid over the earlier; ``names`` are of what is no file."""

    tree: Tree
    names: Mapping[Key, str]
    file: File | None

    def where(self, key: Key) -> str:
        """The variable, credential or line of the file that gave ``key``, or the table it is in."""
        for end in range(len(key), 0, -1):
            if key[:end] in self.names:
                return self.names[key[:end]]
        if self.file and holds(self.file.tree, key):
            return self.file.where(key)
        return next((name for known, name in self.names.items() if known[: len(key)] == key), "")

    def value(self, key: Key) -> Any:  # noqa: ANN401  # whatever was given
        """What was given for ``key``."""
        node: Any = self.tree
        for part in key:
            node = node[part]
        return node

    def under(self, key: Key) -> Iterator[Key]:
        """The keys that were given below ``key``; itself when it is no table, or an empty one."""
        node = self.value(key)
        if not isinstance(node, dict) or not node:
            yield key
            return
        for part in node:
            yield from self.under((*key, part))


def gather(path: Path | None, environ: Mapping[str, str]) -> Given:
    """File, environment and credentials, each laid over the one before.

    Raises SettingsError for a file or credential that can't be read, and for
    TOML that is none.
    """
    file = _file(path, environ)
    tree = file.tree if file else {}
    names: dict[Key, str] = {}
    for key, name, text in [*_variables(environ), *_credentials(environ)]:
        tree = _laid_over(tree, key, text)
        names[key] = name
    return Given(tree, names, file)


def holds(tree: object, key: Key) -> bool:
    """Whether there is a value or table called ``key``."""
    for part in key:
        if not isinstance(tree, dict) or part not in tree:
            return False
        tree = tree[part]
    return True


def _file(path: Path | None, environ: Mapping[str, str]) -> File | None:
    if named := environ.get("SPECPOST_CONFIG"):
        path = path or Path(named)
    if path is None and not _is_there(STANDARD):
        return None
    path = path or STANDARD
    text = _read(path)
    try:
        return File(path, text, tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(_syntax(path, str(error))) from None


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError:
        raise SettingsError(
            f"{path}: you may not read it; be root, or name a configuration with --config or $SPECPOST_CONFIG"
        ) from None


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except OSError as error:
        message = f"{path}: {error.strerror}; --config or $SPECPOST_CONFIG names the configuration"
        raise SettingsError(message) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise SettingsError(f"{path}:{line}: not UTF-8") from None


def _syntax(path: Path, text: str) -> str:
    """What tomllib says, ``Invalid value (at line 3, column 5)``, as compilers say it."""
    match = re.fullmatch(r"(.*) \(at line ([0-9]+), column ([0-9]+)\)", text, re.DOTALL)
    return f"{path}:{match[2]}:{match[3]}: bad TOML: {match[1]}" if match else f"{path}: bad TOML: {text}"


def _variables(environ: Mapping[str, str]) -> Iterator[tuple[Key, str, str]]:
    for name, text in sorted(environ.items()):
        if name.startswith(PREFIX) and name not in NO_SETTINGS:
            yield tuple(name.removeprefix(PREFIX).lower().split("__")), f"${name}", text


def _credentials(environ: Mapping[str, str]) -> Iterator[tuple[Key, str, str]]:
    """Those with ``__`` in their name are ours; a unit may be handed others."""
    folder = environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        return
    for path in sorted(_listed(Path(folder))):
        if "__" in path.name:
            yield tuple(path.name.split("__")), f"credential {path.name}", _read(path).rstrip("\r\n")


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise SettingsError(f"$CREDENTIALS_DIRECTORY: {folder}: {error.strerror}") from None


def _laid_over(tree: Tree, key: Key, value: str) -> Tree:
    """``tree`` with ``key`` set; where the way to it is no table it stays, for its own complaint."""
    head, *rest = key
    if not rest:
        return tree | {head: value}
    below = tree.get(head, {})
    return tree | {head: _laid_over(below, tuple(rest), value)} if isinstance(below, dict) else tree


def _parsed(text: str) -> Tree | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def _first_said(lines: list[str], start: int) -> int:
    """The number of the first line from ``start`` on that is neither blank nor a comment."""
    numbered = enumerate(lines[start:], start + 1)
    return next(number for number, line in numbered if (said := line.strip()) and not said.startswith("#"))

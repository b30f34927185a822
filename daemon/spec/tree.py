"""The positioned tree: what a document says, and where it says it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from daemon.outcome import Problem
from daemon.spec.text import FaultyError, fault, position

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: Scalars stay text until the model asks for a type, so that ``no`` is no and ``1.10`` is 1.10.
#: Keys without a value are left out of mappings: whoever leaves a key empty says nothing.
Value: TypeAlias = "dict[str, Value] | list[Value] | str | None"

#: Mirrors a Value: the offset where it starts; for a mapping, each key's offset beside its value's place.
Place: TypeAlias = "int | tuple[int, dict[str, tuple[int, Place]] | list[Place]]"

#: A value with its place, for readers that compose a tree.
Node: TypeAlias = "tuple[Value, Place]"

Path: TypeAlias = tuple[str | int, ...]

#: Levels of lists and mappings inside each other.
DEEPEST = 20
TOO_DEEP = f"nested more than {DEEPEST} levels deep"
#: Values in one document, keys not counted.
MOST_VALUES = 10_000


class Growth:
    """Counts what a reader has built, and stops it where a document is beyond our limits."""

    __slots__ = ("_left", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._left = MOST_VALUES

    def one_more(self, offset: int, depth: int) -> None:
        """Count the value at ``offset``, which lies ``depth`` levels deep; raises FaultyError."""
        self._left -= 1
        if self._left < 0:
            raise fault(self._text, offset, f"more than {MOST_VALUES:,} values in one document")
        if depth > DEEPEST:
            raise fault(self._text, offset, TOO_DEEP)


@dataclass(frozen=True, slots=True)
class Tree:
    """A document's value with the place of everything in it."""

    value: Value
    place: Place
    text: str

    def problem(self, path: Path, words: str, *, at_key: bool = False) -> Problem:
        """A Problem at the value under ``path`` or at its key, else at the nearest thing above it."""
        line, column = position(self.text, self._offset(path, at_key=at_key))
        return Problem(words, line=line, column=column)

    def _offset(self, path: Path, *, at_key: bool) -> int:
        place, key_offset = self.place, None
        for step in path:
            inside = place[1] if isinstance(place, tuple) else None
            if isinstance(inside, dict) and step in inside:
                key_offset, place = inside[str(step)]
            elif isinstance(inside, list) and isinstance(step, int) and step < len(inside):
                key_offset, place = None, inside[step]
            else:
                break
        if at_key and key_offset is not None:
            return key_offset
        return starts(place)


def listed(offset: int, nodes: Iterable[Node]) -> Node:
    """A list of ``nodes`` that starts at ``offset``."""
    pairs = list(nodes)
    return [value for value, _ in pairs], (offset, [place for _, place in pairs])


def mapped(offset: int, nodes: Mapping[str, Node]) -> Node:
    """A mapping of ``nodes`` that starts at ``offset``; what a key holds also says where the key is."""
    places = {key: (starts(place), place) for key, (_, place) in nodes.items()}
    return {key: value for key, (value, _) in nodes.items()}, (offset, places)


def mapping(value: Value, place: Place) -> tuple[dict[str, Value], dict[str, tuple[int, Place]]]:
    """What a mapping holds and where; nothing for everything else."""
    inside = place[1] if isinstance(place, tuple) else None
    return (value, inside) if isinstance(value, dict) and isinstance(inside, dict) else ({}, {})


def starts(place: Place) -> int:
    """The offset of whatever lies at ``place``."""
    return place[0] if isinstance(place, tuple) else place


def duplicate(text: str, key: str, first: int, second: int) -> FaultyError:
    """The complaint about a key that stands twice in one mapping, at its second place."""
    line, _ = position(text, first)
    return fault(
        text, second, f"the key {shown(key)} stands here and on line {line}; only one of them can hold"
    )


def shown(text: str, longest: int = 60) -> str:
    """A sender's text on one line inside our own words: quoted, cut, and nothing in it that can't be seen."""
    line = "".join(letter if letter.isprintable() else "\ufffd" for letter in " ".join(text.split()))
    return f"'{line}'" if len(line) <= longest else f"'{line[: longest - 1]}…'"


def dotted(path: Path) -> str:
    """``planning.epics[0].sprints[1]``: a path as its writer would say it."""
    said = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return said.removeprefix(".").removeprefix("epics[0].")  # Markdown has no epics; its reader made this one

"""The keys of a specification that must not be missed, so that a slip can't silently plan nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from daemon.spec.model import DefinitionOfDone
from daemon.spec.spelling import nearest
from daemon.spec.tree import dotted, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from daemon.outcome import Problem
    from daemon.spec.tree import Path, Tree, Value

#: Unknown keys of one mapping that are compared; who writes more is not making a typing mistake.
MOST_COMPARED = 50


@dataclass(frozen=True)
class Level:
    """The keys of one kind of mapping.

    ``keys`` are guarded against near misses, ``inside`` leads to the levels
    below, and ``elsewhere`` tells where a key belongs that does nothing here.
    """

    keys: tuple[str, ...] = ()
    inside: Mapping[str, Level] = field(default_factory=dict)
    elsewhere: Mapping[str, str] = field(default_factory=dict)


_IN_SPRINT = dict.fromkeys(("goals", "user_stories"), "planning.epics[].sprints[]")
_IN_EPIC = {"sprints": "planning.epics[]"}
_IN_META = dict.fromkeys(("repo", "branch"), "meta")
_DOD_ELSEWHERE = {"dod": "a sprint, or to the top level for all sprints"}

_DOD = Level(tuple(DefinitionOfDone.model_fields))
_STORY = Level(("acceptance", "want", "so_that"), {}, _DOD_ELSEWHERE)
_SPRINT = Level(("goals", "user_stories", "dod"), {"user_stories": _STORY, "dod": _DOD})
_EPIC = Level(("sprints",), {"sprints": _SPRINT}, _IN_SPRINT | _DOD_ELSEWHERE)
_PLANNING = Level(("epics",), {"epics": _EPIC}, _IN_EPIC | _IN_SPRINT | _DOD_ELSEWHERE)
_META = Level(("repo", "branch"), {}, _DOD_ELSEWHERE)

#: A document in the existing system's shape.
DOCUMENT = Level(
    ("meta", "planning", "dod"),
    {"meta": _META, "planning": _PLANNING, "dod": _DOD},
    _IN_META | {"epics": "planning"} | _IN_EPIC | _IN_SPRINT,
)
#: A Markdown document: its front matter, with the sprints that its text gives.
MARKDOWN = Level(
    ("repo", "branch", "dod"),
    {"dod": _DOD, "epics": Level(inside={"sprints": Level(inside={"dod": _DOD})})},
    _IN_EPIC | _IN_SPRINT,
)


def misspelt(tree: Tree, level: Level) -> Iterator[Problem]:
    """A Problem for each key of ``tree`` that is a near miss of a known one, or known but misplaced."""
    return _misspelt(tree, (), tree.value, level)


def _misspelt(tree: Tree, path: Path, value: Value, level: Level) -> Iterator[Problem]:
    if isinstance(value, list):
        for index, item in enumerate(value):
            if isinstance(item, dict):
                yield from _misspelt(tree, (*path, index), item, level)
    elif isinstance(value, dict):
        yield from _slips(tree, path, value, level)
        for key, below in level.inside.items():
            if key in value:
                yield from _misspelt(tree, (*path, key), value[key], below)


def _slips(tree: Tree, path: Path, mapping: Mapping[str, Value], level: Level) -> Iterator[Problem]:
    unknown = [key for key in mapping if key not in level.keys]
    missing = tuple(known for known in level.keys if known not in mapping) if unknown else ()
    for key in unknown[:MOST_COMPARED]:
        if words := _slip(key, missing, level):
            where = dotted((*path, key)) if key.isidentifier() else dotted((*path, shown(key)))
            yield tree.problem((*path, key), f"{where}: {words}", at_key=True)


def _slip(key: str, missing: tuple[str, ...], level: Level) -> str | None:
    if key in level.elsewhere:
        return f"does nothing here; it belongs to {level.elsewhere[key]}"
    if meant := nearest(key, missing):
        return f"did you mean {meant}?"
    return None

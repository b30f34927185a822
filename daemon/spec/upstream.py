"""The existing system's specification: ``meta`` and ``planning``, and whatever else its writer likes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from daemon.spec import keys, wording
from daemon.spec.model import Spec
from daemon.spec.text import FaultyError
from daemon.spec.tree import dotted, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pydantic_core import ErrorDetails

    from daemon.outcome import Problem
    from daemon.spec.tree import Path, Tree, Value

#: Sprints that one specification may plan, over all its epics.
MOST_SPRINTS = 500
#: A Definition of Done as JSON, in characters: it is written into the row of every sprint.
LARGEST_DOD = 4_000
_as_json = json.JSONEncoder(ensure_ascii=False).encode

#: Where in a document each field of a Spec lies.
LAYOUT: Final[Mapping[str, Path]] = {
    "project": ("meta", "project"),
    "repo": ("meta", "repo"),
    "branch": ("meta", "branch"),
    "requester_email": ("meta", "requester_email"),
    "description": ("meta", "description"),
    "epics": ("planning", "epics"),
    "dod": ("dod",),
}


def spec(tree: Tree) -> Spec:
    """The Spec that a YAML or JSON document describes; raises FaultyError with every Problem it has."""
    problems = list(keys.misspelt(tree, keys.DOCUMENT))
    if not problems and not describes(tree):
        problems.append(tree.problem((), _too_little(tree.value)))
    problems += _no_mapping(tree)
    return laid_out(tree, LAYOUT, problems)


def describes(tree: Tree) -> bool:
    """Whether a document is a specification by its own words: ``meta`` or ``planning`` at its top."""
    return isinstance(tree.value, dict) and not tree.value.keys().isdisjoint(("meta", "planning"))


def laid_out(tree: Tree, layout: Mapping[str, Path], known: Iterable[Problem] = ()) -> Spec:
    """The Spec whose fields lie in ``tree`` where ``layout`` says.

    Raises FaultyError with every Problem at once, those that are ``known`` already first.
    """
    fields = {name: value for name, path in layout.items() if (value := _at(tree.value, path)) is not None}
    problems = [*known, *_oversized(tree, layout, fields)]
    try:
        found = Spec.model_validate(fields)
    except ValidationError as error:
        mistakes = error.errors(include_url=False)
        raise FaultyError(*problems, *(_problem(tree, layout, mistake) for mistake in mistakes)) from None
    if sum(len(epic.sprints) for epic in found.epics) > MOST_SPRINTS:
        problems.append(
            tree.problem(layout["epics"], f"more than {MOST_SPRINTS} sprints in one specification")
        )
    if problems:
        raise FaultyError(*problems)
    return found


def _too_little(value: Value) -> str:
    needs = "a specification needs at least 'meta' (project, repo) or 'planning' (epics) at its top level"
    if isinstance(value, dict) and value:
        return f"{needs}; this document has {shown(', '.join(list(value)[:5]), 100)[1:-1]}"
    return (
        f"{needs}; this document is {'a list' if isinstance(value, list) else 'text' if value else 'empty'}"
    )


def _no_mapping(tree: Tree) -> Iterator[Problem]:
    """``meta: text`` and its like, which would otherwise look as if nothing was said."""
    for key in ("meta", "planning"):
        if isinstance(_at(tree.value, (key,)), str | list):
            yield tree.problem((key,), f"{key}: expected a mapping of keys to values")


def _at(value: Value, path: Path) -> Value:
    for key in path:
        value = value.get(str(key)) if isinstance(value, dict) else None
    return value


def _oversized(tree: Tree, layout: Mapping[str, Path], fields: Mapping[str, Value]) -> Iterator[Problem]:
    for path, dod in _dods(layout, fields):
        if len(_as_json(dod)) > LARGEST_DOD:
            words = (
                f"a Definition of Done of more than {LARGEST_DOD:,} characters; a program has to decide it"
            )
            yield tree.problem(path, f"{dotted(path)}: {words}")


def _dods(layout: Mapping[str, Path], fields: Mapping[str, Value]) -> Iterator[tuple[Path, Value]]:
    if "dod" in fields:
        yield layout["dod"], fields["dod"]
    for epic_path, epic in _items(layout["epics"], fields.get("epics")):
        for path, sprint in _items((*epic_path, "sprints"), _at(epic, ("sprints",))):
            if dod := _at(sprint, ("dod",)):
                yield (*path, "dod"), dod


def _items(path: Path, value: Value) -> Iterator[tuple[Path, Value]]:
    if isinstance(value, list):
        yield from (((*path, index), item) for index, item in enumerate(value))


def _problem(tree: Tree, layout: Mapping[str, Path], mistake: ErrorDetails) -> Problem:
    first, *rest = mistake["loc"]
    path = (*layout[str(first)], *rest)
    return tree.problem(path, f"{dotted(path)}: {wording.said(mistake)}")

"""Markdown: front matter says what and where, headings and task lists say which sprints."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from daemon.outcome import Problem
from daemon.spec import keys, upstream, yamldoc
from daemon.spec.form import FRONT_MATTER
from daemon.spec.model import LONGEST_TITLE
from daemon.spec.outline import Heading, Item, outline
from daemon.spec.section import Section, opened, sections
from daemon.spec.spelling import nearest
from daemon.spec.text import position
from daemon.spec.tree import Tree, listed, mapped, mapping, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from daemon.spec.model import Spec
    from daemon.spec.tree import Node, Path

#: The keys that make front matter ours.
KEYS: Final = frozenset(
    {"repo", "branch", "project", "dod", "description", "requester_email", "meta", "planning"}
)

_LAYOUT: Final[Mapping[str, Path]] = {
    **{key: (key,) for key in ("project", "repo", "branch", "requester_email", "description", "dod")},
    "epics": ("epics",),
}

_NUMBERED = re.compile(r"\W*(?P<word>[A-Za-z]{4,9})\s*#?\d{1,2}\b.*")


def front_matter(text: str) -> Tree | None:
    """The mapping between two ``---`` lines before all other text; None when there is none.

    Raises FaultyError where it is broken. Places count in the whole text,
    because the first ``---`` is also how a YAML document may start.
    """
    found = FRONT_MATTER.match(text)
    if not found:
        return None
    tree = yamldoc.read(found[0])
    return Tree(tree.value, tree.place, text) if isinstance(tree.value, dict) else None


def spec(text: str) -> Spec:
    """The Spec that a Markdown document describes; raises FaultyError.

    ``## Sprint 1: Title`` (any level) or ``# S1`` opens a sprint, task list
    items below it are its goals, and where a sprint has none, plain items.
    Without sprint headings, all tasks together are the goals of one sprint.
    Front matter with ``meta`` or ``planning`` is the whole specification,
    and the text below it prose.
    """
    front = front_matter(text)
    if front and upstream.describes(front):
        return upstream.spec(front)
    entries = outline(text, _end(text) if front else 0)
    whole = Section(offset=0)
    sprints = sections(entries, whole)
    tree = _composed(text, front, _title(entries), sprints or [whole] * bool(whole.tasks), whole)
    return upstream.laid_out(
        tree, _LAYOUT, [*keys.misspelt(tree, keys.MARKDOWN), *_nearly_sprints(entries, tree)]
    )


def _end(text: str) -> int:
    """Where the line that closes the front matter starts; it reads as a rule, which means nothing."""
    found = FRONT_MATTER.match(text)
    return found.end() if found else 0


def _composed(
    text: str, front: Tree | None, title: Node | None, sprints: list[Section], whole: Section
) -> Tree:
    """Front matter and sprints in one tree; what the front matter says holds."""
    epics = listed(0, [mapped(0, {"sprints": listed(0, [section.sprint() for section in sprints])})])
    nodes = (
        {"epics": epics}
        | ({"dod": whole.dod()} if whole.checks else {})
        | ({"project": title} if title else {})
    )
    value, places = mapping(*mapped(0, nodes))
    if front:
        said, said_at = mapping(front.value, front.place)
        value, places = value | said, places | said_at
    return Tree(value, (0, places), text)


def _title(entries: Iterable[Heading | Item]) -> Node | None:
    """The first heading of the first level, which names the project where the front matter does not."""
    for entry in entries:
        if isinstance(entry, Heading) and entry.level == 1 and not opened(entry):
            return (entry.words, entry.offset) if 0 < len(entry.words) <= LONGEST_TITLE else None
    return None


def _nearly_sprints(entries: Iterable[Heading | Item], tree: Tree) -> Iterator[Problem]:
    """Headings such as ``Srpint 2``, whose items would otherwise be left out or join others in silence."""
    for entry in entries:
        if not isinstance(entry, Heading) or opened(entry):
            continue
        found = _NUMBERED.fullmatch(entry.words)
        if found and found["word"].lower() != "sprints" and nearest(found["word"], ("sprint",)):
            line, column = position(tree.text, entry.offset)
            yield Problem(f"{shown(entry.words)}: did you mean Sprint?", line=line, column=column)

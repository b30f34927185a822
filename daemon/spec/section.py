"""A section of a Markdown document that is planned as one sprint."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from daemon.spec.outline import Heading, Item
from daemon.spec.tree import listed, mapped

if TYPE_CHECKING:
    from collections.abc import Iterable

    from daemon.spec.tree import Node

#: Dashes between a sprint's number and its title; people write all three.
_DASHES = "\u2013\u2014-"
#: What a sprint's heading and those below look like, in patterns that never try a run of characters twice:
#: lines are as long as their document, and lists of items too.
_SPRINT = re.compile(
    r"\W*(?:sprint[\s:_-]*(?:(?:\#|n[o°]\.?|number)\s*)?s?(?P<number>\d{1,4}(?:\.\d{1,4})*)"
    rf"|s(?P<short>\d{{1,4}})(?=\s*+(?:[:.){_DASHES}]|\W*+$)))"
    rf"(?!\w)[\s:.)*_{_DASHES}]*+(?P<title>.*)",
    re.IGNORECASE | re.DOTALL,
)
#: Headings whose items say when work is done, in English and French.
_CRITERIA = re.compile(
    r"\W{0,40}(?:acceptance|definition of done|dod\b|done when|success criteria"
    r"|crit[eè]res? d.acceptation|d[eé]finition d)",
    re.IGNORECASE,
)
#: Headings whose plain items are no work.
_ASIDE = re.compile(
    r"\W{0,40}(?:notes?|risks?|out of scope|non.goals|dependenc|references?|links?)\b", re.IGNORECASE
)
#: ``coverage_min: 0.9``: a criterion that a program may decide. The key is not compared here,
#: so that a slip in it is reported like one in YAML.
_CHECK = re.compile(
    r"[`*_]*(?P<key>[a-z][a-z0-9_]*+)[`*_]*+\s*+[:=]\s*`?(?P<value>true|false|yes|no|\d[\d.,]*\s?%?)`?\.?"
)


@dataclass(slots=True)
class Section:
    """What stands under one heading, down to the next of its level."""

    offset: int
    level: int = 0
    id: str | None = None
    title: str | None = None
    tasks: list[Node] = field(default_factory=list)
    plain: list[Node] = field(default_factory=list)
    criteria: list[Node] = field(default_factory=list)
    checks: dict[str, Node] = field(default_factory=dict)

    def dod(self) -> Node:
        """The criteria that a program may decide."""
        return mapped(self.offset, self.checks)

    def sprint(self) -> Node:
        """The section as a sprint of the existing system's format."""
        goals = self.tasks or self.plain or ([(self.title, self.offset)] if self.title else [])
        nodes: dict[str, Node] = {"goals": listed(self.offset, goals)}
        nodes |= {key: (text, self.offset) for key, text in (("id", self.id), ("title", self.title)) if text}
        if self.criteria:
            story = mapped(self.offset, {"acceptance": listed(self.offset, self.criteria)})
            nodes["user_stories"] = listed(self.offset, [story])
        if self.checks and self.level:
            nodes["dod"] = self.dod()
        return mapped(self.offset, nodes)

    def take(self, item: Item, under: str) -> None:
        """Add an item that stands under the heading ``under``."""
        node = (item.words, item.offset)
        if _CRITERIA.match(under):
            self._criterion(item)
        elif item.task:
            self.tasks.append(node)
        elif item.indent <= 1 and not _ASIDE.match(under):
            self.plain.append(node)

    def _criterion(self, item: Item) -> None:
        if check := _CHECK.fullmatch(item.words):
            self.checks[check["key"]] = (check["value"], item.offset)
        else:
            self.criteria.append((item.words, item.offset))


def opened(heading: Heading) -> Section | None:
    """The section of a sprint if ``heading`` opens one: ``Sprint 1: Title``, ``S1 — Title``."""
    found = _SPRINT.fullmatch(heading.words)
    if not found:
        return None
    label = f"S{found['number'] or found['short']}"
    return Section(heading.offset, heading.level, label, _without_emphasis(found["title"]) or None)


def _without_emphasis(title: str) -> str:
    """``title`` without the marks and blanks at its end; character by character, since there may be many."""
    end = len(title)
    while end and (title[end - 1] in "*_" or title[end - 1].isspace()):
        end -= 1
    return title[:end]


def sections(outline: Iterable[Heading | Item], whole: Section) -> list[Section]:
    """The sprints' sections in their order; what stands outside of them is added to ``whole``."""
    found: list[Section] = []
    current, under = whole, Heading(0, "", 0)
    for entry in outline:
        if isinstance(entry, Item):
            current.take(entry, under.words)
        elif sprint := opened(entry):
            found.append(sprint)
            current, under = sprint, entry
        else:
            if entry.level <= current.level:
                current = whole
            if not (_CRITERIA.match(under.words) and entry.level > under.level):
                under = entry
    return found

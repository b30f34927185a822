"""The outline of a Markdown text: its headings and list items, found line by line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading; ``level`` counts from 1."""

    level: int
    words: str
    offset: int


@dataclass(frozen=True, slots=True)
class Item:
    """A list item with its continuation lines; ``task`` when it has a box to tick, ticked or not."""

    words: str
    offset: int
    indent: int
    task: bool


_LINE = re.compile(r"([^\r\n]*)(?:\r\n?|\n|\Z)")
_FENCE = re.compile(r"(`{3,}|~{3,})(.*)")
_HEADING = re.compile(r"(#{1,6})[ \t]+(.*)")
_RULE = re.compile(r"([-*_])(?:[ \t]*\1){2,}[ \t]*")
_UNDERLINE = re.compile(r"(?:=+|-{2,})[ \t]*")
_ITEM = re.compile(r"(?:[-*+]|\d{1,9}[.)])[ \t]+(\[[ xX]?\][ \t]+)?(.*)")


def outline(text: str, start: int = 0) -> tuple[Heading | Item, ...]:
    """Headings and list items after ``start`` in their order, none from code blocks and comments.

    A scan of lines and no Markdown parser: what a heading, a fence and a
    list item are follows CommonMark 0.31 (4.2, 4.3, 4.5, 5.2), nesting
    does not. ``- [ ]`` is the task list item of GitHub Flavored Markdown.
    """
    scan = _Scan()
    for offset, line in _lines(text, start):
        scan.take(offset, line)
    scan.finish()
    return tuple(scan.found)


def _lines(text: str, start: int) -> Iterator[tuple[int, str]]:
    return ((found.start(), found[1]) for found in _LINE.finditer(text, start))


class _Scan:
    """Where the scan stands: inside a fence, a comment, an item or a paragraph."""

    def __init__(self) -> None:
        self.found: list[Heading | Item] = []
        self._fence = ""
        self._in_comment = False
        self._item: tuple[list[str], int, int, bool] | None = None
        self._paragraph: tuple[int, str] | None = None

    def take(self, offset: int, line: str) -> None:
        """Go on by one line that starts at ``offset``."""
        words = line.strip()
        if self._fence:
            self._inside_fence(words)
        elif self._in_comment:
            self._in_comment = "-->" not in words
        elif not words:
            self.finish()
        else:
            self._plain(offset, line, words)

    def finish(self) -> None:
        """End the item or paragraph that is open."""
        if self._item:
            words, offset, indent, task = self._item
            self.found.append(Item(" ".join(words), offset, indent, task))
        self._item = self._paragraph = None

    def _inside_fence(self, words: str) -> None:
        if words.startswith(self._fence) and not words.strip(self._fence[0]):
            self._fence = ""

    def _plain(self, offset: int, line: str, words: str) -> None:
        if words[0] in "`~" and (fence := _FENCE.fullmatch(words)) and "`" not in fence[2]:
            self.finish()
            self._fence = fence[1]
        elif words.startswith("<!--"):
            self.finish()
            self._in_comment = "-->" not in words
        elif not (self._is_heading(offset, words) or self._is_item(offset, line, words)):
            self._continue(offset, words)

    def _is_heading(self, offset: int, words: str) -> bool:
        if words[0] == "#" and (heading := _HEADING.fullmatch(words)):
            self.finish()
            self.found.append(Heading(len(heading[1]), _unclosed(heading[2]), offset))
            return True
        if self._paragraph and words[0] in "=-" and _UNDERLINE.fullmatch(words):
            self.found.append(Heading(1 if words[0] == "=" else 2, self._paragraph[1], self._paragraph[0]))
            self._paragraph = None
            return True
        return False

    def _is_item(self, offset: int, line: str, words: str) -> bool:
        if _RULE.fullmatch(words):
            self.finish()
            return True
        item = _ITEM.fullmatch(words)
        if not item:
            return False
        self.finish()
        if item[2]:
            indent = len(line) - len(line.lstrip())
            self._item = ([item[2]], offset + indent, indent, item[1] is not None)
        return True

    def _continue(self, offset: int, words: str) -> None:
        if self._item:
            self._item[0].append(words)
        elif words[0] != ">":
            self._paragraph = (offset, words)


def _unclosed(words: str) -> str:
    """A heading without the hashes that may close it, if they stand apart (CommonMark 0.31, 4.2).

    By hand, since a pattern for it takes quadratic time for a long run of spaces.
    """
    bare = words.rstrip("#")
    return bare.rstrip(" \t") if bare.endswith((" ", "\t")) else words

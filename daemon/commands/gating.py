"""The gate's verdict, for people on a terminal and on GitHub's pages."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from daemon.commands import display
from daemon.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_HEAD = ("CRITERION", "WANTED", "REPORTED", "VERDICT")
#: Characters of a cell: who wrote a Definition of Done may have written a novel.
_LONGEST = 120
#: What could mean anything to Markdown: all of it can be escaped, and is then itself.
_MEANINGFUL = re.compile(r"([!-/:-@\[-`{-~])")


def table(criteria: Sequence[Mapping[str, Any]]) -> None:
    """Each criterion with its verdict, on the terminal."""
    display.table(_HEAD, _rows(criteria))


def markdown(result: str, criteria: Sequence[Mapping[str, Any]]) -> str:
    """The same as a table in Markdown, in which no cell can be anything but text."""
    lines = [_HEAD, ("---",) * len(_HEAD)]
    lines += [tuple(_MEANINGFUL.sub(r"\\\1", cell) for cell in row) for row in _rows(criteria)]
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return f"### The gate: {result}\n\n{table}"


def _rows(criteria: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, ...]]:
    for each in criteria:
        wanted, reported = (
            "-" if each[key] is None else json.dumps(each[key], ensure_ascii=False)
            for key in ("wanted", "reported")
        )
        cells = (each["criterion"], wanted, reported, each["verdict"])
        yield tuple(printable(cell, _LONGEST) for cell in cells)

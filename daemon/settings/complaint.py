"""What is wrong with a configuration, one line each, so that the operator can mend it from the line alone."""

from __future__ import annotations

import difflib
import json
from typing import TYPE_CHECKING, Any

from daemon.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic import ValidationError

    from daemon.settings.given import Given, Key
    from daemon.settings.kind import Kind

#: Tables that a later release reads. Ignoring one now would look like obeying it.
LATER = {"imap", "senders"}

_MOST = 10  # more lines than this nobody reads at once


def complaints(error: ValidationError, given: Given, kinds: Mapping[Key, Kind]) -> list[str]:
    """``WHERE: KEY: what was given; what is allowed``, at most ten; a secret's value never."""
    lines = [
        f"{given.where(key) or 'default'}: {_named(key)}: {text}"
        for each in error.errors(include_url=False)
        for key, text in _told(each, given, kinds)
    ]
    return [printable(line, 1000) for line in lines[:_MOST]]


def _told(each: Any, given: Given, kinds: Mapping[Key, Kind]) -> Iterator[tuple[Key, str]]:  # noqa: ANN401  # ErrorDetails of pydantic_core, whose ctx is Any
    key = tuple(str(part) for part in each["loc"])
    if each["type"] == "extra_forbidden":
        yield from ((unknown, _unknown(unknown, kinds)) for unknown in given.under(key))
    elif kind := kinds.get(key):
        yield key, _unfit(given.value(key), str(each["ctx"]["error"]), kind)
    elif each["type"] == "value_error":
        yield key, str(each["ctx"]["error"])
    else:
        yield key, f"given no table; allowed: a table, [{_named(key)}]"  # the value may be a secret


def _unfit(value: object, reason: str, kind: Kind) -> str:
    shown = "a value (not shown, it is secret)" if kind.secret else _shown(value)
    return f"given {shown}{f' ({reason})' if reason else ''}; allowed: {kind.allowed}"


def _unknown(key: Key, kinds: Mapping[Key, Kind]) -> str:
    if key[0] in LATER:
        return f"[{key[0]}] is not in this release"
    if meant := _meant(key, kinds):
        return f"unknown key; did you mean {_named(meant)}?"
    beside = [known[-1] for known in kinds if known[:-1] == key[:-1]]
    allowed = ", ".join(beside or dict.fromkeys(known[0] for known in kinds))
    return f"unknown key; allowed{f' in [{_named(key[:-1])}]' if beside and key[:-1] else ''}: {allowed}"


def _meant(key: Key, kinds: Mapping[Key, Kind]) -> Key | None:
    """The known key that ``key`` resembles, or that has its last word in another table."""
    names = {_named(known): known for known in kinds}
    if near := difflib.get_close_matches(_named(key), names, n=1, cutoff=0.75):
        return names[near[0]]
    return next((known for known in kinds if known[-1] == key[-1]), None)


def _named(key: Key) -> str:
    return ".".join(key)


def _shown(value: object) -> str:
    return printable(json.dumps(value, ensure_ascii=False, default=str), 80)

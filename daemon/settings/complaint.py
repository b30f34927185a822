"""What is wrong with a configuration, one line each, so that the operator can mend it from the line alone."""

from __future__ import annotations

import difflib
import json
from itertools import islice
from typing import TYPE_CHECKING, Any

from daemon.text import printable, redact

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pydantic import ValidationError

    from daemon.settings.given import Given, Key
    from daemon.settings.kind import Kind

#: Stands in a known key for the name that an operator gives a table.
NAME = "NAME"

#: What pydantic puts behind the name of a table when it is the name that doesn't fit.
_OF_KEY = "[key]"

_MOST = 10  # more lines than this nobody reads at once


def complaints(error: ValidationError, given: Given, kinds: Mapping[Key, Kind]) -> list[str]:
    """``WHERE: KEY: what was given; what is allowed``, at most ten; a secret's value never."""
    return lines(
        (told for each in error.errors(include_url=False) for told in _told(each, given, kinds)), given
    )


def lines(told: Iterable[tuple[Key, str]], given: Given) -> list[str]:
    """``WHERE: KEY: TEXT`` for what is told of keys, at most ten."""
    return [
        printable(f"{_place(key, given)}: {_named(key)}: {text}", 1000) for key, text in islice(told, _MOST)
    ]


def _place(key: Key, given: Given) -> str:
    """Where ``key`` was given, else where the table it is missing from was."""
    places = (given.where(key[:end]) for end in range(len(key), 0, -1))
    return next(filter(None, places), "default")


def _told(each: Any, given: Given, kinds: Mapping[Key, Kind]) -> Iterator[tuple[Key, str]]:  # noqa: ANN401  # ErrorDetails of pydantic_core, whose ctx is Any
    key = tuple(str(part) for part in each["loc"])
    if each["type"] == "extra_forbidden":
        yield from ((unknown, _unknown(unknown, _filled(kinds, unknown))) for unknown in given.under(key))
    elif each["type"] == "missing":
        yield key, f"missing; needed: {_filled(kinds, key)[key].allowed}"
    elif kind := _filled(kinds, key).get(key):
        yield key, _unfit(given.value(key), str(each["ctx"]["error"]), kind)
    elif each["type"] == "value_error":
        yield key[:-1] if key[-1] == _OF_KEY else key, str(each["ctx"]["error"])
    else:
        yield key, f"given no table; allowed: a table, [{_named(key)}]"  # the value may be a secret


def _filled(kinds: Mapping[Key, Kind], key: Key) -> Mapping[Key, Kind]:
    """``kinds`` with the names that ``key`` gives its tables."""
    return {
        tuple(map(_fill, known, key)) if len(known) == len(key) else known: kind
        for known, kind in kinds.items()
    }


def _fill(known: str, name: str) -> str:
    return name if known == NAME else known


def _unfit(value: object, reason: str, kind: Kind) -> str:
    shown = "a value (not shown, it is secret)" if kind.secret else _shown(value)
    return f"given {shown}{f' ({reason})' if reason else ''}; allowed: {kind.allowed}"


def _unknown(key: Key, kinds: Mapping[Key, Kind]) -> str:
    if meant := _meant(key, kinds):
        return f"unknown key; did you mean {_named(meant)}?"
    beside = [known[-1] for known in kinds if known[:-1] == key[:-1]]
    allowed = ", ".join(beside or dict.fromkeys(known[0] for known in kinds))
    return f"unknown key; allowed{f' in [{_named(key[:-1])}]' if beside and key[:-1] else ''}: {allowed}"


def _meant(key: Key, kinds: Mapping[Key, Kind]) -> Key | None:
    """The known key that ``key`` resembles, or the least nested that has its word in another table."""
    beside = {known[-1]: known for known in kinds if known[:-1] == key[:-1]}
    if near := difflib.get_close_matches(key[-1], beside, n=1, cutoff=0.7):
        return beside[near[0]]
    elsewhere = {} if beside else {_named(known): known for known in kinds}
    if near := difflib.get_close_matches(_named(key), elsewhere, n=1, cutoff=0.75):
        return elsewhere[near[0]]
    return min((known for known in kinds if known[-1] == key[-1]), key=len, default=None)


def _named(key: Key) -> str:
    return ".".join(key)


def _shown(value: object) -> str:
    return printable(redact(json.dumps(value, ensure_ascii=False, default=str)), 80)

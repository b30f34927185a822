"""What pydantic found wrong, in words that a specification's writer understands."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from daemon.spec.tree import shown

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

#: What the model wanted, by pydantic's kind of error.
_WANTED: Final = {
    "string_type": "text",
    "tuple_type": "a list",
    "model_type": "a mapping of keys to values",
    "float_type": "a number",
    "bool_type": "true or false",
}

#: Bounds of the numbers of a Definition of Done, low and high.
_BOUNDS: Final = {"coverage_min": (0, 1), "lighthouse_min": (0, 100)}

_NEARLY_A_NUMBER = re.compile(r"(\d{1,6})(?:[.,](\d{1,6}))?\s*%?")


def said(error: ErrorDetails) -> str:
    """One sentence for the sender about ``error``, without saying where."""
    kind, given = error["type"], error["input"]
    bound = error.get("ctx", {})
    if kind in _WANTED:
        return f"expected {_WANTED[kind]}, found {_kind(given)}"
    if kind == "string_too_long":
        return f"longer than {bound['max_length']:,} characters"
    if kind == "too_long":
        return f"more than {bound['max_length']:,} items"
    if kind == "value_error":
        return str(bound["error"])
    if kind.startswith("bool"):
        return f"{shown(str(given))} is neither true nor false"
    return _number(str(error["loc"][-1]), str(given))


def _number(key: str, given: str) -> str:
    low, high = _BOUNDS[key]
    meant = _meant(given, high)
    hint = f"; did you mean {meant}?" if meant else ""
    return f"{shown(given, 40)[1:-1]} is not between {low} and {high}{hint}"


def _meant(given: str, high: int) -> str | None:
    """The number that a percentage or a decimal comma stands for."""
    found = _NEARLY_A_NUMBER.fullmatch(given.strip())
    if not found:
        return None
    number = float(f"{found[1]}.{found[2] or 0}")
    if high == 1 and number > 1:
        number /= 100
    return f"{number:g}" if number <= high else None


def _kind(given: object) -> str:
    if given is None:
        return "nothing"
    if isinstance(given, dict):
        return "a mapping; put quotes around a text with a colon in it" if _is_split(given) else "a mapping"
    return "a list" if isinstance(given, list) else "text"


def _is_split(given: dict[object, object]) -> bool:
    """Whether a mapping looks like a sentence that lost its quotes: ``- CI: lint and tests``."""
    return len(given) == 1 and all(isinstance(value, str) for value in given.values())

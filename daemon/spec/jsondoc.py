"""JSON as RFC 8259 defines it, with the place of every value."""

from __future__ import annotations

import re
from json import JSONDecodeError
from json.decoder import scanstring  # type: ignore[attr-defined]  # the stub forgets it

from daemon.spec.text import UNPRINTABLE, FaultyError, fault
from daemon.spec.tree import Growth, Place, Tree, Value, duplicate

_SPACE = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_WORD = re.compile(r"(?:true|false|null)\b")


def read(text: str) -> Tree:
    """The tree of the one JSON value in ``text``.

    libyaml reads most JSON but not its surrogate escapes, and the standard
    library keeps neither places nor duplicate keys. Numbers, true and false
    stay text, as in YAML. Raises FaultyError.
    """
    reader = _Reader(text)
    value, place, end = reader.value(reader.skip(0), 0)
    if (end := reader.skip(end)) < len(text):
        raise fault(text, end, "something follows the end of the JSON document; remove it")
    return Tree(value, place, text)


class _Reader:
    """Each method takes the offset where to read, and returns the one where it stopped last."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._count = Growth(text).one_more

    def skip(self, at: int) -> int:
        found = _SPACE.match(self._text, at)
        return found.end() if found else at

    def value(self, at: int, depth: int) -> tuple[Value, Place, int]:
        first = self._text[at : at + 1]
        if first in ("{", "["):
            self._count(at, depth + 1)
            return self._object(at, depth + 1) if first == "{" else self._array(at, depth + 1)
        self._count(at, depth)
        if first == '"':
            words, end = self._string(at)
            return words, at, end
        if found := _WORD.match(self._text, at) or _NUMBER.match(self._text, at):
            return (None if found[0] == "null" else found[0]), at, found.end()
        raise self._wrong(at, "a value")

    def _object(self, at: int, depth: int) -> tuple[Value, Place, int]:
        values: dict[str, Value] = {}
        places: dict[str, tuple[int, Place]] = {}
        end = self.skip(at + 1)
        while self._text[end : end + 1] != "}" or places:
            key_at = end
            key, end = self._key(key_at)
            if key in places:
                raise duplicate(self._text, key, places[key][0], key_at)
            value, place, end = self.value(end, depth)
            places[key] = (key_at, place)
            if value is not None:
                values[key] = value
            end, more = self._comma(end, "}")
            if not more:
                return values, (at, places), end
        return values, (at, places), end + 1

    def _array(self, at: int, depth: int) -> tuple[Value, Place, int]:
        values: list[Value] = []
        places: list[Place] = []
        end = self.skip(at + 1)
        while self._text[end : end + 1] != "]" or places:
            value, place, end = self.value(end, depth)
            values.append(value)
            places.append(place)
            end, more = self._comma(end, "]")
            if not more:
                return values, (at, places), end
        return values, (at, places), end + 1

    def _key(self, at: int) -> tuple[str, int]:
        if self._text[at : at + 1] != '"':
            raise self._wrong(at, "a key in double quotes")
        key, end = self._string(at)
        end = self.skip(end)
        if self._text[end : end + 1] != ":":
            raise self._wrong(end, "':' after a key")
        return key, self.skip(end + 1)

    def _comma(self, at: int, closing: str) -> tuple[int, bool]:
        at = self.skip(at)
        found = self._text[at : at + 1]
        if found == ",":
            return self.skip(at + 1), True
        if found == closing:
            return at + 1, False
        raise self._wrong(at, f"',' or '{closing}'")

    def _string(self, at: int) -> tuple[str, int]:
        try:
            text, end = scanstring(self._text, at + 1, True)  # noqa: FBT003 - the C function knows no names
        except JSONDecodeError as error:
            words = (
                "this text has no closing quote"
                if error.pos == at
                else "a line end, tab or escape that JSON forbids"
            )
            raise fault(self._text, error.pos, words) from None
        if UNPRINTABLE.search(text):
            raise fault(
                self._text,
                at,
                "this text escapes a control character or half a character, which can't be stored",
            )
        return text, end

    def _wrong(self, at: int, wanted: str) -> FaultyError:
        if at >= len(self._text):
            return fault(self._text, at, f"the JSON document ends where {wanted} is expected")
        return fault(self._text, at, f"expected {wanted}, found {self._text[at]!r}")

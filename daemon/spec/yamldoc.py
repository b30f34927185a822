"""YAML, as far as a specification needs it: no aliases, no tags, no guessing of types."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn, cast

from yaml.cyaml import CParser  # type: ignore[attr-defined]  # the stub does not export it
from yaml.error import MarkedYAMLError, YAMLError
from yaml.events import (
    AliasEvent,
    CollectionStartEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    StreamEndEvent,
    StreamStartEvent,
)

from daemon.outcome import Problem
from daemon.spec.text import UNPRINTABLE, FaultyError, fault
from daemon.spec.tree import TOO_DEEP, Growth, Place, Tree, Value, duplicate, shown

if TYPE_CHECKING:
    from collections.abc import Callable

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})

#: The parser's words for the mistakes people make, in words that say what to do.
_SAID_BETTER = {
    "mapping values are not allowed in this context": (
        "a ':' where no key can stand; put quotes around a text with ': ' in it, or mend the indentation"
    ),
    "found character that cannot start any token": (
        "no value can start with this character; indent with spaces, not tabs,"
        " and put quotes around a text that starts with @, ` or %"
    ),
    "found unexpected end of stream": "the document ends inside a quoted text; its closing quote is missing",
    "could not find expected ':'": "a ':' is missing after the key on this line or the one before",
    "did not find expected <document start>": (
        "this line does not belong to what stands above it; look at the indentation"
    ),
    "did not find expected key": (
        "no key stands where one belongs; look at the indentation here and at the quotes above"
    ),
    "did not find expected ',' or ']'": "the list in brackets is not closed with ]",
    "did not find expected ',' or '}'": "the mapping in braces is not closed with }",
    "did not find expected '-' indicator": (
        "the items of this list do not stand under each other; look at the indentation"
    ),
    "exceeded maximum nesting depth": TOO_DEEP,  # libyaml's own limit, since 0.2.6
}


def read(text: str) -> Tree:
    """The tree of the one YAML document in ``text``.

    Built on libyaml's events instead of a loader: aliases (which explode),
    tags and duplicate keys are refused, and scalars stay as they were
    written (YAML 1.2, 10.1, the failsafe schema, with null added). Raises
    FaultyError.
    """
    try:
        return _Reader(text).document()
    except MarkedYAMLError as error:
        raise _not_yaml(text, error) from None
    except YAMLError as error:
        raise FaultyError(Problem(f"not YAML: {error}")) from None


def _not_yaml(text: str, error: MarkedYAMLError) -> FaultyError:
    mark = error.problem_mark or error.context_mark
    said = str(error.problem)
    words = _SAID_BETTER.get(said, f"not YAML: {said}")
    return fault(text, min(mark.index, len(text)) if mark else 0, words)


def _offset(event: Event) -> int:
    """Where an event starts. All of libyaml's have marks, the stub also thinks of those made by hand."""
    return event.start_mark.index  # type: ignore[union-attr]


class _Reader:
    """Builds values and their places side by side while the parser goes on."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._next = cast("Callable[[], Event]", CParser(text).get_event)
        self._count = Growth(text).one_more

    def document(self) -> Tree:
        event = self._next()
        while isinstance(event, StreamStartEvent | DocumentStartEvent):
            event = self._next()
        if isinstance(event, StreamEndEvent):
            return Tree(None, 0, self._text)
        value, place = self._node(event, 0)
        while isinstance(event := self._next(), DocumentEndEvent):
            pass
        if not isinstance(event, StreamEndEvent):
            self._refuse(event, "a second document starts here; send each specification as a file of its own")
        return Tree(value, place, self._text)

    def _node(self, event: Event, depth: int) -> tuple[Value, Place]:
        offset = _offset(event)
        if type(event) is ScalarEvent:
            self._count(offset, depth)
            value = self._scalar(event)
            return (None if value in _NULLS and event.implicit[0] else value), offset
        if type(event) is AliasEvent:
            self._refuse(event, f"the alias *{event.anchor} is not allowed; write out what it stands for")
        depth += 1
        self._count(offset, depth)
        if isinstance(event, CollectionStartEvent) and event.tag is not None:
            self._refuse(event, f"the tag {shown(event.tag)} is not allowed; remove it")
        if type(event) is MappingStartEvent:
            mapping, places = self._mapping(depth)
            return mapping, (offset, places)
        items, item_places = self._sequence(depth)
        return items, (offset, item_places)

    def _sequence(self, depth: int) -> tuple[list[Value], list[Place]]:
        values: list[Value] = []
        places: list[Place] = []
        while type(event := self._next()) is not SequenceEndEvent:
            value, place = self._node(event, depth)
            values.append(value)
            places.append(place)
        return values, places

    def _mapping(self, depth: int) -> tuple[dict[str, Value], dict[str, tuple[int, Place]]]:
        values: dict[str, Value] = {}
        places: dict[str, tuple[int, Place]] = {}
        while type(event := self._next()) is not MappingEndEvent:
            if type(event) is not ScalarEvent:
                self._refuse(event, "a key must be plain text")
            key, offset = self._scalar(event), _offset(event)
            if key in places:
                raise duplicate(self._text, key, places[key][0], offset)
            value, place = self._node(self._next(), depth)
            places[key] = (offset, place)
            if value is not None:
                values[key] = value
        return values, places

    def _scalar(self, event: ScalarEvent) -> str:
        if event.tag is not None:
            self._refuse(
                event, f"the tag {shown(event.tag)} is not allowed; put quotes around what must stay text"
            )
        value: str = event.value
        if event.style == '"' and UNPRINTABLE.search(value):
            self._refuse(event, "this text escapes a control character, which can't be stored")
        return value

    def _refuse(self, event: Event, words: str) -> NoReturn:
        raise fault(self._text, _offset(event), words)

"""XML as reports are written in it: elements and attributes, and nothing that expands or is fetched."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn
from xml.parsers import expat

from daemon.reports import ReportError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: Elements within each other; JUnit's reports have four.
DEEPEST = 100


def walk(
    content: bytes, opened: Callable[[str, Mapping[str, str]], None], closed: Callable[[str], None]
) -> None:
    """Tell of each element that it begins, with its attributes, and that it ends.

    A document type may be named, as many writers of Cobertura's format do,
    but is never fetched, and one that is written out is refused: without it
    there are no entities.

    Raises:
        ReportError: this is no XML, or has what no report needs.
    """
    depth = 0

    def begin(name: str, attributes: Mapping[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > DEEPEST:
            raise ReportError(f"its elements are nested more than {DEEPEST} deep")
        opened(name, attributes)

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        closed(name)

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = begin, end
    parser.StartDoctypeDeclHandler = _doctype
    parser.SkippedEntityHandler = _entity
    try:
        parser.Parse(content, True)  # noqa: FBT003 - it takes no names
    except expat.ExpatError as error:
        raise ReportError(f"no XML: {error}") from None
    except (LookupError, ValueError) as error:
        if isinstance(error, ReportError):
            raise
        raise ReportError("no XML in an encoding that is known") from None


def _doctype(_name: str, _system: str | None, _public: str | None, written_out: int) -> None:
    if written_out:
        raise ReportError("it brings a document type of its own, which no report needs")


def _entity(name: str, _is_parameter: int) -> NoReturn:
    raise ReportError(f"no XML: nobody knows the entity {name[:50]!a}")

"""A run's summary, made of what its tools reported."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from daemon.reports import Counts, ReportError, content, coverage, jsondoc, junit, lighthouse, playwright

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reports:
    """The files that a run left, and what no file tells: None where nobody says.

    ``rest`` is a summary in JSON, to which all others are added.
    """

    junit: Sequence[Path] = ()
    coverage: Sequence[Path] = ()
    e2e: Sequence[Path] = ()
    lighthouse: Sequence[Path] = ()
    lint_pass: bool | None = None
    type_check: bool | None = None
    rest: Path | None = None


def summary(reports: Reports) -> dict[str, Any]:
    """What the control plane keeps of them, in its nested form.

    Several files of tests add up; of several of coverage or Lighthouse the
    least counts.

    Raises:
        ReportError: one of them can't be read, and the text names it.
    """
    made: dict[str, Any] = {}
    unit = _counted(reports.junit, junit.read)
    if reports.coverage:
        unit["coverage"] = min(_each(reports.coverage, coverage.read))
    if unit:
        made["tests.unit"] = unit
    if reports.e2e:
        made["tests.e2e"] = _counted(reports.e2e, playwright.read)
    if reports.lighthouse:
        made["lighthouse"] = {"score": lighthouse.least(_each(reports.lighthouse, lighthouse.read))}
    if reports.lint_pass is not None:
        made["lint_pass"] = reports.lint_pass
    if reports.type_check is not None:
        made["type_check"] = reports.type_check
    return _laid_out(made, reports.rest)


def _laid_out(made: dict[str, Any], path: Path | None) -> dict[str, Any]:
    """The summary in ``path`` with what was ``made`` in it; nothing may be said twice."""
    whole = _each([path], _object)[0] if path else {}
    for where, value in made.items():
        suite = where.removeprefix("tests.")
        at = whole if suite == where else whole.setdefault("tests", {})
        if not isinstance(at, dict) or suite in at:
            raise ReportError(f"{path}: it says {where} already, which another report does as well")
        at[suite] = value
    return whole


def _object(given: bytes) -> dict[str, Any]:
    found = jsondoc.read(given)
    if not isinstance(found, dict):
        raise ReportError("a summary must be an object")
    return found


def _counted(paths: Sequence[Path], read: Callable[[bytes], Counts]) -> dict[str, Any]:
    """All their tests together; nothing when there are no files."""
    counts = [asdict(each) for each in _each(paths, read)]
    return {key: sum(each[key] for each in counts) for key in counts[0]} if counts else {}


def _each(paths: Iterable[Path], read: Callable[[bytes], T]) -> list[T]:
    return [_named(path, read) for path in paths]


def _named(path: Path, read: Callable[[bytes], T]) -> T:
    """What a file says; its trouble names it."""
    try:
        return read(content(path))
    except ReportError as error:
        raise ReportError(f"{path}: {error}") from None

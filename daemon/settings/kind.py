"""Kinds of settings: what a value may look like, how it is read, and how it is shown."""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic_core import core_schema

if TYPE_CHECKING:
    from collections.abc import Callable

KIB, MIB, GIB = 1024, 1024**2, 1024**3

_SIZES = {"": 1, "B": 1, "KB": 1000, "MB": 1000**2, "GB": 1000**3, "KIB": KIB, "MIB": MIB, "GIB": GIB}
_DURATIONS = {"": 1, "MS": 0.001, "S": 1, "MIN": 60, "H": 3600}


class UnfitError(ValueError):
    """A value that its kind does not allow; the text, if any, is the reason."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What one setting may be; stands in ``Annotated`` beside the type that results.

    ``allowed`` says it to the operator. ``read`` takes what TOML gave, or the
    text of a variable or a credential, or the value itself, and raises
    UnfitError with the reason, or with nothing when ``allowed`` says it all.
    ``show`` is its way back, for the log and the manual; a ``secret`` is never
    repeated in an error.
    """

    allowed: str
    read: Callable[[Any], Any]
    show: Callable[[Any], Any] = str
    secret: bool = False

    def __get_pydantic_core_schema__(self, _source: object, _handler: object) -> core_schema.CoreSchema:
        """How pydantic asks an annotation for its validator."""
        return core_schema.no_info_plain_validator_function(self.read)


def choice(*names: str) -> Kind:
    """One word of ``names``."""

    def read(value: object) -> str:
        if value not in names:
            raise UnfitError
        return str(value)

    return Kind(" or ".join(f'"{name}"' for name in names), read)


def count(low: int, high: int) -> Kind:
    """A whole number, ``low`` to ``high``."""
    return Kind(f"a whole number, {low} to {high}", _within(_whole, low, high), _same)


def number(low: float, high: float) -> Kind:
    """A number, ``low`` to ``high``."""
    return Kind(f"a number, {low:g} to {high:g}", _within(_real, low, high), _same)


def size(low: int, high: int) -> Kind:
    """Bytes: a whole number, or text with a unit."""
    allowed = f'a size, {show_size(low)} to {show_size(high)}, such as "25 MiB" (or a number of bytes)'
    return Kind(allowed, _within(_size, low, high), show_size)


def duration(low: float, high: float) -> Kind:
    """Seconds: a number, or text with a unit."""
    allowed = f'a duration, {show_duration(low)} to {show_duration(high)}, such as "90 s" or "5 min"'
    return Kind(allowed, _within(_duration, low, high), show_duration)


def age() -> Kind:
    """Seconds, from an hour to a hundred years; for people, days."""
    allowed = 'an age, 1 h to 36500 d, such as "90 d"'
    return Kind(allowed, _within(_age, 3600, 36500 * 86400), show_age)


def matching(pattern: str, allowed: str) -> Kind:
    """Text that is ``pattern`` from end to end."""
    compiled = re.compile(pattern)

    def read(value: object) -> str:
        if not isinstance(value, str) or not compiled.fullmatch(value):
            raise UnfitError
        return value

    return Kind(allowed, read)


def worded(allowed: str, read: Callable[[str], str]) -> Kind:
    """Text that ``read`` takes; its ValueError has words of its own."""

    def read_text(value: object) -> str:
        if not isinstance(value, str):
            raise UnfitError
        try:
            return read(value)
        except ValueError as wrong:
            raise UnfitError(str(wrong)) from None

    return Kind(allowed, read_text)


def hidden(kind: Kind) -> Kind:
    """``kind``, of which no value is ever shown."""
    return replace(kind, show=lambda _: "***", secret=True)


def several(item: Kind, allowed: str, least: int = 0) -> Kind:
    """A list of ``item``; a text alone is one, or several with commas between (or a TOML array)."""

    def read(value: object) -> tuple[Any, ...]:
        items = _items(value)
        if len(items) < least:
            raise UnfitError(f"at least {least} is needed")
        return tuple(_read_item(item, each) for each in items)

    return Kind(allowed, read, lambda values: [item.show(value) for value in values])


def show_size(value: int) -> str:
    """``26214400`` as ``25 MiB``."""
    for unit, factor in (("GiB", GIB), ("MiB", MIB), ("KiB", KIB)):
        if value >= factor and value % factor == 0:
            return f"{value // factor} {unit}"
    return f"{value} B"


def show_duration(value: float) -> str:
    """``300.0`` as ``5 min``."""
    for unit, factor in (("h", 3600), ("min", 60)):
        if value >= factor and value % factor == 0:
            return f"{value / factor:g} {unit}"
    return f"{value:g} s"


def show_age(value: float) -> str:
    """``7776000.0`` as ``90 d``."""
    return f"{value / 86400:g} d" if value % 86400 == 0 else show_duration(value)


def _same(value: Any) -> Any:  # noqa: ANN401  # numbers and flags are shown as TOML has them
    return value


def _flag(value: object) -> bool:
    if isinstance(value, str):
        value = {"true": True, "false": False}.get(value.lower())
    if not isinstance(value, bool):
        raise UnfitError
    return value


def _folder(value: object) -> Path:
    """Made absolute at once: the daemon's working directory is nobody's promise."""
    if not isinstance(value, str | Path) or not str(value) or "\0" in str(value):
        raise UnfitError
    return Path(value).expanduser().absolute()


def _readable(value: object) -> Path:
    path = _folder(value)
    if path.is_dir() or not os.access(path, os.R_OK):
        raise UnfitError("no file that can be read" if path.exists() else "no such file")
    return path


def _whole(value: object) -> int:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise UnfitError
    return value


def _real(value: object) -> float:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}(\.[0-9]{1,18})?", value):
        value = float(value)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise UnfitError
    return float(value)


def _size(value: object) -> int:
    return int(_measured(value, _SIZES)) if isinstance(value, str) else _whole(value)


def _duration(value: object) -> float:
    return _measured(value, _DURATIONS) if isinstance(value, str) else _real(value)


def _age(value: object) -> float:
    return _measured(value, _DURATIONS | {"D": 86400}) if isinstance(value, str) else _real(value)


def _measured(text: str, units: dict[str, Any]) -> float:
    """``text``, a number and one of ``units``, in the unit that counts as one."""
    match = re.fullmatch(r"([0-9]{1,18}(?:\.[0-9]{1,9})?)\s*([A-Za-z]*)", text.strip())
    if not match or match[2].upper() not in units:
        raise UnfitError
    return float(match[1]) * float(units[match[2].upper()])


def _within(read: Callable[[object], Any], low: float, high: float) -> Callable[[object], Any]:
    def bounded(value: object) -> Any:  # noqa: ANN401  # an int or a float, as read gives it
        result = read(value)
        if not low <= result <= high:
            raise UnfitError
        return result

    return bounded


def _read_item(item: Kind, value: object) -> Any:  # noqa: ANN401  # what the item's kind gives
    try:
        return item.read(value)
    except UnfitError as wrong:
        raise UnfitError(f"{value!r}: {wrong}" if str(wrong) else f"{value!r}") from None


def _items(value: object) -> list[object]:
    if isinstance(value, str):
        array = _array(value)
        return [item for each in value.split(",") if (item := each.strip())] if array is None else array
    if isinstance(value, list | tuple):
        return list(value)
    raise UnfitError


def _array(text: str) -> list[object] | None:
    """A variable may hold a TOML array. ``[::1]:25`` begins like one and isn't."""
    if not text.lstrip().startswith("["):
        return None
    try:
        value = tomllib.loads(f"array = {text}")["array"]
    except tomllib.TOMLDecodeError:
        return None
    return value if isinstance(value, list) else None


FLAG = Kind("true or false", _flag, _same)
FOLDER = Kind("a path", _folder)
READABLE = Kind("the path of a file that can be read", _readable)

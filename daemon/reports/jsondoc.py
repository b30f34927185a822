"""JSON as reports are written in it."""

from __future__ import annotations

from typing import Any

import orjson

from daemon.reports import ReportError


def read(content: bytes) -> Any:  # noqa: ANN401 - any JSON
    """What ``content`` says; ReportError when it is no JSON, or is nested too deep."""
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise ReportError(f"no JSON: {error}") from None


def at(value: object, *path: str) -> Any:  # noqa: ANN401 - any JSON
    """What lies under these keys; None when nothing does."""
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def count(value: object, *path: str) -> int:
    """The count under these keys; ReportError when there is none."""
    found = at(value, *path)
    if not isinstance(found, int) or isinstance(found, bool) or found < 0:
        raise ReportError(f"{'.'.join(path)} is no count")
    return found

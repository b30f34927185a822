"""The forms in which specifications are written, and how to tell them apart."""

from __future__ import annotations

import re
from enum import StrEnum


class Form(StrEnum):
    """A form of document."""

    YAML = "yaml"
    JSON = "json"
    MARKDOWN = "markdown"


_BY_SUFFIX = {
    "yaml": Form.YAML,
    "yml": Form.YAML,
    "json": Form.JSON,
    "md": Form.MARKDOWN,
    "markdown": Form.MARKDOWN,
}

#: RFC 9512 registers application/yaml; its other names are older and still sent. Markdown is RFC 7763.
_BY_MEDIA_TYPE = {
    "application/yaml": Form.YAML,
    "application/x-yaml": Form.YAML,
    "text/yaml": Form.YAML,
    "text/x-yaml": Form.YAML,
    "application/json": Form.JSON,
    "text/json": Form.JSON,
    "text/markdown": Form.MARKDOWN,
    "text/x-markdown": Form.MARKDOWN,
}

#: From a ``---`` line before all other text up to the next one, which is not part of the match.
FRONT_MATTER = re.compile(
    r"\s*^---[ \t]*(?:\r\n?|\n)(?:.*?(?:\r\n?|\n))??(?=(?:---|\.\.\.)[ \t]*(?:[\r\n]|\Z))",
    re.DOTALL | re.MULTILINE,
)

#: A top-level key that makes YAML or JSON a specification, as it looks in block style.
OUR_KEY = re.compile(r"^[\"']?(?:meta|planning)[\"']?[ \t]*:", re.MULTILINE)

_KEY = re.compile(r"[\"']?[\w-]+[\"']?[ \t]*:(?:[ \t\r\n]|\Z)")


def declared(name: str | None, media_type: str) -> Form | None:
    """The form that a document's name or, failing that, its media type says it has."""
    return _BY_SUFFIX.get(suffix(name)) or _BY_MEDIA_TYPE.get(media_type.lower())


def suffix(name: str | None) -> str:
    """``yaml`` of ``plans/Spec.YAML``; empty when there is none."""
    _, dot, last = (name or "").rpartition(".")
    return last.lower() if dot else ""


def sniffed(text: str) -> Form:
    """The form that a text looks like, for one whose name and media type tell nothing."""
    start = text.lstrip()
    if start.startswith(("{", "[")):
        return Form.JSON
    if FRONT_MATTER.match(start):
        return Form.MARKDOWN
    return Form.YAML if OUR_KEY.search(text) or _KEY.match(start) else Form.MARKDOWN

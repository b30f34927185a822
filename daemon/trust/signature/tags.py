"""Tag lists, as DKIM writes its signatures and keys (RFC 6376, 3.2)."""

from __future__ import annotations

import re

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*+")
#: The folding white space that is no part of a value; str.strip() would take more.
_SPACE = " \t\r\n"
_NO_SPACE = str.maketrans("", "", _SPACE)


def read(text: str) -> dict[str, str] | None:
    """The values by their names, in their order; None when ``text`` is no tag list or a name stands twice."""
    found: dict[str, str] = {}
    specs = text.strip(_SPACE).split(";")
    for spec in specs[:-1] if len(specs) > 1 and not specs[-1].strip(_SPACE) else specs:
        name, equals, value = (part.strip(_SPACE) for part in spec.partition("="))
        if not equals or not _NAME.fullmatch(name) or name in found:
            return None
        found[name] = value
    return found


def packed(value: str) -> str:
    """``value`` without the white space that may stand anywhere in Base64 and between list items."""
    return value.translate(_NO_SPACE)


def items(value: str) -> list[str]:
    """The items of a list with colons, such as ``h=``, in lower case."""
    return [item.strip(_SPACE).lower() for item in value.split(":")]

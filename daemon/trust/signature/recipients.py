"""Recipients: the addresses that stand in a To or Cc, and only those."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*+"?')
_COMMENT = re.compile(r"\((?:[^()\\]|\\.)*+\)")
#: What an encoded word hides or shows is a name (RFC 2047, 5), whatever stands in it unencoded.
_WORD = re.compile(r"=\?[^?\s]*+\?[bq]\?[^?]*+\?=", re.IGNORECASE)
#: An address alone or in angle brackets after a name (RFC 5322, 3.4).
_ADDRESS = re.compile(
    r"\s*+(?:[^<>()@]*+<\s*+([^<>()\s@]++@[^<>()\s@]++)\s*+>|([^<>()\s@]++@[^<>()\s@]++))\s*+"
)


def addresses(value: str) -> Iterator[str]:
    """The addresses of an unfolded To or Cc, in their order.

    Display names, comments and whatever has another form hold none. Which
    addresses are ours is read more generously elsewhere: here an address
    counts for the sender's having written to it.
    """
    plain = _COMMENT.sub(" ", _WORD.sub(" ", _QUOTED.sub(" ", value)))
    if "(" in plain or ")" in plain:  # comments in comments, which nobody writes
        return
    for entry in re.split(r"[,;:]", plain):
        if match := _ADDRESS.fullmatch(entry):
            yield match[1] or match[2]

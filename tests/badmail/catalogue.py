"""Bad mail: everything that attackers of mail readers have thought of, and some of what they will.

Each class is a file with a function ``mails`` that gives names and messages,
the same ones each time; only their Date is of today, since an old one's
signature is not looked at. What is meant to cost much, and has a verdict of
its own each, is in ``tests.bombs``; what chance does to good mails in
``tests.mutations``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.badmail import (
    addresses,
    boundaries,
    charsets,
    cuts,
    headers,
    jsondocs,
    lines,
    markdown,
    names,
    nesting,
    signatures,
    transfer,
    types,
    words,
    yamldocs,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CLASSES: dict[str, Callable[[], Iterator[tuple[str, bytes]]]] = {
    "headers": headers.mails,
    "words": words.mails,
    "addresses and dates": addresses.mails,
    "types": types.mails,
    "boundaries": boundaries.mails,
    "nesting": nesting.mails,
    "names": names.mails,
    "transfer encodings": transfer.mails,
    "charsets": charsets.mails,
    "lines": lines.mails,
    "cuts": cuts.mails,
    "signatures": signatures.mails,
    "YAML": yamldocs.mails,
    "JSON": jsondocs.mails,
    "Markdown": markdown.mails,
}

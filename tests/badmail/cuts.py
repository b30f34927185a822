"""A mail with everything in it, cut off at each place where something begins or ends."""

from __future__ import annotations

import re
from random import Random
from typing import TYPE_CHECKING

from tests.bombs import NAMES, SIGNATURE, SPEC, attached, crlf, file, parts, section

if TYPE_CHECKING:
    from collections.abc import Iterator

#: How many places of no meaning it is cut at, too.
ANYWHERE = 20
_PLACES = re.compile(rb"\r\n\r\n|\r\n--=_b(?:--)?|\r\n(?=[A-Z][\w-]+:)|=\?|\?=|\*0\*?=|;\r\n|begin 644")


def whole() -> bytes:
    """A mail of parts of each kind, and of headers that go on."""
    inner = attached(SPEC).replace(b"=_b", b"=_c")
    signature = SIGNATURE.format(method="relaxed/relaxed", selector="s", names=NAMES, digest="A" * 43 + "=")
    return signature.encode() + parts(
        section(
            "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable",
            "=C3=A9=\r\n",
        ),
        file(SPEC.encode(), "=?utf-8?q?spec=2Eyaml?="),
        section("Content-Type: application/yaml;\r\n name*0*=utf-8''%C3%A9;\r\n name*1=x.yaml", crlf(SPEC)),
        section("Content-Type: message/rfc822", inner),
        section("Content-Type: text/plain", "begin 644 x\r\n#0V%T\r\n`\r\nend\r\n"),
    )


def mails() -> Iterator[tuple[str, bytes]]:
    """Each the beginning of it."""
    raw, random = whole(), Random(20)
    found = {place for match in _PLACES.finditer(raw) for place in (match.start(), match.end())}
    anywhere = {random.randrange(len(raw)) for _ in range(ANYWHERE)}
    for place in sorted(found | anywhere):
        start = raw[:place].removesuffix(b"\r")  # else it ends in half a line end, which is never read
        yield f"after {place} octets", start

"""Content-Type: absurd, flooded, at odds with what it is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.bombs import MOST, SPEC, crlf, folded, parts, section, single

if TYPE_CHECKING:
    from collections.abc import Iterator

TYPES = {
    "empty": "",
    "a slash": "/",
    "slashes": "////",
    "no subtype": "text",
    "no type": "/plain",
    "three": "text/plain/yaml",
    "blanks around the slash": "text / plain",
    "a comment": "text/plain (text/html) ; charset=utf-8",
    "in capitals": "APPLICATION/YAML",
    "in no ASCII": "tëxt/plain",
    "raw octets": "text/pl\udcffin",
    "NUL": "text/pla\0in",
    "an encoded word": "=?utf-8?q?application/yaml?=",
    "quotes": '"application/yaml"',
    "a star": "*/*",
    "60,000 letters": f"{'x' * 30_000}/{'y' * 30_000}",
    "two, by a comma": "text/plain, application/yaml",
    "two, by a semicolon": "text/plain; application/yaml",
    "a fold within": "application/\r\n yaml",
    "a fold before": "\r\n application/yaml",
    "a percent sign": "application%2Fyaml",
    "a media type of a path": "../../etc/passwd",
    "parameters without values": "text/plain; charset; name; boundary",
    "values without names": "text/plain; =utf-8; ==",
    "semicolons": "text/plain" + ";" * 900,
    "equal signs": "text/plain; a" + "=" * 900,
    "quotes without end": 'text/plain; charset="utf-8; name=spec.yaml',
    "98 kB of semicolons": "text/plain" + folded(";", MOST - 2000),
    "98 kB of parameters": "text/plain" + folded(";a=b", MOST - 2000),
    "98 kB of open quotes": "text/plain" + folded(';a="', MOST - 2000),
    "98 kB of backslashes": 'text/plain; a="' + folded("\\", MOST - 2000),
    "98 kB of stars": "text/plain" + folded(";a*", MOST - 2000),
    "98 kB of pieces": "text/plain" + folded(";a*1*=", MOST - 2000),
    "98 kB of percents": "text/plain; name*=utf-8''" + folded("%41", MOST - 2000),
    "98 kB of percents without digits": "text/plain; name*=utf-8''" + folded("%", MOST - 2000),
    "98 kB of quotes of RFC 2231": "text/plain; name*=" + folded("'", MOST - 2000),
    "a text in HTML": "text/html; charset=utf-8",
    "a picture": "image/svg+xml",
    "a calendar": "text/calendar; method=REQUEST",
    "Markdown": "text/markdown",
    "JSON": "application/json",
    "a multipart that is none": "multipart/mixed",
    "a report": "multipart/report; report-type=delivery-status",
    "flowed": "text/plain; format=flowed; delsp=yes",
}


def mails() -> Iterator[tuple[str, bytes]]:
    """Of the mail, and of a part."""
    for name, value in TYPES.items():
        yield f"a mail: {name}", single(f"Content-Type: {value}", crlf(SPEC))
    for name, value in TYPES.items():
        yield f"a part: {name}", parts(section(f"Content-Type: {value}", crlf(SPEC)))
    yield "900 of them", single("\r\n".join(f"Content-Type: text/x{n}" for n in range(900)), crlf(SPEC))
    yield "900 of a part's", parts(section("\r\n".join(["Content-Type: text/plain"] * 900), crlf(SPEC)))
    yield (
        "199 of 500 octets",
        parts(*(section(f"Content-Type: text/plain; name={'x' * 450}{n}") for n in range(199))),
    )

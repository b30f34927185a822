"""JSON: depth, numbers, escapes, and what other readers of it take."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.bombs import attached, single

if TYPE_CHECKING:
    from collections.abc import Iterator

WHOLE = json.dumps(
    {"meta": {"repo": "example/tides"}, "planning": {"epics": [{"sprints": [{"goals": ["g"]}]}]}}
)

DOCUMENTS = {
    "whole": WHOLE,
    "21 levels": WHOLE[:-1] + ', "x": ' + "[" * 25 + "]" * 25 + "}",
    "900 levels": '{"meta": ' + "[" * 900 + "]" * 900 + "}",
    "5,000 levels": '{"meta": ' + '{"a":' * 5000 + "1" + "}" * 5001,
    "levels without end": '{"meta": ' + "[" * 60_000,
    "twice the same key": '{"meta": {}, "meta": {"repo": "evil/repo"}}',
    "9,000 times the same key": '{"meta": 1' + ', "a": 1' * 9000 + "}",
    "11,000 values": '{"meta": [' + "1," * 11_000 + "1]}",
    "an integer of 10,000 digits": '{"meta": {"repo": ' + "1" * 10_000 + "}}",
    "a float of 10,000 digits": '{"meta": {"repo": 0.' + "1" * 10_000 + "}}",
    "an exponent of 10,000 digits": '{"meta": {"repo": 1e' + "9" * 10_000 + "}}",
    "no numbers": '{"meta": [NaN, Infinity, -Infinity]}',
    "a number with a zero": '{"meta": 007}',
    "a number with a plus": '{"meta": +1}',
    "a number without digits": '{"meta": -}',
    "a lone surrogate": WHOLE.replace("example", "\\ud800"),
    "surrogates the wrong way": WHOLE.replace("example", "\\ude00\\ud83d"),
    "an escaped NUL": WHOLE.replace("example", "a\\u0000b"),
    "an escaped NUL in what is planned": WHOLE.replace('"g"', '"a\\u0000b"'),
    "half a character in what is planned": WHOLE.replace('"g"', '"\\ud800"'),
    "an escaped NUL in a label": WHOLE.replace('{"goals"', '{"id": "S\\u0000", "goals"'),
    "half a character in a label": WHOLE.replace('{"goals"', '{"id": "S\\udfff", "goals"'),
    "an escape that is none": WHOLE.replace("example", "\\x41\\u12"),
    "a line end in a text": WHOLE.replace("example", "a\nb"),
    "a text without end": '{"meta": "' + "a" * 60_000,
    "escapes without end": '{"meta": "' + "\\\\" * 60_000,
    "a text of 200,000": '{"meta": "' + "a" * 200_000 + '"}',
    "a key of 200,000": '{"' + "a" * 200_000 + '": 1, "meta": 1}',
    "a comma too many": WHOLE[:-1] + ",}",
    "a comma too few": WHOLE.replace(", ", " "),
    "commas": '{"meta": [' + "," * 60_000 + "]}",
    "colons": '{"meta"' + ":" * 60_000 + "1}",
    "comments": "// meta\n/* x */" + WHOLE,
    "single quotes": WHOLE.replace('"', "'"),
    "no quotes": WHOLE.replace('"', ""),
    "a mark before it": "\ufeff" + WHOLE,
    "blanks before it": " \n\t" * 60_000 + WHOLE,
    "other blanks before it": "\u00a0\u2028" + WHOLE,
    "something behind it": WHOLE + WHOLE,
    "lines": (WHOLE + "\n") * 50,
    "a list of them": f"[{','.join([WHOLE] * 50)}]",
    "a text of it": json.dumps(WHOLE),
    "a prefix against guests": ")]}',\n" + WHOLE,
    "a prototype": WHOLE.replace('"meta"', '"__proto__": {"x": 1}, "constructor": 1, "meta"'),
    "a reference": WHOLE.replace('"example/tides"', '{"$ref": "#/meta", "$where": "sleep(9)"}'),
    "words that go on": '{"meta": truefalse}',
    "words in capitals": '{"meta": TRUE}',
    "nothing": "",
    "null": "null",
    "a brace": "{",
    "the other brace": "}",
    "words of Python": "{'meta': None, 'planning': __import__('os')}",
}


def mails() -> Iterator[tuple[str, bytes]]:
    """Attached, and some as the whole mail."""
    for name, document in DOCUMENTS.items():
        yield name, attached(document, "spec.json")
    for name in list(DOCUMENTS)[:24:4]:
        lines = DOCUMENTS[name].replace("\n", "\r\n")
        if len(lines) < 60_000:
            yield f"a mail of it: {name}", single("Content-Type: application/json", lines)

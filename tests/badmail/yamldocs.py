"""YAML: what a loader would expand, construct, resolve, or recurse into."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests import bombs
from tests.bombs import SPEC, attached, crlf, mail

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD = "meta: {repo: example/tides}\n"

DOCUMENTS = {
    "aliases": bombs.aliases(),
    "an alias of itself": "meta: &a {repo: example/tides, x: *a}\n",
    "an alias of nothing": "meta: {repo: *gone}\n",
    "10,000 anchors": HEAD + "".join(f"k{n}: &a{n} x\n" for n in range(10_000)),
    "a merge": "base: &b {repo: example/tides}\nmeta: {<<: *b}\n",
    "a merge of itself": "meta: &a {repo: example/tides, <<: *a}\n",
    "an object": "meta: !!python/object/apply:os.system ['touch /tmp/owned']\n",
    "a name": "meta: !!python/name:os.system\n",
    "a new object": "meta: !!python/object/new:type {args: [x, [], {}]}\n",
    "a tag of one's own": HEAD + "planning: !evil {epics: []}\n",
    "a tag by URI": HEAD + "planning: !<tag:evil.example,2024:x> {epics: []}\n",
    "a tag of 60,000": HEAD + f"x: !{'a' * 60_000} y\n",
    "10,000 tag directives": "".join(f"%TAG !{n}! tag:x{n}:\n" for n in range(8000)) + "---\n" + SPEC,
    "a version of 9.9": "%YAML 9.9\n---\n" + SPEC,
    "two versions": "%YAML 1.1\n%YAML 1.2\n---\n" + SPEC,
    "an unheard-of directive": "%EVIL x\n---\n" + SPEC,
    "two documents": SPEC + "---\n" + SPEC,
    "20,000 documents": "---\n" * 20_000,
    "20,000 ends": "...\n" * 20_000,
    "twice the same key": HEAD + HEAD,
    "9,000 times the same key": "meta: {}\n" * 9000,
    "a key of a mapping": "? {meta: x}\n: y\n",
    "a key of itself": "&a {*a: x}\n",
    "a key of nothing": ": meta\n",
    "a key of 200,000": f"{'k' * 200_000}: x\n{HEAD}",
    "a quoted key of 200,000": f'"{"k" * 200_000}": x\n{HEAD}',
    "a binary": "meta: !!binary R0lGODlhDAAMAIQAAP\n",
    "a set": HEAD + "planning: !!set {epics}\n",
    "a timestamp": HEAD + "planning: 9999-99-99T99:99:99Z\n",
    "numbers": "meta: {repo: 0x7fffffffffffffffffff, branch: 1e999999, project: .inf}\n",
    "sexagesimals": "meta: {repo: example/tides, project: " + "59:" * 5000 + "59}\n",
    "no numbers": "meta: {repo: .nan, branch: ~, project: no}\n",
    "20 levels": HEAD + "planning: " + "[" * 19 + "]" * 19 + "\n",
    "21 levels": HEAD + "planning: " + "[" * 25 + "]" * 25 + "\n",
    "10,000 levels in blocks": "\n".join(" " * n + "a:" for n in range(700)),
    "10,000 levels of dashes": "- " * 10_000 + "x",
    "10,000 questions": "? " * 10_000 + "x",
    "flow without end": HEAD + "planning: {epics: [{" * 9,
    "10,000 braces": "{" * 10_000,
    "10,000 colons": ":" * 10_000 + "\nmeta: x\n",
    "10,000 pairs of braces": "{}" * 10_000,
    "commas": HEAD + "planning: [" + "," * 10_000 + "]\n",
    "11,000 values": HEAD + "x: [" + "a," * 11_000 + "]\n",
    "tabs": SPEC.replace("  ", "\t"),
    "tabs and blanks": SPEC.replace("    ", " \t "),
    "indents at random": "\n".join(" " * (n * 7 % 13) + f"k{n}: x" for n in range(400)),
    "a block of indent 9": HEAD + "x: |9\n" + " " * 9 + "y\n",
    "a block of indent 0": HEAD + "x: |0\n  y\n",
    "a block of both": HEAD + "x: >+-\n  y\n",
    "a block of 200,000 lines": HEAD + "x: |\n" + " y\n" * 60_000,
    "a fold of 200,000": HEAD + "x: >\n" + " y\n\n" * 40_000,
    "single quotes without end": HEAD + "x: '" + "''" * 60_000,
    "double quotes without end": HEAD + 'x: "' + '\\"' * 60_000,
    "escapes of controls": HEAD + 'x: "\\0\\a\\e\\x1b"\n',
    "escapes of surrogates": HEAD + 'x: "\\ud83d\\ude00 \\ud800"\n',
    "an escape beyond Unicode": HEAD + 'x: "\\U00110000"\n',
    "an escape that is none": HEAD + 'x: "\\q\\x4"\n',
    "an escaped line end": HEAD + 'x: "' + "a\\\n  " * 20_000 + '"\n',
    "comments alone": "# x\n" * 40_000,
    "a comment of 200,000": HEAD + "#" * 200_000,
    "a key of ours in a comment": "# meta:\n",
    "blank lines alone": "\n" * 200_000,
    "a list at the top": "- meta\n- planning\n",
    "a text at the top": "meta\n",
    "a number at the top": "1\n",
    "nothing": "",
    "meta of a list": "meta: [a, b]\nplanning: x\n",
    "planning of planning": "planning: {planning: {planning: {}}}\n",
    "a sprint of a sprint": HEAD + "planning: {epics: [{sprints: [{sprints: [{goals: [x]}]}]}]}\n",
    "999 sprints": bombs.sprints(999),
    "1,001 sprints": bombs.sprints(1001),
    "goals of 60,000": bombs.sprints(1).replace("[g]", f"['{'g' * 60_000}']"),
    "9,000 goals": bombs.sprints(1).replace("[g]", f"[{'g,' * 9000}]"),
    "SQL": SPEC.replace("tides\n", '"\'; drop table specs; --"\n', 1).replace("S1", "'||pg_sleep(9)||'"),
    "a Definition of Done of all": SPEC.replace("{coverage_min: 0.9}", "{__class__: x, 'a.b[0]': {c: [d]}}"),
    "a coverage of no number": SPEC.replace("0.9", "-1e309"),
    "a coverage of 60,000 digits": SPEC.replace("0.9", "0." + "9" * 60_000),
    "a repository of a path": SPEC.replace("example/tides", "../../etc"),
    "a repository of an option": SPEC.replace("example/tides", "--upload-pack=x/y"),
    "a branch of an option": SPEC.replace("  repo:", "  branch: --force\n  repo:"),
    "a branch of a reference": SPEC.replace("  repo:", "  branch: refs/heads/../../x\n  repo:"),
    "a branch of braces": SPEC.replace("  repo:", "  branch: 'x@{1}'\n  repo:"),
    "a branch that can't be seen": SPEC.replace("  repo:", '  branch: "main\u200b"\n  repo:'),
    "CR for line ends": SPEC.replace("\n", "\r"),
}


def mails() -> Iterator[tuple[str, bytes]]:
    """Attached, and some as the text of the mail, in a fence."""
    for name, document in DOCUMENTS.items():
        yield name, attached(document)
    for name in list(DOCUMENTS)[::6]:
        yield f"in a text: {name}", mail(crlf(f"```yaml\n{DOCUMENTS[name]}\n```\n".replace("\r", "\n")))

"""Markdown: depth, floods, front matter without end, and lines that patterns go over again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests import bombs
from tests.bombs import SPEC, TEXT, attached, crlf, mail

if TYPE_CHECKING:
    from collections.abc import Iterator

MANY = 60_000
PLAN = "# Tides\n## Sprint 1: the tide\n- [ ] it is right\n"

DOCUMENTS = {
    "front matter without end": "---\nrepo: example/tides\n" + "x: y\n" * 9000,
    "front matter of 200,000": "---\nrepo: example/tides\nx: " + "y" * 200_000 + "\n---\n" + PLAN,
    "front matter of aliases": "---\n" + bombs.aliases() + "---\n" + PLAN,
    "front matter of a tag": "---\nrepo: !!python/name:os.system\n---\n" + PLAN,
    "front matter in front matter": "---\nrepo: a/b\n---\n---\nrepo: example/tides\n---\n" + PLAN,
    "front matter of nothing": "---\n---\n" + PLAN,
    "front matter of a list": "---\n- repo\n---\n" + PLAN,
    "front matter of a specification": f"---\n{SPEC}---\n{PLAN}",
    "front matter in TOML": '+++\nrepo = "example/tides"\n+++\n' + PLAN,
    "front matter ended by dots": "---\nrepo: example/tides\n...\n" + PLAN,
    "front matter with CR": "---\rrepo: example/tides\r---\r" + PLAN,
    "blank lines before it": "\n" * MANY + "---\nrepo: example/tides\n---\n" + PLAN,
    "rules": "---\n" * MANY,
    "rules of dashes": "-" * MANY + "\n" + PLAN,
    "rules by blanks": "- " * MANY + "\n" + PLAN,
    "rules of stars without end": "* " * MANY + "x\n",
    "underlines": "x\n===\n" * 9000,
    "an underline of blanks": "x\n=" + " " * MANY + "y\n",
    "a heading of hashes": "#" * MANY + " x\n",
    "a heading of blanks": "# x" + " " * MANY + "y\n",
    "a heading of marks": "# " + "*_" * MANY + "\n",
    "a heading of a sprint and blanks": "# Sprint 1 a" + " " * MANY + "b\n",
    "a heading of a sprint and stars": "# Sprint 1 a" + "*_ " * (MANY // 3) + "b\n",
    "a heading of a sprint and dots": "# Sprint 1" + ".1" * MANY + "\n",
    "a heading of a sprint and no number": "# Sprint" + " " * MANY + "x\n",
    "a heading of S1 and blanks": "# S1" + " " * MANY + "x\n",
    "a heading of S1 and marks": "# S1 " + "!" * MANY + "x\n",
    "a heading nearly of a sprint": "# Srpint" + " " * MANY + "1\n",
    "a heading of criteria and items": "# " + "!" * MANY + " done when\n" + "- x\n" * 5000,
    "9,000 sprints": "".join(f"# Sprint {n}\n" for n in range(9000)),
    "9,000 misspelt sprints": "".join(f"# Sprimt {n % 99}\n" for n in range(9000)),
    "the same sprint twice": PLAN + PLAN,
    "9,000 tasks": PLAN + "- [ ] x\n" * 9000,
    "a task of 200,000": PLAN + "- [ ] " + "x" * 200_000 + "\n",
    "a task of 40,000 lines": PLAN + "- [ ] x\n" + "y\n" * 40_000,
    "tasks of nothing": PLAN + "- [ ] \n" * 9000,
    "boxes": PLAN + "- [x" * MANY,
    "brackets": PLAN + "[" * MANY + "]" * MANY,
    "links": PLAN + "[a](" * MANY,
    "pictures": PLAN + "![a](" * (MANY // 2),
    "references": PLAN + "".join(f"[{n}]: x\n" for n in range(9000)),
    "emphasis": PLAN + "*a **a " * (MANY // 4),
    "emphasis without end": PLAN + "*" * MANY + "a" + "_" * MANY,
    "backticks": PLAN + bombs.backticks(),
    "backticks in a line": PLAN + "`" * MANY + " a\n",
    "a fence without end": PLAN + "```\n" + "# Sprint 2\n" * 5000,
    "a fence by tildes": PLAN + "~" * MANY + "\n" + PLAN,
    "quotes in quotes": PLAN + "> " * MANY + "x\n",
    "lists in lists": PLAN + "\n".join(" " * n + "- x" for n in range(500)),
    "lists in quotes": PLAN + "> - " * (MANY // 4),
    "numbers": PLAN + "1. x\n" * 9000 + "9" * MANY + ". y\n",
    "a table": PLAN + "|a" * MANY + "\n" + "|-" * MANY + "\n",
    "a comment without end": PLAN + "<!--" * MANY,
    "comments": PLAN + "<!-- a -->\n" * 9000,
    "entities": PLAN + "&amp" * (MANY // 2) + "&#x110000;" * 900,
    "markup": PLAN + "<a " * (MANY // 2),
    "markup in markup": PLAN + "<div>" * (MANY // 4),
    "criteria": PLAN + "### Done when\n" + "- coverage_min: 0.9\n" * 5000,
    "a criterion of underscores": PLAN + "### Done when\n- a" + "_" * MANY + "\n",
    "a criterion of digits": PLAN + "### Done when\n- coverage_min: " + "9" * MANY + "\n",
    "a criterion of dots": PLAN + "### Done when\n- coverage_min: 9" + ".," * MANY + "x\n",
    "tabs": PLAN.replace(" ", "\t"),
    "NUL": PLAN.replace("tide", "ti\0de"),
}
#: Texts of a mail, none with a line over 60,000 octets.
TEXTS = {
    "a header below": "To: " + "@" * MANY + "\nx\n",
    "headers below": ("Von: " + "a@b " * 200 + "\n") * 50,
    "a signature of dashes": "-" * MANY + "original" + "-" * 900 + "\n",
    "dashes around words": ("-" * 900 + "x" * 60 + "-" * 900 + "y\n") * 30,
    "underscores": "_" * MANY + "x\n",
    "quotes": ("> " * 900 + "\n") * 50,
    "fences": "```yaml\nmeta:\n" * 5000,
    "fences of all lengths": bombs.backticks(),
    "two specifications": f"```yaml\n{SPEC}```\n```yaml\n{SPEC}```\n",
    "a specification in a quote": "".join(f"> {line}\n" for line in SPEC.splitlines()),
    "a specification in a signature": f"-- \n{SPEC}",
    "front matter": f"---\nrepo: example/tides\n---\n{PLAN}",
    "broken front matter": f"---\nrepo: [\n---\n{PLAN}",
}
SUBJECTS = {
    "brackets": "[" * 900,
    "a pattern of brackets": "[a/" * 200 + "]",
    "repositories": "[a/b@c" * 160 + "]",
    "a path": "[../..] [a/..@..]",
    "an option": "[a/b@--upload-pack=x]",
    "look-alikes": "[\u0435xample/tid\u0435s] [example\u2215tides]",
    "two repositories": "[evil/repo] [example/tides]",
    "replies": "Re: " * 240,
    "a reply of blanks": "re" + " " * 900 + "x [example/tides]",
    "a series": "[1/3] [2/3] [3/3]",
    "60,000 letters": "x" * 60_000,
}


def mails() -> Iterator[tuple[str, bytes]]:
    """Attached, as the text of a mail, and with what its subject adds."""
    for name, document in DOCUMENTS.items():
        yield name, attached(document, "spec.md")
    for name, text in TEXTS.items():
        yield f"a text: {name}", mail(crlf(text), TEXT)
    for name, subject in SUBJECTS.items():
        yield f"a subject: {name}", mail(crlf(PLAN), TEXT, Subject=subject)

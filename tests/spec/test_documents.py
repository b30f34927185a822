"""Which parts of a mail are specifications, and when its own text is one."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from uuid import UUID

import pytest

from daemon.mail import Mail, Part
from daemon.outcome import Problem
from daemon.spec import read
from daemon.spec.documents import Document, find, from_file
from daemon.spec.form import Form
from daemon.spec.model import Spec

SPEC = "meta: {repo: a/b}\n"
FRONT = "---\nrepo: a/b\n---\n- [ ] x\n"


def part(
    name: str | None,
    content: str | bytes = "x",
    media_type: str = "text/plain",
    disposition: str | None = "attachment",
) -> Part:
    """A leaf; its place is set by ``mail``."""
    content = content.encode() if isinstance(content, str) else content
    disposition = disposition if name else None
    return Part("?", name, media_type, disposition, None, content, sha256(content).hexdigest())


def mail(*parts: Part, body: str | None = None, subject: str = "a spec", **headers: str) -> Mail:
    """A mail of ``parts``, after its own text if it has one."""
    leaves = (*([part(None, body)] if body is not None else []), *parts)
    return Mail(
        raw_id=UUID(int=1),
        content_id=UUID(int=2),
        headers=tuple((name.replace("_", "-"), value) for name, value in headers.items()),
        sender="a@example.org",
        subject=subject,
        message_id=None,
        references=(),
        sent_at=None,
        routes=(),
        body=body or "",
        parts=tuple(replace(leaf, place=str(number)) for number, leaf in enumerate(leaves, 1)),
        defects=(),
    )


def found(message: Mail) -> list[str]:
    """The places and forms of the specifications in a mail; empty when there is none."""
    documents = find(message)
    return [] if isinstance(documents, Problem) else [f"{one.place} {one.form}" for one in documents]


LOG = part("build.log", "all is well")


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([part("plan.yaml", SPEC), part("other.yaml")], ["1 yaml"]),
        ([part("plan.yml", "planning:\n- broken: ["), part("other.yaml")], ["1 yaml"]),
        ([part("plan.yaml", "{planning: {epics: []}}"), part("other.yaml")], ["1 yaml"]),
        ([part("plan.yaml", "x:\n  meta: 1"), part("other.yaml")], []),
        ([part("plan.json", '{"meta": {}}'), part("package.json", '{"x": {"meta": 1}}')], ["1 json"]),
        ([part("plan.json", '{"meta": {},}'), part("package.json", "{}")], ["1 json"]),
        ([part("plan.md", FRONT), part("README.md", "# Hello")], ["1 markdown"]),
        ([part("plan.md", "---\ntitle: x\n---\n"), part("README.md", "# Hello")], []),
        ([part("plan.md", "---\nrepo: [\n---\n"), part("README.md", "# Hello")], ["1 markdown"]),
        ([part("plan.txt", SPEC), LOG], ["1 yaml"]),
        ([part("plan.txt", "meta: a: b"), LOG], []),
        ([part("plan.txt", FRONT), LOG], ["1 markdown"]),
        ([part("data", '{"meta": {}}', "application/octet-stream"), LOG], ["1 json"]),
        ([part("plan.html", SPEC, "text/html"), LOG], []),
        ([part("scan.pdf", SPEC, "application/pdf"), LOG], []),
        ([part(None, SPEC, "text/yaml"), LOG], ["1 yaml"]),
        ([part("plan.yaml", SPEC, disposition="inline"), LOG], ["1 yaml"]),
    ],
)
def test_a_part_is_a_specification_by_what_it_says(parts: list[Part], expected: list[str]) -> None:
    """A key of ours at the top, or front matter with one, whatever the disposition and the name."""
    assert found(mail(*parts, body="see attachment")) == [f"{int(x[0]) + 1}{x[1:]}" for x in expected]


@pytest.mark.parametrize("name", ["spec.yaml", "my-SPEC-2.YML", "dir/spec.json", "C:\\x\\specification.md"])
def test_a_part_is_a_specification_by_its_name(name: str) -> None:
    """Then failing to parse is for its reader to tell, even beside others."""
    assert found(mail(part(name, b"\xff\x00"), part("other.yaml"), part("third.json")))[0].startswith("1 ")


@pytest.mark.parametrize("name", ["spec/plan.yaml", "spec.txt", "spec", "yaml.spec", "inspect.html"])
def test_other_names_say_nothing(name: str) -> None:
    """A folder or another suffix makes no specification."""
    assert found(mail(part(name), part("a.yaml"), part("b.yaml"))) == []


def test_the_only_document_of_a_known_form_is_taken_for_one() -> None:
    """Beside a log and a picture, one YAML can only be meant as the specification."""
    assert found(mail(part("x.yaml"), LOG, part("a.png", b"\x89", "image/png"))) == ["1 yaml"]
    assert found(mail(part("x.md", "# Plan"), body="hi")) == ["2 markdown"]
    assert found(mail(part("data", "{}", "application/json"))) == ["1 json"]
    assert found(mail(part("x.yaml"), part("y.md"))) == []


def test_a_specification_makes_its_neighbours_attachments() -> None:
    """A README beside it is just that."""
    assert found(mail(part("plan.txt", SPEC), part("README.md", "# Hi"))) == ["1 yaml"]


def test_every_specification_of_a_mail_is_found_in_its_order() -> None:
    """Several in one mail are several."""
    parts = [part("b-spec.yaml", SPEC), LOG, part("a.md", FRONT), part("c.json", '{"planning": {}}')]

    assert found(mail(*parts)) == ["1 yaml", "3 markdown", "4 json"]


def test_a_document_keeps_its_bytes_and_how_they_are_called() -> None:
    """What is read is what was sent."""
    sent = replace(part("spec.yaml", "meta: {project: été}".encode("latin-1")), charset="iso-8859-1")

    (document,) = find(mail(sent))

    assert (document.content, document.name, document.label) == (sent.content, "spec.yaml", "spec.yaml")
    assert read(document).project == "été"


FENCED = "Hello,\n\n```yaml\nmeta:\n  repo: a/b\n```\n\nBye\n"


@pytest.mark.parametrize(
    ("body", "subject", "form"),
    [
        (FRONT, "hi", "markdown"),
        ("\n\n" + FRONT, "hi", "markdown"),
        ("---\nrepo: [\n---\n", "hi", "markdown"),
        (FENCED, "hi", "yaml"),
        (FENCED.replace("\n", "\r\n"), "hi", "yaml"),
        ('~~~~JSON\n{"planning": {}}\n~~~~', "hi", "json"),
        (FENCED, "Re: hi", "yaml"),
        (FENCED + "```yaml\nx: 1\n```", "hi", "yaml"),
        (FENCED * 2, "hi", None),
        ("```yaml\nx: 1\n```", "hi", None),
        ("meta:\n  repo: a/b\n", "hi", None),
        ("---\ntitle: x\n---\n", "hi", None),
        ("# Plan\ntext", "[a/b] plan", "markdown"),
        ("- [ ] task", "Fwd: [a/b@dev] plan", "markdown"),
        ("- [ ] task", "plan", None),
        ("- item", "[a/b] plan", None),
        ("just words", "[a/b] plan", None),
        ("- [ ] task", "Re: [a/b] plan", None),
        ("- [ ] task", "RE[2]: [a/b] plan", None),
        ("- [ ] task", "AW: [a/b] plan", None),
        ("> - [ ] task\n> # Title", "[a/b] plan", None),
        ("thanks\n-- \n# Title\n- [ ] task", "[a/b] plan", None),
        ("thanks\n-----Original Message-----\n- [ ] task", "[a/b] plan", None),
        ("> " + FENCED.replace("\n", "\n> "), "hi", None),
        ("", "[a/b] plan", None),
        (FRONT + "x" * 262_144, "[a/b] plan", None),
    ],
)
def test_the_mails_own_text_is_one_only_when_it_is_meant_so(
    body: str, subject: str, form: str | None
) -> None:
    """Front matter, one block, or Markdown for a repository in the subject; never quotes or signature."""
    assert found(mail(body=body, subject=subject)) == ([f"1 {form}"] if form else [])


@pytest.mark.parametrize("header", ["in_reply_to", "references"])
def test_markdown_in_an_answer_is_conversation(header: str) -> None:
    """Whatever its subject says; the mail it answers had its turn."""
    answer = mail(
        body="- [ ] task", subject="[a/b] plan", **({"in_reply_to": "<x@y>"} if header[0] == "i" else {})
    )
    answer = replace(answer, references=("<x@y>",) if header[0] == "r" else ())

    assert found(answer) == []


def test_the_mails_own_text_is_none_beside_an_attachment() -> None:
    """An attachment shows where the sender put the specification, and its absence there is a Problem."""
    assert found(mail(LOG, body=FRONT)) == []
    assert found(mail(part(None, "<p>x</p>", "text/html"), body=FRONT)) == ["1 markdown"]


def test_lines_of_the_mails_own_text_keep_their_numbers() -> None:
    """A Problem points into the mail as its sender sees it."""
    (document,) = find(mail(body="> quoted\n\n```yaml\nmeta:\n  brunch: x\n```\n-- \nme"))

    assert document.content == b"\n\n\nmeta:\n  brunch: x\n"
    assert [str(problem) for problem in read(document)] == [
        "text of the mail:5:3: meta.brunch: did you mean branch?"
    ]


def test_a_mail_without_a_specification_lists_what_it_holds() -> None:
    """The sender sees that the attachment arrived, and what it was taken for."""
    none = find(mail(LOG, part("a.pdf", b"x" * 2000, "application/pdf"), body="hello"))

    assert isinstance(none, Problem)
    assert none.text.startswith("no specification found; attach one as YAML, JSON or Markdown")
    assert none.text.endswith(
        "part 1 (text/plain, 5 bytes), build.log (text/plain, 11 bytes), a.pdf (application/pdf, 2,000 bytes)"
    )


def test_a_long_list_of_parts_is_cut() -> None:
    """The Problem stays readable with 200 parts and names of any length."""
    none = find(mail(*[part("n" * 300, b"x", "image/png")] * 200))

    assert isinstance(none, Problem)
    assert "192 more" in none.text
    assert len(none.text) < 1500


@pytest.mark.parametrize(
    ("name", "content", "form"),
    [
        ("a.yml", "{}", Form.YAML),
        ("a.JSON", "", Form.JSON),
        ("a.md", "meta: {}", Form.MARKDOWN),
        ("stdin", "# about\nmeta: {}", Form.YAML),
        ("stdin", "repo: a/b", Form.YAML),
        ("stdin", ' {"meta": {}}', Form.JSON),
        ("stdin", FRONT, Form.MARKDOWN),
        ("stdin", "# Title\n- [ ] x", Form.MARKDOWN),
        ("notes.txt", "Some words: and more\nwords", Form.MARKDOWN),
    ],
)
def test_a_file_is_read_by_its_name_or_its_looks(name: str, content: str, form: Form) -> None:
    """On the command line every file is meant as a specification."""
    assert from_file(name, content.encode()) == Document("1", name, name, form, content.encode())


def test_a_problem_names_the_document() -> None:
    """In a mail with several, the sender must know which."""
    (problem,) = read(from_file("a/spec.yaml", b"meta: {}\nmeta: {}"))

    assert (
        str(problem) == "a/spec.yaml:2:1: the key 'meta' stands here and on line 1; only one of them can hold"
    )


def test_twenty_problems_are_told_and_the_rest_counted() -> None:
    """A sender mends in turns, and a hostile one gets no megabyte of advice."""
    goals = "\n".join("      - {a: b}" for _ in range(30))
    problems = read(from_file("x.yaml", f"planning:\n  epics:\n  - sprints:\n    - goals:\n{goals}".encode()))

    assert not isinstance(problems, Spec)
    assert len(problems) == 21
    assert problems[-1].text == "+10 more"

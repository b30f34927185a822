"""Whatever the bytes are, reading ends in a Spec or in Problems."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.outcome import Problem
from daemon.planning.rules import plan
from daemon.spec import read
from daemon.spec.documents import Document, from_file
from daemon.spec.form import Form
from daemon.spec.model import DefinitionOfDone, Spec

OURS = Path(__file__).resolve().parents[1] / "specs"
REAL = Path(__file__).resolve().parents[2].parent / "shared" / "specs"
FILES = sorted(path for path in (*OURS.rglob("*.*"), *REAL.rglob("*.*")) if path.is_file())
UPSTREAM = sorted(REAL.glob("upstream-yaml/*spec.yaml")) + sorted(REAL.glob("upstream-yaml/*api.yaml"))
QUICK = settings(max_examples=150, deadline=None, derandomize=True, database=None)

SEEDS = [path.read_bytes() for path in OURS.iterdir()] + [
    b'{"meta": {"repo": "a/b"}, "planning": {"epics": [{"sprints": [{"goals": ["\\ud83d\\ude00", 1.5]}]}]}}'
]
TOKENS = [
    b"{",
    b"}",
    b"[",
    b"]",
    b"- ",
    b": ",
    b"\n",
    b"\t",
    b'"',
    b"'",
    b"&a ",
    b"*a",
    b"!t ",
    b"#",
    b"```",
    b"---\n",
]
TOKENS += [
    b"\xff",
    b"\0",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\\u0000",
    b"~",
    b"|\n",
    b">",
    b"<!--",
    b"dod: ",
    b"%",
    b"\r",
]


def check(document: Document) -> None:
    """Hold what reading promises of any document."""
    found = read(document)
    if isinstance(found, Spec):
        assert plan(found, DefinitionOfDone())
    else:
        assert found
        assert all(isinstance(problem, Problem) and problem.file for problem in found)
        assert all(problem.text.isprintable() for problem in found)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A good document with pieces cut out, doubled or put in."""
    content = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(content)))
        end = min(len(content), start + draw(st.sampled_from([0, 0, 1, 2, 7, 60])))
        new = draw(st.sampled_from(TOKENS) | st.binary(max_size=3) | st.just(content[start:end] * 2))
        content = content[:start] + new + content[end:]
    return content


@QUICK
@given(mutated(), st.sampled_from(Form), st.sampled_from([None, "utf-8", "latin-1", "utf-16", "punycode"]))
def test_a_mutated_document_never_breaks_its_reader(content: bytes, form: Form, charset: str | None) -> None:
    """A break would count as an attack; a mistake must not look like one."""
    check(Document("1", "x", "x", form, content, charset))


@QUICK
@given(st.binary(max_size=200), st.sampled_from(Form))
def test_noise_never_breaks_its_reader(content: bytes, form: Form) -> None:
    """Nor do bytes that mean nothing at all."""
    check(Document("1", "x", "x", form, content))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name[:60])
def test_what_people_really_write_is_read_in_every_form(path: Path) -> None:
    """Tables and Gherkin too: a Spec or Problems, also where the form was guessed wrongly."""
    content = path.read_bytes()
    check(from_file(path.name, content))
    for form in Form:
        check(Document("1", path.name, path.name, form, content))


def test_problems_are_told_in_the_order_of_the_document() -> None:
    """The first one is the one a sender reads in the answer."""
    text = """\
meta: {repo: a/b}
planning:
  epics:
    - sprints:
        - dod: {zzz: [], coverage: 1, lint: 1}
        - goals: 5
          dod: {type_chek: 1}
"""

    problems = read(from_file("spec.yaml", text.encode()))

    assert isinstance(problems, tuple)
    places = [(problem.line, problem.column) for problem in problems]
    assert len(places) >= 4
    assert places == sorted(places)


@pytest.mark.skipif(not UPSTREAM, reason="needs the folder shared/specs beside the checkout")
@pytest.mark.parametrize("path", UPSTREAM or [Path()], ids=lambda path: path.name)
def test_the_existing_systems_own_specifications_have_no_problems(path: Path) -> None:
    """A drop-in intake takes what its predecessor took."""
    spec = read(from_file(path.name, path.read_bytes()))

    assert isinstance(spec, Spec)
    assert [sprint.label for sprint in plan(spec, DefinitionOfDone())] in (["S1"], ["S1", "S2"])


@pytest.mark.parametrize("name", ["tasks.md", "requirements.md", "epics.md", "PRD.md", "checklist.md"])
def test_other_peoples_markdown_is_a_specification_without_problems(name: str) -> None:
    """Documents of other tools make one sprint until their own forms are known."""
    for path in FILES:
        if path.name.endswith(name):
            assert isinstance(read(from_file(path.name, path.read_bytes())), Spec), path

"""Markdown gives a repository by its front matter, and sprints by its headings and tasks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from daemon.spec import markdown
from daemon.spec.text import FaultyError

if TYPE_CHECKING:
    from daemon.spec.model import Spec, Sprint

SPECS = Path(__file__).resolve().parents[1] / "specs"


def sprints(text: str) -> tuple[Sprint, ...]:
    """The sprints of the document ``text``."""
    return tuple(sprint for epic in markdown.spec(text).epics for sprint in epic.sprints)


def goals(text: str) -> tuple[str, ...]:
    """The goals of the one sprint of the document ``text``."""
    (sprint,) = sprints(text)
    return sprint.goals


def problems(text: str) -> list[str]:
    """Every Problem in ``text`` as ``line:column: words``."""
    with pytest.raises(FaultyError) as caught:
        markdown.spec(text)
    return [str(problem) for problem in caught.value.problems]


@pytest.fixture(scope="module")
def tides() -> Spec:
    """A document as a careful person writes it."""
    return markdown.spec((SPECS / "tide-tables.md").read_text(encoding="utf-8"))


def test_front_matter_says_where_and_for_whom(tides: Spec) -> None:
    """Front matter is meta in short."""
    assert (tides.repo, tides.branch) == ("harbour/tide-tables", "develop")
    assert (tides.project, tides.requester_email) == ("Tide tables", "pilot@example.org")
    assert tides.dod.given() == {"coverage_min": 0.85}


def test_sprint_headings_open_sprints_whose_tasks_are_goals(tides: Spec) -> None:
    """Code, what stands after the sprints and nested details are no goals."""
    first, second = tides.epics[0].sprints

    assert (first.id, first.title) == ("S1", "Read the almanac")
    assert first.goals == (
        "Parse the almanac's columns, which are wider in leap years",
        "Refuse a year that is over",
        "Name the harbour",
    )
    assert (second.id, second.title) == ("S2", "Show it")
    assert second.goals == ("A page for each harbour", "A feed for calendars")


def test_criteria_under_a_sprint_are_checks_where_a_program_can_decide_them(tides: Spec) -> None:
    """The rest is kept as what it takes to accept the sprint."""
    first, second = tides.epics[0].sprints

    assert first.dod.given() == {"coverage_min": 0.95, "lint_pass": True}
    assert first.user_stories[0].acceptance == (
        "Brest on 1 March matches the printed table",
        "the pilot has looked at it",
    )
    assert second.dod is None


@pytest.mark.parametrize(
    ("heading", "label", "title"),
    [
        ("## Sprint 1: Title", "S1", "Title"),
        ("# S1 — Title", "S1", "Title"),
        ("# S1 – Title", "S1", "Title"),  # noqa: RUF001 - the dash is the point
        ("###### sprint 12", "S12", None),
        ("## 🚀 Sprint 3 - Title ##", "S3", "Title"),
        ("## **Sprint 4**", "S4", None),
        ("## **Sprint 4: Title**", "S4", "Title"),
        ("## Sprint S5. Title", "S5", "Title"),
        ("## Sprint #6 Title", "S6", "Title"),
        ("## Sprint 1.2: Title", "S1.2", "Title"),
        ("## Sprint-2: Title", "S2", "Title"),
        ("## Sprint n° 3: Title", "S3", "Title"),
        ("# S7", "S7", None),
        ("Sprint 8: Title\n---", "S8", "Title"),
        ("Sprint 9\n====", "S9", None),
    ],
)
def test_a_sprint_heading_is_recognised_as_people_write_it(
    heading: str, label: str, title: str | None
) -> None:
    """Levels, dashes, emphasis and emoji vary; the number is what counts."""
    (sprint,) = sprints(f"# Doc\n\n{heading}\n\n- [ ] a\n")

    assert (sprint.id, sprint.title, sprint.goals) == (label, title, ("a",))


@pytest.mark.parametrize(
    "heading",
    [
        "# S3 bucket setup",
        "> Sprint 1\n---",
        "# Sprints 1 and 2",
        "# Sprint planning",
        "# Printing 3 copies",
        "#Sprint 1",
        "    # Title",
    ],
)
def test_other_headings_open_no_sprint(heading: str) -> None:
    """Without a sprint, all tasks are the goals of one without a number."""
    (sprint,) = sprints(f"{heading}\n\n- [ ] a\n")

    assert (sprint.id, sprint.goals) == (None, ("a",))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- [ ] a\n* [x] b\n+ [X] c\n1. [ ] d\n2) [] e", ("a", "b", "c", "d", "e")),
        ("- [ ] a\n  - [ ] b\n    - detail", ("a", "b")),
        ("- [ ] a\n  goes on\nand on\n\nnot this", ("a goes on and on",)),
        ("- [ ]\n- [ ] a", ("a",)),
        ("~~~\n- [ ] no\n```\n~~~\n- [ ] a", ("a",)),
        ("````\n```\n- [ ] no\n````\n- [ ] a", ("a",)),
        ("- [ ] a\n```\n- [ ] unclosed", ("a",)),
        ("<!-- \n- [ ] no\n-->\n- [ ] a\n<!-- x -->", ("a",)),
        ("> - [ ] quoted\n\n- [ ] a", ("a",)),
        ("- [ ] a\r\n- [ ] b\r\n", ("a", "b")),
        ("- plain\n- [ ] a\n- - -\n***", ("a",)),
        ("- [ ] a\n# Acceptance\n- [ ] seen\n## Details\n- [ ] seen\n# More\n- [ ] b", ("a", "b")),
        ("```x``` is code\n- [ ] a", ("a",)),
    ],
)
def test_tasks_anywhere_are_goals_when_there_are_no_sprints(text: str, expected: tuple[str, ...]) -> None:
    """Only what a reader would tick counts, with the lines that continue it."""
    assert goals(text) == expected


def test_plain_items_are_goals_where_a_sprint_has_no_tasks() -> None:
    """Notes and risks are no work, and a sprint of one heading has its title for a goal."""
    first, second, third = sprints(
        "# S1\n- a\n  - detail\n- b\n## Notes\n- c\n# S2\n- d\n- [ ] e\n# S3: Rest\ntext\n"
    )

    assert first.goals == ("a", "b")
    assert second.goals == ("e",)
    assert third.goals == ("Rest",)


def test_a_document_without_tasks_has_no_sprints_and_its_title_for_a_name() -> None:
    """A plan is not invented from prose."""
    spec = markdown.spec("Title\n=====\n\n- just a list\n")

    assert (spec.project, spec.epics[0].sprints) == ("Title", ())
    assert markdown.spec("# S1: First\n- a\n").project is None


def test_front_matter_may_hold_the_whole_specification() -> None:
    """Somebody who knows the YAML format can keep to it, and write prose below."""
    spec = markdown.spec(
        "---\nmeta: {repo: a/b}\nplanning: {epics: [{sprints: [{goals: [g]}]}]}\n---\n- [ ] no\n"
    )

    assert (spec.repo, spec.epics[0].sprints[0].goals) == ("a/b", ("g",))


def test_two_rules_around_a_sentence_are_no_front_matter() -> None:
    """Only a mapping between the lines is."""
    assert goals("---\njust words\n---\n- [ ] a") == ("a",)
    assert goals("---\nnever closed\n\n- [ ] a") == ("a",)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("---\nrepo: a/b\nrepo: a/c\n---\n", "3:1: the key 'repo' stands here and on line 2"),
        ("---\nbrunch: x\n---\n", "2:1: brunch: did you mean branch?"),
        ("---\nrepo: [a]\n---\n", "2:7: repo: expected text, found a list"),
        ("---\ndod:\n  coverage: 1\n---\n", "3:3: dod.coverage: did you mean coverage_min?"),
        ("\n\n---\nrepo: nowhere\n---\n", "4:7: repo: 'nowhere' names no repository; write owner/name"),
        ("# S1\n- a\n## DoD\n- coverage: 80%", "4:1: sprints[0].dod.coverage: did you mean coverage_min?"),
        ("# S1\n- a\n## DoD\n- coverage_min: 80%", "did you mean 0.8?"),
        ("# S1\n\n- a\n- " + "x" * 2001, "4:1: sprints[0].goals[1]: longer than 2,000 characters"),
        ("# S1\n- a\n\n# Srpint 2\n- [ ] b", "4:1: 'Srpint 2': did you mean Sprint?"),
        ("## Sprnit 1\n- b", "1:1: 'Sprnit 1': did you mean Sprint?"),
        ("---\nrepo: a/b\n---\n" + "- [ ] a\n" * 501, "sprints[0].goals: more than 500 items"),
    ],
)
def test_a_fault_is_a_problem_at_its_line(text: str, found: str) -> None:
    """Front matter and text count their lines together."""
    (problem,) = problems(text)

    assert found in problem


def test_criteria_outside_of_sprints_hold_for_all() -> None:
    """A Definition of Done with a heading of its own is the document's."""
    for text in ("# S1\n- a\n", "- [ ] a\n"):
        spec = markdown.spec(text + "# Definition of Done\n- e2e_pass: yes\n- looks good\n")

        assert spec.dod.given() == {"e2e_pass": True}
        assert spec.epics[0].sprints[0].dod is None

"""The existing system's format, in full, and every way to get it wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon.spec import keys, upstream, yamldoc
from daemon.spec.model import DefinitionOfDone, Spec
from daemon.spec.text import FaultyError

SPECS = Path(__file__).resolve().parents[1] / "specs"


def read(text: str) -> Spec:
    """The Spec in ``text``."""
    return upstream.spec(yamldoc.read(text))


def problems(text: str) -> list[str]:
    """Every Problem in ``text`` as ``line:column: words``."""
    with pytest.raises(FaultyError) as caught:
        read(text)
    return [str(problem) for problem in caught.value.problems]


@pytest.fixture(scope="module")
def observatory() -> Spec:
    """A specification with everything the format has."""
    return read((SPECS / "observatoire.yaml").read_text(encoding="utf-8"))


def test_meta_is_read_with_accents_and_folded_lines(observatory: Spec) -> None:
    """Who asks, where, and for what."""
    assert observatory.project == "observatoire-météo"
    assert observatory.repo == "station-nord/observatoire"
    assert observatory.branch == "développement"
    assert observatory.requester_email == "élodie@example.org"
    assert observatory.description.endswith("toutes les dix minutes et prévient quand l'orage approche ⛈️.")


def test_epics_sprints_and_stories_keep_their_order_and_words(observatory: Spec) -> None:
    """What the writer cut stays as they cut it."""
    first, second = observatory.epics
    assert (first.id, first.title, second.title) == ("E1", "Mesurer 🌡️", "Prévenir")
    assert [sprint.id for epic in observatory.epics for sprint in epic.sprints] == ["S1", None, "alerte"]
    assert first.sprints[0].goals == (
        "Lire les capteurs : température, pression",
        "Stocker sept jours de mesures",
    )
    (story,) = first.sprints[0].user_stories
    assert (story.id, story.as_, story.want) == ("US1", "météorologue", "voir la dernière mesure")
    assert story.so_that == "je sache s'il gèle"
    assert story.acceptance == ("La mesure a moins de dix minutes", "L'unité est le °C")


def test_a_definition_of_done_has_types_and_keeps_what_it_can_not_check(observatory: Spec) -> None:
    """Text that reads as a number or a truth is one, known key or not."""
    dod = observatory.epics[0].sprints[0].dod
    assert dod.given() == {"coverage_min": 0.9, "lint_pass": True, "unit_pass": True}
    assert dod.unchecked() == ("unit_pass",)
    assert observatory.dod.given() == {"e2e_pass": False, "lighthouse_min": 90.0}
    assert observatory.unchecked() == ("unit_pass",)


def test_unknown_checks_become_numbers_and_truths_where_they_read_as_such() -> None:
    """Only numbers that jsonb and every reader hold exactly are taken for numbers."""
    text = (
        "{meta: {}, dod: {a: 12, b: -0.5, c: TRUE, d: [no, 3], e: {f: '7'}, g: 1e999, h: 9999999999999999}}"
    )

    assert read(text).dod.given() == {
        "a": 12,
        "b": -0.5,
        "c": True,
        "d": [False, 3],
        "e": {"f": 7},
        "g": "1e999",
        "h": "9999999999999999",
    }


@pytest.mark.parametrize(
    ("text", "epics"),
    [
        ("meta: {project: p}", 0),
        ("planning: {epics: [{sprints: [{}]}]}", 1),
        ("planning: {epics: [{id: E1, sprints: }]}\nmeta:", 1),
        ("{planning: {epics: []}, anything: {goes: [here]}}", 0),
    ],
)
def test_missing_parts_are_normal(text: str, epics: int) -> None:
    """One of meta and planning is enough, and empty is as good as missing."""
    assert len(read(text).epics) == epics


def test_keys_that_are_not_ours_are_free() -> None:
    """A writer's own keys are their own business at every level."""
    text = """
    meta: {repo: a/b, branch: x, branches: [y], tags: [t], team: z}
    planning:
      horizon: Q3
      epics: [{id: E, owner: o, sprints: [{id: S1, goals: [g], velocity: 3, tests: [], risk: {goals: 1}}]}]
    testing: {goals: [x]}
    policies: {branch: "feature/*"}
    """
    assert read(text).branch == "x"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("planing: {epics: []}", "1:1: planing: did you mean planning?"),
        ("meta: {}\nPlanning: {}", "2:1: Planning: did you mean planning?"),
        ("metadata: {repo: a/b}\nplanning: {}", "1:1: metadata: did you mean meta?"),
        ("planning:\n  epic: []", "2:3: planning.epic: did you mean epics?"),
        (
            "planning: {epics: [{}, {sprint: []}]}",
            "1:25: planning.epics[1].sprint: did you mean sprints?",
        ),
        (
            "planning: {epics: [{sprints: [{goal: []}]}]}",
            "1:32: planning.epics[0].sprints[0].goal: did you mean goals?",
        ),
        (
            "planning: {epics: [{sprints: [{user-stories: []}]}]}",
            "1:32: planning.epics[0].sprints[0].'user-stories': did you mean user_stories?",
        ),
        (
            "planning: {epics: [{sprints: [{definition_of_done: {}}]}]}",
            "1:32: planning.epics[0].sprints[0].definition_of_done: did you mean dod?",
        ),
        (
            "planning: {epics: [{sprints: [{user_stories: [{acceptence: []}]}]}]}",
            "1:48: planning.epics[0].sprints[0].user_stories[0].acceptence: did you mean acceptance?",
        ),
        ("meta: {repository: a/b}", "1:8: meta.repository: did you mean repo?"),
        ("meta: {brunch: x}", "1:8: meta.brunch: did you mean branch?"),
        ("meta: {}\ndod: {coverage: 0.8}", "2:7: dod.coverage: did you mean coverage_min?"),
        ("meta: {}\ndod: {lint: true}", "2:7: dod.lint: did you mean lint_pass?"),
        ("meta: {}\nrepo: a/b", "2:1: repo: does nothing here; it belongs to meta"),
        ("meta: {}\nsprints: []", "2:1: sprints: does nothing here; it belongs to planning.epics[]"),
        (
            "planning: {sprints: []}",
            "1:12: planning.sprints: does nothing here; it belongs to planning.epics[]",
        ),
    ],
)
def test_a_slip_in_a_key_that_matters_is_a_problem_at_the_key(text: str, found: str) -> None:
    """A typing mistake can't silently plan nothing."""
    assert problems(text) == [found]


@pytest.mark.parametrize(
    "key", ["unit_pass", "line_coverage_min", "performance_min", "a11y_pass", "security"]
)
def test_another_check_is_no_slip_of_a_known_one(key: str) -> None:
    """Checks that nobody thought of yet are kept."""
    assert read(f"{{meta: {{}}, dod: {{{key}: 1}}}}").dod.given() == {key: 1}


@pytest.mark.parametrize(
    ("dod", "words"),
    [
        ("coverage_min: 85", "coverage_min: 85 is not between 0 and 1; did you mean 0.85?"),
        ("coverage_min: 80 %", "coverage_min: 80 % is not between 0 and 1; did you mean 0.8?"),
        ("coverage_min: '0,9'", "coverage_min: 0,9 is not between 0 and 1; did you mean 0.9?"),
        ("coverage_min: -1", "coverage_min: -1 is not between 0 and 1"),
        ("coverage_min: nan", "coverage_min: nan is not between 0 and 1"),
        ("coverage_min: most", "coverage_min: most is not between 0 and 1"),
        ("lighthouse_min: 101", "lighthouse_min: 101 is not between 0 and 100"),
        ("lighthouse_min: inf", "lighthouse_min: inf is not between 0 and 100"),
        ("e2e_pass: maybe", "e2e_pass: 'maybe' is neither true nor false"),
        ("lint_pass: []", "lint_pass: expected true or false, found a list"),
        ("coverage_min: {}", "coverage_min: expected a number, found a mapping"),
    ],
)
def test_a_definition_of_done_that_no_program_can_decide_is_a_problem(dod: str, words: str) -> None:
    """Ranges and types are checked, and the likely meaning is offered."""
    (found,) = problems(f"meta: {{}}\ndod:\n  {dod}")

    assert found == f"3:{5 + dod.index(':')}: dod.{words}"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("meta: text", "1:7: meta: expected a mapping of keys to values"),
        ("meta: {}\nplanning: [x]", "2:11: planning: expected a mapping of keys to values"),
        ("planning: {epics: x}", "1:19: planning.epics: expected a list, found text"),
        ("planning: {epics: {E1: {}}}", "1:19: planning.epics: expected a list, found a mapping"),
        (
            "planning: {epics: [x]}",
            "1:20: planning.epics[0]: expected a mapping of keys to values, found text",
        ),
        (
            "planning: {epics: [{sprints: [{}, {goals: x}]}]}",
            "1:43: planning.epics[0].sprints[1].goals: expected a list, found text",
        ),
        (
            "planning: {epics: [{sprints: [{goals: [{CI: lint}]}]}]}",
            "1:40: planning.epics[0].sprints[0].goals[0]: expected text, found a mapping; put quotes around a text with a colon in it",  # noqa: E501 - one sentence
        ),
        (
            "planning: {epics: [{sprints: [{goals: [~]}]}]}",
            "1:40: planning.epics[0].sprints[0].goals[0]: expected text, found nothing",
        ),
        ("meta: {}\ndod: strict", "2:6: dod: expected a mapping of keys to values, found text"),
        ("meta: {project: [a]}", "1:17: meta.project: expected text, found a list"),
        (
            "meta: {branch: a..b}",
            "1:16: meta.branch: 'a..b' is no name for a branch (see git-check-ref-format)",
        ),
        ("meta: {repo: nowhere}", "1:14: meta.repo: 'nowhere' names no repository; write owner/name"),
    ],
)
def test_a_value_of_the_wrong_kind_is_a_problem_in_our_own_words(text: str, found: str) -> None:
    """The sender reads what was expected and what was found, where it stands."""
    assert problems(text) == [found]


def test_all_problems_come_at_once() -> None:
    """A sender mends a document in one go: slips, kinds and ranges together."""
    found = problems("meta: {brunch: x, project: [p]}\ndod: {coverage: 1, lighthouse_min: 900}")

    assert [line.split(": ")[1] for line in found] == [
        *("meta.brunch", "dod.coverage", "meta.project", "dod.lighthouse_min")
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{meta: {project: %s}}" % ("p" * 501), "1:18: meta.project: longer than 500 characters"),
        (
            "{planning: {epics: [{id: %s}]}}" % ("e" * 101),
            "1:26: planning.epics[0].id: longer than 100 characters",
        ),
        (
            "{planning: {epics: [{sprints: [{goals: [%s]}]}]}}" % ("g" * 2001),
            "1:41: planning.epics[0].sprints[0].goals[0]: longer than 2,000 characters",
        ),
        (
            "{planning: {epics: [{sprints: [{goals: [%s]}]}]}}" % ("g," * 501),
            "1:40: planning.epics[0].sprints[0].goals: more than 500 items",
        ),
        (
            "{planning: {epics: [%s]}}" % ("{sprints: [%s]}," % ("{}," * 251) * 2),
            "1:20: more than 500 sprints in one specification",
        ),
        (
            "{meta: {}, dod: {note: %s}}" % ("n" * 4000),
            "1:17: dod: a Definition of Done of more than 4,000 characters; a program has to decide it",
        ),
    ],
)
def test_what_gets_into_rows_is_bounded(text: str, found: str) -> None:
    """Too long is a Problem and never cut."""
    assert problems(text) == [found]


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("sprint_id: S1\ntasks: []", "this document has sprint_id, tasks"),
        ("- a", "this document is a list"),
        ("hello", "this document is text"),
        ("", "this document is empty"),
    ],
)
def test_a_document_that_is_no_specification_says_what_one_needs(text: str, end: str) -> None:
    """Somebody who mailed the wrong file learns what the right one has."""
    (found,) = problems(text)

    assert found == (
        "1:1: a specification needs at least 'meta' (project, repo) or 'planning' (epics) at its top level; "
        + end
    )


def test_the_guarded_keys_are_the_models_own() -> None:
    """No key is guarded that means nothing, and a new check is guarded the day it is added."""
    assert set(keys.DOCUMENT.inside["dod"].keys) == set(DefinitionOfDone.model_fields)


def test_a_senders_words_inside_ours_stay_on_one_line_and_can_be_seen() -> None:
    """What turns lines or the direction of writing in a terminal is shown as a question mark."""
    (found,) = problems('"a\\nb\\u202e\\u200b": 1')

    assert found.endswith("this document has a b\ufffd\ufffd")

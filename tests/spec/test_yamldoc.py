"""YAML is read strictly, with the place of everything."""

from __future__ import annotations

import pytest

from daemon.spec import yamldoc
from daemon.spec.text import FaultyError


def problem(text: str) -> tuple[int | None, int | None, str]:
    """Line, column and words of the one Problem in ``text``."""
    with pytest.raises(FaultyError) as caught:
        yamldoc.read(text)
    (found,) = caught.value.problems
    return found.line, found.column, found.text


@pytest.mark.parametrize("word", ["no", "1.10", "12:30", "0o17", "2026-11-22", "yes", "1e3", "'~'", '"null"'])
def test_scalars_stay_the_text_their_writer_wrote(word: str) -> None:
    """Nothing guesses a type, so a version stays a version and no stays no."""
    assert yamldoc.read(f"- {word}").value == [word.strip("'\"")]


@pytest.mark.parametrize("word", ["", "~", "null", "Null", "NULL"])
def test_nothing_is_none_in_a_list_and_absent_from_a_mapping(word: str) -> None:
    """An empty value says nothing."""
    assert yamldoc.read(f"- {word}").value == [None]
    assert yamldoc.read(f"a: {word}\nb: c").value == {"b": "c"}


def test_blocks_quotes_and_flow_read_as_yaml_says() -> None:
    """All the ways to write a value lead to the same tree."""
    text = 'a: |\n  one\n  two\nb: >\n  one\n  two\nc: "\\u00e9\\U0001F600"\nd: {e: [f, g]}\n? h\n: i\n'

    assert yamldoc.read(text).value == {
        "a": "one\ntwo\n",
        "b": "one two\n",
        "c": "é😀",
        "d": {"e": ["f", "g"]},
        "h": "i",
    }


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_value_has_its_line_and_column(end: str) -> None:
    """Places hold with all line ends, after accents and inside flow collections."""
    tree = yamldoc.read(end.join(["é: x", "b:", "  - [1, ü, {c: 3}]"]))

    places = {
        ("é",): (1, 4),
        ("b",): (3, 3),
        ("b", 0, 1): (3, 9),
        ("b", 0, 2, "c"): (3, 16),
    }
    for path, place in places.items():
        found = tree.problem(path, "here")
        assert (found.line, found.column) == place


def test_a_key_has_a_place_of_its_own() -> None:
    """A complaint about a key points at the key, and about what is missing at what holds it."""
    tree = yamldoc.read("a:\n  key: value\n")

    at_key = tree.problem(("a", "key"), "here", at_key=True)
    missing = tree.problem(("a", "other"), "here")

    assert (at_key.line, at_key.column) == (2, 3)
    assert (missing.line, missing.column) == (2, 3)


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("a: 1\nb: 2\na: 3", 3, 1, "'a' stands here and on line 1"),
        ("x: {k: 1,\n  k: 2}", 2, 3, "'k' stands here and on line 1"),
        ("a: &x [1]\nb: *x", 2, 4, "the alias *x is not allowed"),
        ("a: !!str 1", 1, 4, "the tag 'tag:yaml.org,2002:str' is not allowed"),
        ("a: ! x", 1, 4, "the tag '!' is not allowed"),
        ("a: !x {}", 1, 4, "the tag '!x' is not allowed"),
        ("!!python/object:os.system {}", 1, 1, "is not allowed"),
        ("a: 1\n---\nb: 2", 2, 1, "a second document starts here"),
        ("? [a]\n: b", 1, 3, "a key must be plain text"),
        ('a: "\\0"', 1, 4, "escapes a control character"),
        ('"\\x07": a', 1, 1, "escapes a control character"),
        ("a: b: c", 1, 5, "put quotes around a text with ': ' in it"),
        ("\t- a", 1, 1, "indent with spaces"),
        ("a: 'x", 1, 6, "closing quote is missing"),
        ("a: [1, 2\nb: 3", 2, 2, "not closed with ]"),
        ("a: {b: 1\n", 2, 1, "not closed with }"),
        ('a: "\\ud800"', 1, 7, "not YAML"),
    ],
)
def test_what_a_specification_has_no_use_for_is_refused_where_it_stands(
    text: str, line: int, column: int, words: str
) -> None:
    """Each refusal names its line, its column and what to do."""
    found = problem(text)

    assert found[:2] == (line, column)
    assert words in found[2]


def test_an_anchor_that_nobody_uses_is_harmless() -> None:
    """Only the alias multiplies."""
    assert yamldoc.read("a: &x 1").value == {"a": "1"}


def test_twenty_levels_are_read_and_one_more_is_not() -> None:
    """The limit of depth is exact."""
    assert yamldoc.read("[" * 20 + "]" * 20).value
    assert problem("[" * 21 + "]" * 21) == (1, 21, "nested more than 20 levels deep")


def test_ten_thousand_values_are_read_and_one_more_is_not() -> None:
    """The limit of size is exact; the list itself is a value."""
    assert len(yamldoc.read("- a\n" * 9_999).value) == 9_999
    assert problem("- a\n" * 10_000) == (10_000, 3, "more than 10,000 values in one document")


@pytest.mark.parametrize("opening", ["[", "{", "- ", "? ", "[?", "{a: ", "[{"])
def test_depth_that_crashes_a_parser_is_refused_before_it_can(opening: str) -> None:
    """100,000 open brackets kill a process that hands them to a loader."""
    words = problem(opening * 100_000)[2]

    assert words in {"nested more than 20 levels deep", "a key must be plain text"}


def test_an_empty_document_holds_nothing() -> None:
    """Nothing is not an error of YAML."""
    assert yamldoc.read("# only a comment\n").value is None

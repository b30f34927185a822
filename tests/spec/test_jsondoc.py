"""JSON is read as RFC 8259 says, with the place of everything."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.spec import jsondoc
from daemon.spec.text import FaultyError


def problem(text: str) -> tuple[int | None, int | None, str]:
    """Line, column and words of the one Problem in ``text``."""
    with pytest.raises(FaultyError) as caught:
        jsondoc.read(text)
    (found,) = caught.value.problems
    return found.line, found.column, found.text


def test_scalars_stay_text() -> None:
    """Numbers keep their digits, as in YAML."""
    assert jsondoc.read('["a", 1.10, -0, 2E+5, true, false, null]').value == [
        *("a", "1.10", "-0", "2E+5", "true", "false"),
        None,
    ]
    assert jsondoc.read('{"a": null, "b": 1}').value == {"b": "1"}


def test_every_escape_is_undone() -> None:
    """A pair of surrogates is one character."""
    assert jsondoc.read(r'"\"\\\/\n\t\u00e9\ud83d\ude00"').value == '"\\/\n\té😀'


def test_every_value_has_its_line_and_column() -> None:
    """Places count characters, not bytes."""
    tree = jsondoc.read('{"é": 1,\r\n  "b": [true,\n {"c" : "x"}]}')

    for path, place in {("é",): (1, 7), ("b", 0): (2, 9), ("b", 1, "c"): (3, 9)}.items():
        found = tree.problem(path, "here")
        assert (found.line, found.column) == place


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ('{"a": 1,\n "a": 2}', 2, 2, "'a' stands here and on line 1"),
        ("", 1, 1, "ends where a value is expected"),
        ('{"a": 1,}', 1, 9, "expected a key in double quotes, found '}'"),
        ("[1,]", 1, 4, "expected a value, found ']'"),
        ("[1 2]", 1, 4, "expected ',' or ']', found '2'"),
        ("{a: 1}", 1, 2, "expected a key in double quotes"),
        ('{"a" 1}', 1, 6, "expected ':' after a key"),
        ('{"a": 1', 1, 8, "ends where ',' or '}' is expected"),
        ("[01]", 1, 3, "expected ',' or ']'"),
        ("[+1]", 1, 2, "expected a value"),
        ("[NaN]", 1, 2, "expected a value"),
        ("[truely]", 1, 2, "expected a value"),
        ("{} x", 1, 4, "something follows the end"),
        ('["a]', 1, 2, "no closing quote"),
        ('["a\nb"]', 1, 4, "JSON forbids"),
        (r'["\x"]', 1, 3, "JSON forbids"),
        (r'["\u12"]', 1, 4, "JSON forbids"),
        (r'["\u0000"]', 1, 2, "escapes a control character"),
        (r'["\ud83d"]', 1, 2, "half a character"),
        ("// no\n{}", 1, 1, "expected a value"),
    ],
)
def test_what_is_not_json_is_refused_where_it_stands(text: str, line: int, column: int, words: str) -> None:
    """Each refusal names its line, its column and what is wrong."""
    found = problem(text)

    assert words in found[2]
    assert found[:2] == (line, column)


def test_the_limits_are_those_of_yaml() -> None:
    """Depth and size are bounded, and the bounds are exact."""
    assert jsondoc.read("[" * 20 + "]" * 20).value
    assert problem("[" * 100_000) == (1, 21, "nested more than 20 levels deep")
    assert problem("[" + "1," * 10_000 + "1]")[2] == "more than 10,000 values in one document"


_TEXT = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cc", "Cn"]))
_DOCUMENTS = st.recursive(_TEXT, lambda inner: st.lists(inner) | st.dictionaries(_TEXT, inner), max_leaves=10)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(_DOCUMENTS, st.sampled_from(["ASCII", "UTF-8"]))
def test_what_json_writes_is_read_back(document: object, encoding: str) -> None:
    """Texts, lists and mappings come back as they went, escaped or not."""
    assert jsondoc.read(json.dumps(document, ensure_ascii=encoding == "ASCII")).value == document

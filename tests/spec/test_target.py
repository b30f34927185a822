"""The repository and branch come from the best source that names them."""

from __future__ import annotations

import pytest

from daemon.outcome import Problem
from daemon.spec import github
from daemon.spec.model import Spec
from daemon.spec.target import Hint, Target, in_subject, resolve

DOCUMENT = Spec(repo="doc/doc")
BRANCHED = Spec(repo="doc/doc", branch="docs")
SUBJECT = "[sub/sub@subs] please"
ROUTE = ("tag=tag",)
DEFAULT = Hint("def/def", "defs")


@pytest.mark.parametrize(
    ("spec", "subject", "routes", "default", "target"),
    [
        (BRANCHED, SUBJECT, ROUTE, DEFAULT, ("doc/doc", "docs")),
        (DOCUMENT, SUBJECT, ROUTE, DEFAULT, ("doc/doc", "main")),
        (DOCUMENT, "[Doc/DOC@subs]", ROUTE, DEFAULT, ("doc/doc", "subs")),
        (DOCUMENT, "", (), Hint(None, "defs"), ("doc/doc", "defs")),
        (Spec(branch="docs"), SUBJECT, ROUTE, DEFAULT, ("sub/sub", "docs")),
        (Spec(), SUBJECT, ROUTE, DEFAULT, ("sub/sub", "subs")),
        (Spec(), "[sub/sub]", (), Hint("SUB/sub", "defs"), ("sub/sub", "defs")),
        (Spec(), "hello", ROUTE, DEFAULT, ("tag/tag", "main")),
        (Spec(), "hello", ("secret",), DEFAULT, ("def/def", "defs")),
        (Spec(), "hello", (), DEFAULT, ("def/def", "defs")),
        (Spec(), "[a--b/x]", (), DEFAULT, None),
        (DOCUMENT, "[a--b/x]", ("-=-",), DEFAULT, ("doc/doc", "main")),
        (Spec(), "", ("-=x",), DEFAULT, None),
        (DOCUMENT, "", ("a=b", "a=c"), DEFAULT, None),
    ],
)
def test_document_subject_route_and_defaults_are_asked_in_this_order(
    spec: Spec, subject: str, routes: tuple[str, ...], default: Hint, target: tuple[str, str] | None
) -> None:
    """A branch never comes from a source that names another repository."""
    found = resolve(spec, subject, routes, default)

    assert found == Target(*target) if target else isinstance(found, Problem)


def test_a_mail_that_names_nothing_is_told_every_way_to_do_so() -> None:
    """The sender learns what to write and where."""
    found = resolve(Spec(branch="x"), "hello", (), Hint(None, "main"))

    assert isinstance(found, Problem)
    for way in ("meta", "front matter", "[owner/name@branch] in the subject", "+owner=name"):
        assert way in found.text


@pytest.mark.parametrize(
    ("subject", "hint"),
    [
        ("Re: Fwd: [owner/name] spec", Hint("owner/name")),
        ("[list] [1/2] [owner/name@release/1.0] [other/one]", Hint("owner/name", "release/1.0")),
        ("[https://github.com/owner/name] x", Hint("owner/name")),
        ("owner/name", Hint()),
        ("[owner]", Hint()),
        ("[a b/c]", Hint()),
        ("", Hint()),
    ],
)
def test_the_first_bracketed_repository_of_a_subject_counts(subject: str, hint: Hint) -> None:
    """Replies, list names and numbers of a series are passed over."""
    assert in_subject(subject) == hint


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("owner/name", "owner/name"),
        (" o/n ", "o/n"),
        ("a-b-c/.github", "a-b-c/.github"),
        ("https://github.com/owner/name", "owner/name"),
        ("https://www.github.com/owner/name.git", "owner/name"),
        ("HTTPS://GitHub.com/Owner/Name/", "Owner/Name"),
        ("o" * 39 + "/" + "n" * 100, "o" * 39 + "/" + "n" * 100),
    ],
)
def test_what_github_calls_a_repository_is_one(text: str, name: str) -> None:
    """The address that a browser shows will do as well."""
    assert github.repository(text) == name


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "name",
            "/name",
            "owner/",
            "a/b/c",
            "-a/b",
            "a-/b",
            "a--b/c",
            "a_b/c",
            "é/b",
            "a/é",
            "a/b c",
            "a/.",
        ),
        *(
            "a/..",
            "o" * 40 + "/n",
            "o/" + "n" * 101,
            "a/b.git",
            "https://gitlab.com/a/b",
            "git@github.com:a/b",
            "a/b\n/",
        ),
    ],
)
def test_what_github_would_not_call_a_repository_is_none(text: str) -> None:
    """Whatever is no owner/name raises words for the sender."""
    with pytest.raises(ValueError, match=r"repository|owner"):
        github.repository(text)


@pytest.mark.parametrize("text", ["main", "release/1.0", "développement", "a@b", "x-", "b" * 244])
def test_what_git_calls_a_branch_is_one(text: str) -> None:
    """Slashes, accents and dashes are fine."""
    assert github.branch(text) == text


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "@",
            "-x",
            "a..b",
            "a b",
            "a~b",
            "a^b",
            "a:b",
            "a?b",
            "a*b",
            "a[b",
            "a\\b",
            "a@{b",
            "/a",
            "a/",
            "a//b",
        ),
        *(".a", "a/.b", "a.", "a.lock", "a.lock/b", "a\x7fb", "b" * 245, "é" * 123),
    ],
)
def test_what_git_would_not_call_a_branch_is_none(text: str) -> None:
    """The rules are those of git check-ref-format, as far as they concern one name."""
    with pytest.raises(ValueError, match="branch"):
        github.branch(text)

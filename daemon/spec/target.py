"""The target of a specification: the repository and branch it is developed in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from daemon.outcome import Problem
from daemon.spec import github

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from daemon.spec.model import Spec

DEFAULT_BRANCH: Final = "main"

_IN_SUBJECT = re.compile(r"\[(?P<repo>[^\[\]\s/@]+/[^\[\]\s@]+)(?:@(?P<branch>[^\[\]\s]+))?\]")
#: ``[1/3]`` counts mails of a series.
_SERIES = re.compile(r"\d+/\d+")

_NONE_NAMED = (
    "no repository named: write repo: owner/name in meta or front matter, or [owner/name@branch] in the"
    " subject, or mail to our address with +owner=name"
)


@dataclass(frozen=True, slots=True)
class Target:
    """Where a specification is developed: ``owner/name`` and a branch."""

    repo: str
    branch: str


@dataclass(frozen=True, slots=True)
class Hint:
    """What one source says about the target; it may name only a part of it, or nothing."""

    repo: str | None = None
    branch: str | None = None


def resolve(spec: Spec, subject: str = "", routes: Sequence[str] = (), *defaults: Hint) -> Target | Problem:
    """The target of ``spec``: as the document says, else the subject, the route, the defaults in their order.

    The branch may come from a later source than the repository, unless that
    source names another repository: its branch means nothing here. In the
    end it is DEFAULT_BRANCH.
    """
    if len(set(routes)) > 1:
        return Problem(
            f"the mail was sent to different tags of our address ({', '.join(routes)}); send one mail each"
        )
    sources: tuple[Callable[[], Hint], ...] = (
        lambda: Hint(spec.repo, spec.branch),
        lambda: in_subject(subject),
        lambda: in_route(routes[0]) if routes else Hint(),
        *(partial(_same, default) for default in defaults),
    )
    try:
        hints = _hints(sources)
    except ValueError as error:
        return Problem(str(error))
    repo = next((hint.repo for hint in hints if hint.repo), None)
    if repo is None:
        return Problem(_NONE_NAMED)
    return Target(repo, _branch(repo, hints))


def usual_branch(repo: str, *defaults: Hint) -> str:
    """The branch of ``repo`` when the mail names none."""
    return _branch(repo, defaults)


def _same(hint: Hint) -> Hint:
    return hint


def _hints(sources: Sequence[Callable[[], Hint]]) -> list[Hint]:
    """What the sources say; a broken one matters only as long as none before it has named a repository."""
    hints: list[Hint] = []
    for source in sources:
        try:
            hints.append(source())
        except ValueError:
            if not any(hint.repo for hint in hints):
                raise
    return hints


def _branch(repo: str, hints: Iterable[Hint]) -> str:
    """GitHub compares the names of owners and repositories without case."""
    agree = (hint for hint in hints if hint.repo is None or hint.repo.lower() == repo.lower())
    return next((hint.branch for hint in agree if hint.branch), DEFAULT_BRANCH)


def is_in_subject(subject: str) -> bool:
    """Whether a subject names a repository."""
    return _bracketed(subject) is not None


def in_subject(subject: str) -> Hint:
    """What the first ``[owner/name]`` or ``[owner/name@branch]`` of a subject says; raises ValueError."""
    found = _bracketed(subject)
    if not found:
        return Hint()
    return Hint(github.repository(found["repo"]), github.branch(found["branch"]) if found["branch"] else None)


def _bracketed(subject: str) -> re.Match[str] | None:
    return next(
        (found for found in _IN_SUBJECT.finditer(subject) if not _SERIES.fullmatch(found["repo"])), None
    )


def in_route(tag: str) -> Hint:
    """What the tag of our own address says: ``owner=name`` is a repository, others are reserved.

    Raises ValueError with words for the sender.
    """
    owner, equals, name = tag.partition("=")
    return Hint(github.repository(f"{owner}/{name}")) if equals else Hint()

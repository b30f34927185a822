"""Names as GitHub and git allow them."""

from __future__ import annotations

import re

from daemon.spec.tree import shown
from daemon.text import printable

#: GitHub's bounds, in characters of an owner and of a repository, and in bytes of a branch.
LONGEST_OWNER = 39
LONGEST_NAME = 100
LONGEST_BRANCH = 244

_URL = re.compile(r"https?://(?:www\.)?github\.com/([^/\s]+/[^/\s]+?)(?:\.git)?/?", re.IGNORECASE)
_OWNER = re.compile(r"[A-Za-z0-9](?:-?[A-Za-z0-9])*")
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_NOT_IN_BRANCH = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//")


def repository(text: str) -> str:
    """``text`` as ``owner/name``; the address of a repository on github.com is shortened to it.

    The rules are those of GitHub's sign-up and new-repository forms. Raises
    ValueError with words for the sender.
    """
    text = text.strip()
    if url := _URL.fullmatch(text):
        text = url[1]
    owner, slash, name = text.partition("/")
    if not slash or not owner or not name:
        raise ValueError(f"{shown(text)} names no repository; write owner/name")
    if len(owner) > LONGEST_OWNER or not _OWNER.fullmatch(owner):
        raise ValueError(
            f"{shown(owner)} is no GitHub owner (at most {LONGEST_OWNER} letters, digits, single hyphens)"
        )
    if name.lower().endswith(".git"):
        raise ValueError(f"a repository's name can't end in .git; did you mean {owner}/{name[:-4]}?")
    if len(name) > LONGEST_NAME or not _NAME.fullmatch(name) or name in {".", ".."}:
        raise ValueError(
            f"{shown(name)} is no GitHub repository (at most {LONGEST_NAME} letters, digits, '.', '_', '-')"
        )
    return text


def branch(text: str) -> str:
    """``text`` as the name of a branch, by the rules of git-check-ref-format; raises ValueError."""
    text = text.strip()
    parts = text.split("/")
    wrong = (
        not text
        or text == "@"
        or text.startswith("-")
        or text.endswith(".")
        or len(text.encode()) > LONGEST_BRANCH
        or _NOT_IN_BRANCH.search(text) is not None
        or printable(text) != text
        or any(not part or part.startswith(".") or part.endswith(".lock") for part in parts)
    )
    if wrong:
        raise ValueError(f"{shown(text)} is no name for a branch (see git-check-ref-format)")
    return text

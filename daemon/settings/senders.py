"""``[senders]``: who may send, for which repositories, and how they prove to be who they say.

The keys and the words of ``proof`` and ``may_set`` stay: a rule that a later
release read otherwise would let somebody in, or shut somebody out, without
a word. A rule's name is in the evidence of every mail that it let in.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator

from daemon.settings.kind import Kind, UnfitError, choice, matching, several, worded
from daemon.settings.model import Table
from daemon.spec import github

if TYPE_CHECKING:
    from pydantic import ValidationInfo

Proof = Literal["dkim", "smtp-auth", "authentication-results", "none"]
Settable = Literal["branch", "dod"]

#: What the mail's own From can be (RFC 5322, 3.4.1: dot-atom). The asterisk is an atom's too, but nobody
#: who writes ``a*@example.com`` means that one address.
_ATOM = r"[\w!#$%&'+/=?^`{|}~-]+"
_DOMAIN = r"[\w-]+(?:\.[\w-]+)*"
_ADDRESS = re.compile(rf"(?P<local>\*|{_ATOM}(?:\.{_ATOM})*)@{_DOMAIN}")
#: RFC 5321, 4.5.3.1: what is longer never is a sender.
_LOCAL_MAX, _ADDRESS_MAX = 64, 254

REPO = worded('a GitHub repository, "owner/name"', github.repository)
BRANCH = worded("a branch name that git takes", github.branch)


def _address(text: str) -> str:
    match = _ADDRESS.fullmatch(text)
    if not match:
        raise ValueError(_why_no_address(text))
    if len(match["local"]) > _LOCAL_MAX or len(text) > _ADDRESS_MAX:
        raise ValueError("longer than an address can be (RFC 5321)")
    if unicodedata.normalize("NFKC", text) != text:
        raise ValueError("it has letters that look like others; no mail with such a From is taken")
    return text


def _why_no_address(text: str) -> str:
    if "*" in text:
        return "* stands for everybody of one domain, as in *@example.com, and for nothing else"
    if re.search(r"[<>\"\s]", text):
        return "the address alone, without a display name: names prove nothing"
    return ""


def _pattern(text: str) -> str:
    """A repository, or an owner and a pattern of names; owners are spelt out, for anybody can be one."""
    text = text.strip()
    if "*" not in text:
        return github.repository(text)
    if "*" in text.partition("/")[0]:
        raise ValueError("* may stand after the / only: the owner of a repository is spelt out")
    if not _is_repository(text.replace("*", "x")):
        raise ValueError
    return text


def _is_repository(text: str) -> bool:
    try:
        return github.repository(text) == text
    except ValueError:
        return False


_WORD = matching(r"[a-z0-9][a-z0-9_-]{0,62}", "")


def _read_name(value: object) -> str:
    try:
        return str(_WORD.read(value))
    except UnfitError:
        raise UnfitError(
            "no name for a rule; allowed: at most 63 lower-case letters, digits, - and _, beginning with a"
            " letter or a digit"
        ) from None


def _none_stands_alone(kind: Kind) -> Kind:
    def read(value: object) -> tuple[str, ...]:
        proofs: tuple[str, ...] = kind.read(value)
        if "none" in proofs and len(set(proofs)) > 1:
            raise UnfitError('"none" stands alone: beside it no other proof would ever be asked for')
        return proofs

    return replace(kind, read=read)


RULE = Kind("a rule's name", _read_name)

_SENDERS = several(
    worded("", _address),
    'addresses such as "ana@partner.example", or "*@example.com" for a whole domain, in a list or with'
    " commas between",
    least=1,
)
_REPOS = several(
    worded("", _pattern),
    'GitHub repositories, "owner/name", or patterns of their names such as "example/*", in a list or with'
    " commas between",
    least=1,
)
_PROOFS = _none_stands_alone(
    several(
        choice("dkim", "smtp-auth", "authentication-results", "none"),
        'any of "dkim", "smtp-auth" and "authentication-results", in a list or with commas between, or "none"'
        " alone",
        least=1,
    )
)
_SETTABLES = several(choice("branch", "dod"), '"branch", "dod", both or neither, in a list')


class Sender(Table):
    """One rule: whose mail it is for, what they may target, and how they prove to be who they say.

    Addresses and repositories are kept as they are written; who compares
    them does so without regard to case.
    """

    from_: Annotated[tuple[str, ...], _SENDERS] = Field(
        alias="from",
        description="Whose mails the rule is for: the address in From, or everybody of one domain.",
    )
    repos: Annotated[tuple[str, ...], _REPOS] = Field(
        description="The repositories they may target; `*` stands for anything within a name."
    )
    proof: Annotated[tuple[Proof, ...], _PROOFS] = Field(
        description="What proves From, any one of them; `none` is only for plain SMTP on loopback."
    )
    repo: Annotated[str | None, REPO] = Field(
        default=None,
        description="The repository of a specification of theirs that names none; before `routing.repo`.",
    )
    branch: Annotated[str | None, BRANCH] = Field(
        default=None,
        description="The branch of a specification of theirs that names none; before `routing.branch`.",
    )
    may_set: Annotated[tuple[Settable, ...], _SETTABLES] = Field(
        default=("branch", "dod"),
        description="What a mail may set for itself; one that sets anything else is rejected.",
    )

    @field_validator("repo")
    @classmethod
    def _is_covered(cls, repo: str | None, info: ValidationInfo) -> str | None:
        patterns = info.data.get("repos")  # missing when they were themselves refused
        if repo and patterns and not any(fnmatchcase(repo.lower(), each.lower()) for each in patterns):
            raise UnfitError("not one of this rule's repos, so each mail that relies on it would be refused")
        return repo

"""Alignment: whose domain speaks for whose mail, as DMARC defines it (RFC 7489, 3.1)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from publicsuffixlist import PublicSuffixList

from daemon.names import Unasked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from daemon.trust.asking import Asking

#: Characters of a domain name, and of one of its labels (RFC 1035, 2.3.4).
_NAME_MAX, _LABEL_MAX = 253, 63
_NAME = re.compile(r"(?:[a-z0-9_-]{1,63}\.)*+[a-z0-9_-]{1,63}")
_POLICY = re.compile(r"v[ \t]*+=[ \t]*+DMARC1[ \t]*+(?:;|\Z)")


@dataclass(frozen=True, slots=True)
class Strictness:
    """What a domain's DMARC policy asks for: ``adkim=s``, ``aspf=s``. Without a policy, neither."""

    dkim: bool = False
    spf: bool = False


def a_labels(domain: str) -> str | None:
    """``domain`` as the DNS writes it, in lower case; None if it can't be written so without doubt.

    The codec is of IDNA 2003, which makes ``strasse`` of ``straße``, today
    another domain: what doesn't come back as it was is in doubt.
    """
    if len(domain) > _NAME_MAX or any(len(label) > _LABEL_MAX for label in domain.split(".")):
        return None
    try:
        name = domain.lower() if domain.isascii() else domain.encode("idna").decode("ascii")
        unchanged = domain.isascii() or name.encode("ascii").decode("idna") == domain.lower()
    except UnicodeError:
        return None
    return name if unchanged and _NAME.fullmatch(name) else None


def organisation(domain: str) -> str | None:
    """The organisational domain of ``domain`` (RFC 7489, 3.2); None of a public suffix, which nobody is.

    By the whole public suffix list, its private section too, like other
    receivers: who has ``a.github.io`` must not speak for ``b.github.io``.
    """
    name = a_labels(domain)
    return _suffixes().privatesuffix(name) if name else None


def same_organisation(one: str, other: str) -> bool:
    """Whether two domains are aligned in the relaxed sense; two public suffixes are not."""
    theirs = organisation(one)
    return theirs is not None and theirs == organisation(other)


def is_same(one: str, other: str) -> bool:
    """Whether two domains are the same one, however they are spelt."""
    name = a_labels(one)
    return name is not None and name == a_labels(other)


def strictness(sender_domain: str, asking: Asking) -> Strictness:
    """What the policy of ``sender_domain`` asks for, else that of its organisation (RFC 7489, 6.6.3).

    Of several policies where there should be one the strictest words count:
    the RFC would have none of them count, which helps only a forger.

    Raises:
        Unasked, Unavailable: as of Answers.
    """
    name, theirs = a_labels(sender_domain) or "", organisation(sender_domain)
    above = theirs if theirs and theirs != name else None
    try:
        policies = _policies(name, asking)
    except Unasked:
        if above:
            asking.want(f"_dmarc.{above}", "TXT")
        raise
    if not policies and above:
        policies = _policies(above, asking)
    said = [pair for policy in policies for pair in _pairs(policy)]
    return Strictness(("adkim", "s") in said, ("aspf", "s") in said)


def _policies(domain: str, asking: Asking) -> list[str]:
    return [record for record in asking.to(f"_dmarc.{domain}", "TXT") if _POLICY.match(record)]


def _pairs(policy: str) -> Iterator[tuple[str, str]]:
    """The tags of a policy; what is malformed is passed over, as the RFC asks (6.3)."""
    for tag in policy.split(";"):
        name, _, value = tag.partition("=")
        yield name.strip().lower(), value.strip().lower()


@cache
def _suffixes() -> PublicSuffixList:
    """Read once, when it is first needed: it takes 60 ms."""
    return PublicSuffixList()

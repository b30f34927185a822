"""Addresses: which are ours, what their tags say, and which one a mail is from."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from email.utils import getaddresses
from functools import lru_cache
from typing import TYPE_CHECKING

from daemon.mail import header

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

#: Where our address may stand, the sender's own words first.
_TO_US = ("to", "cc", "delivered-to", "x-original-to", "envelope-to")

#: What stands between addresses; a quoted display name is no address. A quote that nobody closes runs to
#: the end: looking for its end from each quote anew took twenty seconds.
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*+"?')
_BETWEEN = re.compile(r"[\s<>,;:\"()\[\]\\]+")

#: From headers of which it is remembered who they are from, since most mails are from somebody known.
_REMEMBERED = 1024

#: RFC 5321, 4.5.3.1.
_LOCAL_MAX, _ADDRESS_MAX = 64, 254

#: dot-atom@domain (RFC 5322, 3.4.1), no quotes, no literals; letters beyond ASCII as RFC 6531 allows.
#: Its groups are not possessive, here and elsewhere: one that fails halfway has lost its place in Python
#: before 3.11.5, and Debian 12 has 3.11.2.
_PLAIN = r"[\w!#$%&'*+/=?^`{|}~-]++(?:\.[\w!#$%&'*+/=?^`{|}~-]++)*@[\w-]++(?:\.[\w-]++)*"

#: A From header that leaves nothing to guess: the address alone, with a plain comment, or after a name.
_FROM = re.compile(
    rf"\s*+(?:(?P<bare>{_PLAIN})\s*+(?:\((?P<comment>[^()\\\"<>@]*+)\))?"
    rf'|(?P<name>(?:"(?:[^"\\]|\\.)*+"|[^"<>()@,:;\\\[\]])*+)<(?P<angle>{_PLAIN})>)\s*+'
)

#: Header lines that some parser takes for From: RFC 5322 once allowed white space before the colon.
_FROM_LINE = re.compile(rb"^from[ \t]*+:", re.IGNORECASE | re.MULTILINE)

#: Characters that end or begin an address for a parser that decodes a display name before it looks; and
#: what stands for a control character.
_TRAPS = frozenset('<>@()"\\\ufffd')


@dataclass(frozen=True, slots=True)
class Addresses:
    """Our own addresses, in lower case; with none, every address is taken for ours (trying it out)."""

    recipients: frozenset[str]

    @classmethod
    def of(cls, recipients: Iterable[str]) -> Addresses:
        """The addresses as an operator writes them."""
        return cls(frozenset(address.strip().lower() for address in recipients))

    def accepts(self, address: str) -> bool:
        """Whether mail to ``address`` is for us; any tag is."""
        return self.route(address) is not None

    def route(self, address: str) -> str | None:
        """The tag of ``address``, as written, ``""`` if it has none, and None if it is not ours.

        Upper and lower case are alike in local part and domain: mailboxes
        that differ by case alone exist in no real system.
        """
        local, _, domain = address.strip().rpartition("@")
        base, _, tag = local.partition("+")
        ours = {f"{base}@{domain}".lower(), f"{local}@{domain}".lower()}
        return tag if not self.recipients or ours & self.recipients else None


def routes(headers: Sequence[tuple[str, str]], rcpt_to: Iterable[str], ours: Addresses) -> tuple[str, ...]:
    """The tags of our addresses in the headers, else of those in the envelope; distinct, in their order.

    An address of ours without a tag leaves the question open, since a
    mailbox reads from Delivered-To what SMTP has in the envelope, and the
    mail must be the same mail. Relays may change the case of a tag, so tags that differ by case
    alone are one.
    """
    return _tags(_named(headers), ours) or _tags(rcpt_to, ours)


def sender(values: Sequence[str], block: bytes, parsed: Sequence[tuple[str, str]]) -> str | None:
    """The one address a mail is from, its domain in lower case; None when there is any doubt.

    ``values`` are the From headers, unfolded and not decoded; ``block`` all
    bytes before the first blank line, where a second From may hide from the
    parser, which ends the headers at the first line it doesn't like;
    ``parsed`` what mail-parser reads. A strict pattern, the standard library
    and mail-parser must name the same single address.
    """
    if len(values) != 1 or len(_FROM_LINE.findall(block)) != 1 or len(values[0]) > header.LINE_MAX:
        return None
    address = _only_address(values[0])
    if address is None or [found for _, found in parsed] != [address]:
        return None
    local, _, domain = address.rpartition("@")
    return f"{local}@{domain.lower()}"


@lru_cache(_REMEMBERED)
def _only_address(value: str) -> str | None:
    """The address of a From header that has the plain form, which the standard library reads alike."""
    match = _FROM.fullmatch(value)
    address = match and (match["bare"] or match["angle"])
    if not match or not address or not _is_plain(address):
        return None
    read_alike = [found for _, found in getaddresses([value])] == [address]
    return address if read_alike and not _misleads(match["name"] or match["comment"] or "", address) else None


def _is_plain(address: str) -> bool:
    """What looks like another letter or like an encoded word is nobody's plain address."""
    local = address.partition("@")[0]
    long = len(address) > _ADDRESS_MAX or len(local) > _LOCAL_MAX
    return not long and "=?" not in address and unicodedata.normalize("NFKC", address) == address


def _misleads(name: str, address: str) -> bool:
    """Whether a display name might be read as another address; many mailers repeat the same one there."""
    shown = header.words(name).strip().removeprefix('"').removesuffix('"')
    return shown.lower() != address.lower() and not _TRAPS.isdisjoint(shown)


def _named(headers: Sequence[tuple[str, str]]) -> Iterator[str]:
    for wanted in _TO_US:
        for name, value in headers:
            if name == wanted:
                yield from _BETWEEN.split(_QUOTED.sub(" ", value))


def _tags(addresses: Iterable[str], ours: Addresses) -> tuple[str, ...]:
    found: dict[str, str] = {}
    for address in addresses:
        tag = ours.route(address) if address.count("@") == 1 else None
        if tag:
            found.setdefault(tag.lower(), tag)
    return tuple(found.values())

"""SPF: whether a domain lets an address send in its name (RFC 7208), by what the DNS has answered.

Our own, since pyspf, the one there is for Python, has seen no release since
2020, asks the DNS itself, and leaves what it finds in globals and on standard
output. Only whether it passes matters here, so explanations are not read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TYPE_CHECKING

from daemon.names import Unasked
from daemon.trust.spf.macro import MalformedMacroError, Sending, expand

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from daemon.names import Kind
    from daemon.trust.asking import Asking

PASS = "pass"  # noqa: S105 - a result
_RESULTS = {"+": PASS, "-": "fail", "~": "softfail", "?": "neutral"}
#: What a record says that lets everybody pass: it tells nobody from the sender.
_OPEN = "neutral, since it lets everybody pass"

#: Terms that ask the DNS, lookups among them that found nothing, and hosts of one ``mx`` (4.6.4).
LOOKUPS_MAX, VOIDS_MAX, HOSTS_MAX = 10, 2, 10
#: Characters of a record; one that is longer is an error.
RECORD_MAX = 8192

_VERSION = re.compile(r"v=spf1(?: |\Z)", re.IGNORECASE)
_TERM = re.compile(r"([-+?~]?)([a-z][a-z0-9_.-]*+)([:=/].*+)?", re.IGNORECASE)
_HOSTS = re.compile(r"(?::((?:%\{[^{}]*+\}|[^/])++))?(?:/([0-9]{1,2}))?(?://([0-9]{1,3}))?")
_BITS4, _BITS6 = 32, 128


class PermanentError(Exception):
    """A record that is wrong, or asks for more than the RFC allows."""


@dataclass(frozen=True, slots=True)
class Term:
    """One mechanism: ``target`` is a name with macros or a network; ``bits`` are the prefixes of a and mx."""

    qualifier: str
    name: str
    target: str = ""
    bits: tuple[int, int] = (_BITS4, _BITS6)


@dataclass(frozen=True, slots=True)
class Record:
    """What a domain publishes: its mechanisms in their order, and where to go on if none matches."""

    terms: tuple[Term, ...]
    redirect: str | None = None


def check(sending: Sending, asking: Asking) -> str:
    """The result of check_host (4), in words; PASS is the one that counts.

    ``ptr`` never matches (5.5 says not to use it), and ``all`` never passes.

    Raises:
        Unasked: there are questions in ``asking``.
        Unavailable: a temporary error.
    """
    try:
        return _Check(sending, asking).of(sending.domain)
    except (PermanentError, MalformedMacroError) as error:
        return f"permanent error: {error}"


def parse(text: str) -> Record:
    """Read a record whole, since one error anywhere in it spoils all of it (4.6).

    Raises:
        PermanentError: it is malformed.
    """
    if len(text) > RECORD_MAX or not text.isascii():
        raise PermanentError("a record that is too long or not ASCII")
    terms: list[Term] = []
    modifiers: dict[str, str] = {}
    for word in filter(None, text.split(" ")[1:]):
        match = _TERM.fullmatch(word)
        if not match:
            raise PermanentError(f"{word[:80]} is no term")
        qualifier, name, rest = match[1], match[2].lower(), match[3] or ""
        if rest.startswith("=") and not qualifier:
            if name in modifiers and name in ("redirect", "exp"):
                raise PermanentError(f"{name}= stands twice")
            modifiers[name] = rest[1:]
        else:
            terms.append(_term(qualifier or "+", name, rest))
    return Record(tuple(terms), modifiers.get("redirect"))


def _term(qualifier: str, name: str, rest: str) -> Term:
    """A mechanism, or PermanentError."""
    match name:
        case "all" if not rest:
            return Term(qualifier, name)
        case "include" | "exists" if rest.startswith(":") and len(rest) > 1:
            return Term(qualifier, name, rest[1:])
        case "ip4" | "ip6" if rest.startswith(":"):
            return Term(qualifier, name, str(_network(name, rest[1:])))
        case "a" | "mx" | "ptr":
            return _hosts(qualifier, name, rest)
    raise PermanentError(f"{name[:40]}{rest[:80]} is no mechanism")


def _hosts(qualifier: str, name: str, rest: str) -> Term:
    match = _HOSTS.fullmatch(rest)
    bits = (int(match[2] or _BITS4), int(match[3] or _BITS6)) if match else (-1, -1)
    if not match or not 0 <= bits[0] <= _BITS4 or not 0 <= bits[1] <= _BITS6:
        raise PermanentError(f"{name}{rest[:80]} is no mechanism")
    return Term(qualifier, name, match[1] or "%{d}", bits)


def _network(name: str, text: str) -> IPv4Network | IPv6Network:
    kind = IPv4Network if name == "ip4" else IPv6Network
    try:
        if "%" in text or not re.fullmatch(r"[^/]+(?:/[0-9]{1,3})?", text):
            raise ValueError(text)  # noqa: TRY301 - a zone or a netmask is as wrong as the rest
        return kind(text, strict=False)
    except ValueError as error:
        raise PermanentError(f"{text[:80]} is no address") from error


def _is_for_all(term: Term) -> bool:
    """Whether it matches whoever sends."""
    return term.name == "all" or (term.name in ("ip4", "ip6") and ip_network(term.target).prefixlen == 0)


class _Check:
    """One evaluation, with what it has used of the limits."""

    def __init__(self, sending: Sending, asking: Asking) -> None:
        self._sending, self._asking = sending, asking
        self._lookups = self._voids = 0
        self._kind: Kind = "A" if sending.peer.version == 4 else "AAAA"  # noqa: PLR2004 - IPv4

    def of(self, domain: str) -> str:
        """The result for the record of ``domain``."""
        records = [record for record in self._asking.to(domain, "TXT") if _VERSION.match(record)]
        if len(records) != 1:
            if records:
                raise PermanentError(f"{len(records)} records of {domain}")
            return "none"
        record = parse(records[0])
        for position, term in enumerate(record.terms):
            try:
                if self._matches(term, domain):
                    return _OPEN if term.qualifier == "+" and _is_for_all(term) else _RESULTS[term.qualifier]
            except Unasked:
                self._foresee(record.terms[position + 1 :], domain)
                raise
        return self._redirected(record.redirect, domain) if record.redirect is not None else "neutral"

    def _redirected(self, spec: str, domain: str) -> str:
        """The result of the record that is to be taken instead (6.1)."""
        self._count()
        target = self._name(spec, domain)
        result = self.of(target) if target else "none"
        if result == "none":
            raise PermanentError(f"{spec[:80]}, where it goes on, has no record")
        return result

    def _matches(self, term: Term, domain: str) -> bool:
        if term.name in ("ip4", "ip6"):
            return self._sending.peer in ip_network(term.target)
        return term.name == "all" or self._finds(term, domain)

    def _finds(self, term: Term, domain: str) -> bool:
        """Whether a mechanism that asks the DNS matches."""
        self._count()
        target = self._name(term.target, domain)
        if target is None:
            return False
        match term.name:
            case "include":
                return self._includes(target)
            case "exists":
                return bool(self._records(target, "A"))
            case "a":
                return self._is_among(self._records(target, self._kind), term)
            case "mx":
                return self._is_among(self._of_mail_hosts(target), term)
        return False

    def _includes(self, target: str) -> bool:
        """Whether the record of ``target`` passes; one that is not there is an error (5.2)."""
        result = self.of(target)
        if result == "none":
            raise PermanentError(f"{target}, which it includes, has no record")
        return result == PASS

    def _of_mail_hosts(self, target: str) -> list[str]:
        """The addresses of the hosts that take mail for ``target`` (5.4)."""
        hosts = self._records(target, "MX")
        if len(hosts) > HOSTS_MAX:
            raise PermanentError(f"{target} has over {HOSTS_MAX} hosts for mail")
        names = [name for host in hosts if (name := self._name(host.replace("%", "%%"), target))]
        for name in names:
            self._asking.want(name, self._kind)
        return [address for name in names for address in self._asking.to(name, self._kind)]

    def _is_among(self, addresses: Iterable[str], term: Term) -> bool:
        peer = self._sending.peer
        bits = term.bits[0] if self._kind == "A" else term.bits[1]
        return any(_covers(address, bits, str(peer)) for address in addresses)

    def _records(self, name: str, kind: Kind) -> tuple[str, ...]:
        found = self._asking.to(name, kind)
        self._voids += not found
        if self._voids > VOIDS_MAX:
            raise PermanentError(f"over {VOIDS_MAX} names in it do not exist")
        return found

    def _count(self) -> None:
        self._lookups += 1
        if self._lookups > LOOKUPS_MAX:
            raise PermanentError(f"over {LOOKUPS_MAX} lookups")

    def _name(self, spec: str, domain: str) -> str | None:
        return expand(spec, domain, self._sending)

    def _foresee(self, terms: Sequence[Term], domain: str) -> None:
        """Have asked now what the terms after one that waits will ask first: each round takes its time."""
        kinds: dict[str, Kind] = {"include": "TXT", "exists": "A", "mx": "MX", "a": self._kind}
        asking = [term for term in terms if term.name in kinds]
        for term in asking[: max(LOOKUPS_MAX - self._lookups, 0)]:
            if name := self._name(term.target, domain):
                self._asking.want(name, kinds[term.name])


def _covers(address: str, bits: int, peer: str) -> bool:
    try:
        return ip_network(peer).subnet_of(ip_network(f"{address}/{bits}", strict=False))  # type: ignore[arg-type]
    except (ValueError, TypeError):  # what the DNS gives as an address need not be one
        return False

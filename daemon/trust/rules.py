"""Sender rules: who may send what, and by which proof (``[senders]`` of the configuration)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from ipaddress import ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from ipaddress import IPv4Network, IPv6Network

    from daemon.mail import Envelope


class Proof(StrEnum):
    """How a mail may prove that it is from whom it says."""

    DKIM = "dkim"
    SMTP_AUTH = "smtp-auth"
    AUTHENTICATION_RESULTS = "authentication-results"
    NONE = "none"


#: What a mail may be allowed to set for itself, over its rule's defaults.
SETTABLE = ("branch", "dod")


@dataclass(frozen=True, slots=True)
class Rule:
    """One table of ``[senders]``.

    ``senders`` are addresses or ``*@domain``, ``repos`` are ``owner/name``
    whose name may hold ``*``, all in lower case: neither mailboxes nor
    GitHub tell letters' case apart. ``*@domain`` is no rule for what is
    below the domain: that may be somebody else's. ``repo`` and ``branch``
    are defaults.
    """

    name: str
    senders: tuple[str, ...]
    repos: tuple[str, ...]
    proofs: frozenset[Proof]
    repo: str | None = None
    branch: str | None = None
    may_set: frozenset[str] = frozenset(SETTABLE)

    def is_for(self, sender: str) -> bool:
        """Whether ``sender``, a plain ``local@domain``, is one of the rule's."""
        address = sender.lower()
        return address in self.senders or f"*@{address.rpartition('@')[2]}" in self.senders

    def covers(self, repo: str) -> bool:
        """Whether the rule's senders may target ``repo``; an owner is as it is written."""
        owner, _, name = repo.lower().partition("/")
        patterns = (pattern.partition("/") for pattern in self.repos)
        return any(theirs == owner and _matches(name, pattern) for theirs, _, pattern in patterns)


@dataclass(frozen=True, slots=True)
class Policy:
    """Who may send; with no rules, everybody who can reach us.

    ``authserv_id`` names the server whose Authentication-Results are
    believed, in lower case, in mail that comes from one of ``relays`` or,
    with ``unix_relay``, over a UNIX socket; ``mailboxes`` has that of each
    account whose server writes them, for the mails in it.
    """

    rules: tuple[Rule, ...] = ()
    authserv_id: str | None = None
    relays: tuple[IPv4Network | IPv6Network, ...] = ()
    unix_relay: bool = False
    mailboxes: Mapping[str, str] = field(default_factory=dict)

    def of(self, sender: str | None) -> tuple[Rule, ...]:
        """The rules for ``sender`` in their order; none when there is any doubt who it is."""
        return tuple(rule for rule in self.rules if sender is not None and rule.is_for(sender))

    def is_relayed(self, envelope: Envelope) -> bool:
        """Whether a mail server passed it on, whose own address says nothing about who sent it.

        LMTP is spoken by nobody else (RFC 2033), configured as a relay or
        not, and a mailbox has its own.
        """
        return envelope.source in ("lmtp", "imap") or self.is_relay(envelope.peer)

    def believes(self, envelope: Envelope) -> str | None:
        """Whose Authentication-Results are believed in this delivery; None: nobody's."""
        if envelope.slot:
            return self.mailboxes.get(envelope.slot.account)
        return self.authserv_id if self.is_relay(envelope.peer) else None

    def is_relay(self, peer: str) -> bool:
        """Whether ``peer``, an address or ``unix``, is one of the relays."""
        if peer == "unix":
            return self.unix_relay
        try:
            address = ip_address(peer)
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)  # an IPv4 peer of a listener on [::]
        return any((mapped or address) in network for network in self.relays)


@dataclass(frozen=True, slots=True)
class Request:
    """What a mail asks for, under the defaults of one rule.

    ``repos`` are the repositories it targets, none when it has a Problem
    under this rule and can't be taken; ``sets`` is what it sets for itself
    otherwise than the defaults, out of SETTABLE.
    """

    rule: Rule
    repos: frozenset[str] = frozenset()
    sets: frozenset[str] = frozenset()


def allowed(rules: Iterable[Rule], proof: Proof) -> bool:
    """Whether any of ``rules`` takes ``proof``."""
    return any(proof in rule.proofs for rule in rules)


def _matches(name: str, pattern: str) -> bool:
    """Whether ``name`` has the form of ``pattern``, in which ``*`` alone is special."""
    return fnmatchcase(name, pattern.replace("[", "[[]").replace("?", "[?]"))

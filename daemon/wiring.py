"""What the settings mean to each part, in its own types: so that no part knows the settings."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING

from daemon.child import Limits as ReaderLimits
from daemon.mail import Addresses
from daemon.reading import Defaults
from daemon.resolver import Resolver
from daemon.sources.limits import Limits as SmtpLimits
from daemon.sources.listener import Listener
from daemon.spec.target import Hint
from daemon.trust.rules import Policy, Proof, Rule

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

    from daemon.settings import Listen, Settings, Smtp
    from daemon.settings.senders import Sender
    from daemon.sources.listener import Protocol

#: The settings under [smtp] that are no limits.
_NO_LIMITS = {
    "authserv_id",
    "hostname",
    "listen",
    "logins_file",
    "recipients",
    "relays",
    "sender_rate",
    "tls_cert",
    "tls_key",
}
#: What stands in ``relays`` for whoever comes over a UNIX socket.
_UNIX = "unix"


def defaults(settings: Settings) -> Defaults:
    """What reading needs to know of the configuration."""
    return Defaults(
        ours=Addresses.of(settings.smtp.recipients),
        target=Hint(settings.routing.repo, settings.routing.branch),
        dod=settings.planning.default_dod,
        policy=policy(settings),
    )


def policy(settings: Settings) -> Policy:
    """Who may send."""
    smtp = settings.smtp
    return Policy(
        rules=tuple(_rule(name, sender) for name, sender in settings.senders.items()),
        authserv_id=smtp.authserv_id.lower() if smtp.authserv_id else None,
        relays=relays(smtp),
        unix_relay=_UNIX in smtp.relays,
    )


def relays(smtp: Smtp) -> tuple[IPv4Network | IPv6Network, ...]:
    """The networks of other mail servers of ours."""
    return tuple(ip_network(relay) for relay in smtp.relays if relay != _UNIX)


def resolver(settings: Settings) -> Resolver:
    """Who asks the DNS."""
    return Resolver([(server.host, server.port) for server in settings.dns.servers], settings.dns.timeout)


def reader_limits(settings: Settings) -> ReaderLimits:
    """What a reader child may use."""
    return ReaderLimits(**settings.readers.model_dump())


def smtp_limits(smtp: Smtp) -> SmtpLimits:
    """What a stranger may use."""
    return SmtpLimits(**smtp.model_dump(exclude=_NO_LIMITS))


def listener(listen: Listen) -> Listener:
    """One address of ``[smtp] listen``."""
    protocol: Protocol = "lmtp" if listen.scheme == "lmtp" else "smtp"
    return Listener(protocol, Path(listen.path) if listen.path else (listen.host, listen.port))


def _rule(name: str, sender: Sender) -> Rule:
    return Rule(
        name=name,
        senders=tuple(address.lower() for address in sender.from_),
        repos=tuple(repo.lower() for repo in sender.repos),
        proofs=frozenset(map(Proof, sender.proof)),
        repo=sender.repo,
        branch=sender.branch,
        may_set=frozenset(sender.may_set),
    )

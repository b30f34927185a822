"""What the settings mean to each part, in its own types: so that no part knows the settings."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daemon import oauth
from daemon.child import Limits as ReaderLimits
from daemon.credentials import Password
from daemon.mail import Addresses
from daemon.outcome import Verdict
from daemon.reading import Defaults
from daemon.resolver import Resolver
from daemon.sources.imap.account import Account
from daemon.sources.limits import Limits as SmtpLimits
from daemon.sources.listener import Listener
from daemon.spec.target import Hint
from daemon.storage.files import FileStorage
from daemon.tokens import Tokens
from daemon.trust.rules import Policy, Proof, Rule
from daemon.vault import Vault

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

    from psycopg import Connection
    from psycopg_pool import ConnectionPool

    from daemon.credentials import Credentials
    from daemon.settings import Imap, Listen, Settings, Smtp
    from daemon.settings.senders import Sender
    from daemon.sources.listener import Protocol
    from daemon.storage import Storage

#: The settings under [smtp] that are no limits.
_NO_LIMITS = {
    "authserv_id",
    "hostname",
    "listen",
    "logins_file",
    "recipients",
    "relays",
    "reuse_port",
    "sender_rate",
    "tls_cert",
    "tls_key",
}
#: What stands in ``relays`` for whoever comes over a UNIX socket.
_UNIX = "unix"


def defaults(settings: Settings) -> Defaults:
    """What reading needs to know of the configuration."""
    return Defaults(
        ours=ours(settings),
        target=Hint(settings.routing.repo, settings.routing.branch),
        dod=settings.planning.default_dod,
        policy=policy(settings),
    )


def ours(settings: Settings) -> Addresses:
    """Our addresses; a mailbox's own is one of them."""
    users = (imap.user for imap in settings.imap.values() if "@" in imap.user)
    return Addresses.of([*settings.smtp.recipients, *users])


def policy(settings: Settings) -> Policy:
    """Who may send."""
    smtp = settings.smtp
    return Policy(
        rules=tuple(_rule(name, sender) for name, sender in settings.senders.items()),
        authserv_id=smtp.authserv_id.lower() if smtp.authserv_id else None,
        relays=relays(smtp),
        unix_relay=_UNIX in smtp.relays,
        mailboxes={
            name: imap.authserv_id.lower() for name, imap in settings.imap.items() if imap.authserv_id
        },
    )


def relays(smtp: Smtp) -> tuple[IPv4Network | IPv6Network, ...]:
    """The networks of other mail servers of ours."""
    return tuple(ip_network(relay) for relay in smtp.relays if relay != _UNIX)


def storage(settings: Settings) -> Storage:
    """Where bytes lie; OSError when it can't be worked with."""
    given = settings.storage
    if given.path is not None:
        return FileStorage(given.path)
    from daemon.storage.objects import Bucket, ObjectStorage  # noqa: PLC0415 - only where there is a bucket

    bucket = Bucket(
        name=given.bucket or "",
        prefix=given.prefix,
        endpoint=given.endpoint,
        region=given.region,
        path_style=given.path_style,
        access_key_id=given.access_key_id,
        secret_access_key=given.secret_access_key,
    )
    return ObjectStorage(bucket)


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


def account(name: str, imap: Imap, credentials: Credentials) -> Account:
    """A mailbox of ``[imap]``."""
    return Account(
        name=name,
        host=imap.host,
        port=imap.port,
        tls=imap.tls,
        user=imap.user,
        credentials=credentials,
        folder=imap.folder,
        take_existing=imap.existing == "take",
        filed={
            Verdict.ACCEPTED: imap.processed,
            Verdict.DUPLICATE: imap.processed,
            Verdict.REJECTED: imap.rejected,
            Verdict.HELD: imap.held,
            Verdict.REFUSED: imap.refused,
            Verdict.IGNORED: imap.ignored,
        },
        idle=imap.idle,
        poll=imap.poll,
        max_size=imap.max_size,
    )


def credentials(settings: Settings, name: str, pool: ConnectionPool[Connection[Any]]) -> Credentials:
    """What a mailbox is entered with: its password, or tokens, whose store is in the database."""
    imap = settings.imap[name]
    if imap.oauth is None:
        return password(imap)
    return Tokens(pool, Vault(settings.oauth.key or b""), oauth.provider(imap.oauth), name)


def password(imap: Imap) -> Credentials:
    """The password of a mailbox that takes one."""
    given = Password(imap.password or "")
    return lambda: given


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

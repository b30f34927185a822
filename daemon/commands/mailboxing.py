"""A look at a mailbox from where the daemon will stand: whether it can be entered, and what would be done."""

from __future__ import annotations

import time
from contextlib import ExitStack, closing
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

import click

from daemon import database, wiring
from daemon.commands.consenting import AccountError
from daemon.sources.imap.session import Session
from daemon.sources.imap.trouble import (
    Declined,
    Farewell,
    LoginRefused,
    Misunderstood,
    NoConsent,
    Silent,
    Throttled,
    Trouble,
    Unreachable,
    Untrusted,
)
from daemon.text import printable
from db import arrivals, folders
from db.folders import Numbering
from db.pool import open_pool

if TYPE_CHECKING:
    from psycopg import Connection

    from daemon.credentials import Credentials
    from daemon.settings import Imap, Settings
    from daemon.sources.imap.account import Account
    from daemon.sources.imap.session import Selected

#: Round trips that are timed.
PINGS = 5
#: Folders that are named; some mailboxes have thousands.
NAMED = 30

#: What a person can do about each kind of trouble.
ADVICE: dict[type[Trouble], str] = {
    Unreachable: "are host, port and tls right, and may this machine connect there?",
    Silent: 'something listens there and says nothing: port 993 wants tls = "implicit", 143 "starttls"',
    Untrusted: "its certificate must be valid for the name in host, by an authority of this machine's",
    LoginRefused: "are user and password right? Gmail and Microsoft 365 take no password: see oauth",
    NoConsent: "a person has to log in once",
    Throttled: "the server wants to be left alone for a while; other programs count as well",
    Farewell: "the server ended it; its words are all there is",
    Declined: "the server understood and would not; is folder the name of one that this user may open?",
    Misunderstood: 'is that an IMAP server? port 993 wants tls = "implicit", 143 "starttls"',
}


class CheckFailed(Exception):  # noqa: N818 - the mailbox's state, and no error of ours
    """The mailbox can't be watched as it is configured; the text says why, and what may be done."""


def check(settings: Settings, name: str) -> None:
    """Enter the mailbox ``name`` as the daemon would, print what there is, and change nothing.

    Raises:
        AccountError: there is no such account.
        CheckFailed: it can't be watched.
    """
    imap = settings.imap.get(name)
    if imap is None:
        known = ", ".join(sorted(settings.imap)) or "none"
        raise AccountError(f"there is no account {printable(name)} in [imap]; there are: {known}")
    with ExitStack() as parts:
        account = wiring.account(name, imap, _credentials(settings, name, parts))
        session = parts.enter_context(closing(Session(account)))
        try:
            _enter(account, session)
            _tell(imap, account, session)
        except Trouble as trouble:
            advice = next(words for kind, words in ADVICE.items() if isinstance(trouble, kind))
            raise CheckFailed(f"{trouble.state}: {trouble}\n  {advice}") from None


@dataclass(frozen=True, slots=True)
class Compared:
    """A mailbox against what is recorded of it; ``trouble`` says why it could not be entered.

    ``new`` mails are still to be taken in, ``unfiled`` ones are done and
    still to be moved. The daemon does both at its next look.
    """

    account: str
    mails: int = 0
    new: int = 0
    unfiled: int = 0
    trouble: str | None = None

    def __str__(self) -> str:
        """One line."""
        if self.trouble:
            return f"mailbox {self.account}: {printable(self.trouble)}"
        state = f"{self.new} to be taken in, {self.unfiled} to be moved"
        return f"mailbox {self.account}: {_mails(self.mails)} of ours: {state}"


def compare(conn: Connection[Any], settings: Settings, name: str) -> Compared:
    """Hold the folder of the account ``name`` against what was recorded of it; nothing is changed."""
    with ExitStack() as parts:
        account = wiring.account(name, settings.imap[name], _credentials(settings, name, parts))
        session = parts.enter_context(closing(Session(account)))
        try:
            session.open()
            folder = session.find(account.folder)
            selected = session.select(folder, readonly=True)
            uids = session.all_uids(selected.exists)
        except Trouble as trouble:
            return Compared(name, trouble=f"{trouble.state}: {trouble}")
    numbering = Numbering(name, folder, selected.uidvalidity)
    met = folders.get(conn, numbering)
    ours = [uid for uid in uids if met is None or uid >= met.first_uid]
    seen = arrivals.seen(conn, *numbering, ours)
    moved = {verdict.value for verdict, place in account.filed.items() if place}
    unfiled = sum(verdict in moved for verdict in seen.values())
    return Compared(name, len(ours), len(ours) - len(seen), unfiled)


def _credentials(settings: Settings, name: str, parts: ExitStack) -> Credentials:
    """What the daemon has; only tokens need its database."""
    if settings.imap[name].oauth is None:
        return wiring.password(settings.imap[name])
    pool = parts.enter_context(open_pool(parts.enter_context(database.url(settings))))
    return wiring.credentials(settings, name, pool)


def _enter(account: Account, session: Session) -> None:
    started = time.monotonic()
    session.open()
    took = (time.monotonic() - started) * 1000
    secured = {"implicit": "TLS", "starttls": "STARTTLS", "none": "no TLS"}[account.tls]
    click.echo(f"logged in to {account.host}:{account.port} ({secured}) as {account.user} in {took:.0f} ms")


def _tell(imap: Imap, account: Account, session: Session) -> None:
    click.echo(f"the server can: {printable(' '.join(sorted(session.capabilities)), 1000)}")
    click.echo(f"  {_told_by(session, imap)}\n  {_filed_by(session)}")
    folders = session.folders()
    more = f" and {len(folders) - NAMED} more" if len(folders) > NAMED else ""
    click.echo(f"folders: {', '.join(map(printable, folders[:NAMED]))}{more}")
    name = session.find(account.folder)
    selected = session.select(name, readonly=True)
    numbers = f"UIDVALIDITY {selected.uidvalidity}, next UID {selected.uidnext}"
    click.echo(f"{printable(name)}: {_mails(selected.exists)}, {numbers}")
    _tell_existing(imap, selected)
    for verdict in ("processed", "rejected", "held", "refused", "ignored"):
        click.echo(f"  {verdict}: {_place(getattr(imap, verdict), session, folders)}")
    times = sorted(_ping(session) for _ in range(PINGS))
    click.echo(f"a round trip takes {median(times):.1f} ms ({times[0]:.1f} to {times[-1]:.1f})")


def _told_by(session: Session, imap: Imap) -> str:
    if "IDLE" in session.capabilities:
        return "it says at once that a mail has come (IDLE)"
    return f"it doesn't say that a mail has come (no IDLE): it is looked at every {imap.poll:g} s (poll)"


def _filed_by(session: Session) -> str:
    if "MOVE" in session.capabilities:
        return "mails are moved (MOVE)"
    if "UIDPLUS" in session.capabilities:
        return "mails are copied and expunged, each by itself (UIDPLUS; no MOVE)"
    return "mails can't be moved (neither MOVE nor UIDPLUS): they stay, and the database remembers them"


def _tell_existing(imap: Imap, selected: Selected) -> None:
    chosen = {choice: " (chosen)" if choice == imap.existing else "" for choice in ("skip", "take")}
    click.echo(f'  at the first contact existing = "skip"{chosen["skip"]} takes none of them')
    click.echo(f'  and "take"{chosen["take"]} takes {_mails(selected.exists)}')


def _place(folder: str, session: Session, folders: list[str]) -> str:
    if not folder:
        return "left where they are"
    name = session.find(folder)
    return f"{printable(name)} ({'is there' if name in folders else 'will be made'})"


def _mails(count: int) -> str:
    return f"{count} mail{'s' * (count != 1)}"


def _ping(session: Session) -> float:
    """Milliseconds."""
    started = time.monotonic()
    session.ping()
    return (time.monotonic() - started) * 1000

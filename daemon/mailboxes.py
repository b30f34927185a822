"""The register of mailboxes: which of them this daemon watches, and what in each is done.

All of it is in PostgreSQL, so any number of daemons may be configured for the
same mailboxes: one watches, the others stand by.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import socket
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from threading import Condition, Thread
from typing import TYPE_CHECKING, Any

import structlog
from psycopg.errors import LockNotAvailable

from daemon.log import Event
from daemon.outcome import Verdict
from db import arrivals, folders, mailboxes
from db.arrivals import ArrivalRow
from db.folders import Numbering
from db.pool import AWAY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from psycopg import Connection
    from psycopg_pool import ConnectionPool

    from daemon.mail import Slot

log = structlog.get_logger()

__all__ = ["Contact", "Leases", "Numbering", "Outage", "Owner", "Register"]

#: Seconds a lease lasts; between two renewals, or two attempts to have one; and before its end in which it
#: isn't relied upon. A mailbox whose daemon is gone has another one after LEASE + RENEW at most.
LEASE, RENEW, MARGIN = 20.0, 5.0, 3.0
#: Seconds to wait for a connection to the database.
DATABASE_TIMEOUT = 5.0
#: By how much a mail server's clock may lag ours before a mail is taken for older than it is.
SKEW = timedelta(hours=1)
#: Seconds after which the mark of a dead owner is of no use to anybody.
_MARK_KEPT = 3600.0


class Outage(Exception):  # noqa: N818 - a state of the database, and no error of ours
    """The database can't be asked now."""


@dataclass(frozen=True, slots=True)
class Contact:
    """What of a folder is ours: UIDs from ``first_uid`` on, received since ``since`` if that is set.

    ``is_first`` says that nobody had seen the folder before, ``is_new`` that
    nobody had under this UIDVALIDITY. ``unfinished`` were being read when a
    daemon was last heard of.
    """

    first_uid: int
    since: datetime | None
    unfinished: tuple[int, ...] = ()
    is_first: bool = False
    is_new: bool = False

    def finished(self) -> Contact:
        """The same, with nothing unfinished."""
        return replace(self, unfinished=())


class Owner:
    """This process as its leases name it, with a mark by which others on this machine see that it lives.

    The mark is a file in ``folder`` under a lock that goes with the process,
    so a daemon that starts after a kill need not wait for its own old leases.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        self.name = f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(4)}"
        self._folder = folder
        self._path = folder / self.name.replace("/", "-")
        self._mark = self._path.open("x")
        fcntl.flock(self._mark, fcntl.LOCK_EX)
        self._mark.write(self.name)
        self._mark.flush()

    def gone(self) -> list[str]:
        """The owners on this machine that are certainly dead."""
        return list(filter(None, map(_dead, self._folder.iterdir())))

    def close(self) -> None:
        """Be nobody any more."""
        self._path.unlink(missing_ok=True)
        self._mark.close()


def _dead(mark: Path) -> str | None:
    """Whose mark it is, if nobody holds it."""
    with suppress(OSError), mark.open() as file:  # BlockingIOError: it lives
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        if time.time() - mark.stat().st_mtime > _MARK_KEPT:
            mark.unlink(missing_ok=True)
        return file.read()
    return None


@dataclass(slots=True)
class _Share:
    """One account: its lease, if it is ours, and how its mailbox fares."""

    epoch: int | None = None
    until: float = 0.0  # monotonic
    standing: str = "starting"
    state: str = ""
    looked_at: float | None = None  # monotonic

    def ago(self, now: float) -> float | None:
        """Seconds since the mailbox was looked through."""
        return None if self.looked_at is None else now - self.looked_at


class Leases:
    """Holds the leases of mailboxes, in a thread of its own: a slow mail server never costs one.

    ``changed`` is called with an account whenever its lease came or went.
    """

    def __init__(
        self,
        pool: ConnectionPool[Connection[Any]],
        owner: Owner,
        accounts: Iterable[str],
        changed: Callable[[str], None],
    ) -> None:
        self._pool, self._owner, self._changed = pool, owner, changed
        self._shares = {account: _Share() for account in accounts}
        self._woken = Condition()
        self._closed = False
        self._thread = Thread(target=self._run, name="leases")

    def start(self) -> None:
        """Begin to take leases."""
        self._thread.start()

    def close(self) -> None:
        """Give back what is held, so that others need not wait."""
        with self._woken:
            self._closed = True
            self._woken.notify()
        if self._thread.is_alive():
            self._thread.join()

    def alive(self) -> bool:
        """Whether the thread still turns."""
        return self._thread.is_alive()

    def epoch(self, account: str) -> int | None:
        """The epoch of the lease, if it is ours and still runs."""
        share = self._shares[account]
        return share.epoch if time.monotonic() < share.until else None

    def standing(self, account: str) -> str:
        """Why the lease is not ours."""
        return self._shares[account].standing

    def tell(self, account: str, state: str, looked_at: float | None) -> None:
        """What others are to read of the mailbox; ``looked_at`` in monotonic seconds."""
        share = self._shares[account]
        share.state, share.looked_at = state, looked_at

    def _run(self) -> None:
        while not self._closed:
            for account, share in self._shares.items():
                try:
                    self._hold(account, share)
                except LockNotAvailable:
                    share.standing = "standing by, another daemon is in the middle of a mail"
                except AWAY:
                    share.standing = "standing by, the database is down"
                except Exception:
                    log.exception(Event.INTERNAL_ERROR, where="leases")
            with self._woken:
                self._woken.wait_for(lambda: self._closed, RENEW)
        for account, share in self._shares.items():
            with suppress(*AWAY):
                self._release(account, share)

    def _hold(self, account: str, share: _Share) -> None:
        asked = time.monotonic()
        with self._pool.connection(DATABASE_TIMEOUT) as conn:
            if share.epoch is None:
                gone = self._owner.gone()
                epoch = mailboxes.take(conn, account, self._owner.name, LEASE, gone)
            else:
                held = mailboxes.renew(
                    conn,
                    account,
                    self._owner.name,
                    share.epoch,
                    LEASE,
                    state=share.state,
                    ago=share.ago(asked),
                )
                epoch = share.epoch if held else None
        share.standing = "standing by, another daemon watches it"
        before, share.epoch = share.epoch, epoch
        share.until = asked + LEASE - MARGIN if epoch else 0.0
        if before != epoch:
            self._changed(account)

    def _release(self, account: str, share: _Share) -> None:
        epoch, share.until = share.epoch, 0.0
        if epoch is not None:
            with self._pool.connection(DATABASE_TIMEOUT) as conn:
                mailboxes.release(conn, account, self._owner.name, epoch, share.ago(time.monotonic()))


class Register:
    """What is done of each folder; for any thread. Every method raises Outage."""

    def __init__(self, pool: ConnectionPool[Connection[Any]]) -> None:
        self._pool = pool

    def contact(self, numbering: Numbering, uidnext: int, *, take_existing: bool) -> Contact:
        """Meet a folder, for the first time or again; ``uidnext`` is one above its last mail.

        Under a new UIDVALIDITY all that was received since the first contact
        is looked at once more, and its content id tells what was taken.
        """
        with self._asked() as conn:
            if known := folders.get(conn, numbering):
                return Contact(known.first_uid, known.since, tuple(known.unfinished))
            before = folders.first_contact(conn, numbering.account, numbering.folder)
            first_uid = 1 if take_existing or before else uidnext
            since = before - SKEW if before and not take_existing else None
            folders.enter(conn, numbering, first_uid, since)
            return Contact(first_uid, since, is_first=before is None, is_new=True)

    def known(self, numbering: Numbering, uids: Sequence[int]) -> dict[int, Verdict | None]:
        """Those of ``uids`` that are done, and what became of them; None for one that never was ours."""
        with self._asked() as conn:
            found = arrivals.seen(conn, *numbering, uids)
        return {uid: Verdict(verdict) if verdict else None for uid, verdict in found.items()}

    def begin(self, numbering: Numbering, uids: Sequence[int]) -> None:
        """Note which UIDs are being read from now on."""
        with self._asked() as conn:
            folders.begin(conn, numbering, uids)

    def alone(self, numbering: Numbering, uid: int) -> int:
        """Note that a UID is being read alone; how often it was begun by now without an end."""
        with self._asked() as conn:
            return folders.alone(conn, numbering, uid)

    def settle(self, slot: Slot, verdict: Verdict, reason: str, received_at: datetime) -> None:
        """Note that a slot is done though nobody has its mail; not if its lease is lost."""
        row = ArrivalRow(
            mail_id=None,
            source="imap",
            peer="",
            mail_from=None,
            rcpt_to=(),
            verdict=verdict,
            received_at=received_at,
            account=slot.account,
            folder=slot.folder,
            uidvalidity=slot.uidvalidity,
            uid=slot.uid,
            reason=reason,
        )
        with self._asked() as conn:
            if (slot.account, slot.epoch) in mailboxes.leased(conn, {slot.account}):
                arrivals.insert(conn, [row])

    @contextmanager
    def _asked(self) -> Iterator[Connection[Any]]:
        try:
            with self._pool.connection(DATABASE_TIMEOUT) as conn:
                yield conn
        except AWAY as error:
            raise Outage(f"the database: {type(error).__name__}: {error}") from error

"""A watch over one mailbox: connect, look, wait to be told, and begin again after whatever goes wrong."""

from __future__ import annotations

import os
import random
import select
import time
from threading import Thread
from typing import TYPE_CHECKING

import structlog

from daemon.log import Event
from daemon.mailboxes import Outage
from daemon.sources.imap.mailbox import Down, LeaseLost, Mailbox, Tenure
from daemon.sources.imap.session import Session
from daemon.sources.imap.trouble import NoConsent, Trouble

if TYPE_CHECKING:
    from daemon.mailboxes import Leases, Register
    from daemon.sources.imap.account import Account
    from daemon.sources.imap.mailbox import Hands

log = structlog.get_logger()

#: Seconds before a server is tried again: first, and at most; doubled in between, give or take a fifth.
PAUSE_FIRST, PAUSE_MOST, JITTER = 5.0, 900.0, 0.2
#: Seconds between two attempts to record while database or storage are down: the first time, and at most.
DOWN_FIRST, DOWN_MOST = 1.0, 30.0
#: Seconds between two reconciliations of the whole folder with the register.
RECONCILED = 3600.0
#: Seconds that the command under way gets when the service ends.
LAST_COMMAND = 5.0
#: Seconds past the end of a command's time in which its session must have come to its end.
GRACE = 60.0


class Watch:
    """Watches one mailbox in a thread of its own, as long as the lease is ours."""

    def __init__(self, account: Account, register: Register, leases: Leases, hands: Hands) -> None:
        self._account, self._register, self._leases, self._hands = account, register, leases, hands
        self._session: Session | None = None
        self._state = "starting"
        self._looked_at: float | None = None
        self._pause = PAUSE_FIRST
        self._closing = False
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._thread = Thread(target=self._run, name=f"imap-{account.name}")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """The lease came or went, or the end did: look at what there is to do now."""
        os.eventfd_write(self._wake, 1)

    def ask_to_end(self) -> None:
        """Take no more mails; those under way are finished."""
        self._closing = True
        self.wake()

    def close(self) -> None:
        """Wait for the end; a server that keeps us waiting is cut off."""
        self.ask_to_end()
        if self._thread.is_alive():
            self._thread.join(LAST_COMMAND)
            if session := self._session:
                session.abort()
            self._thread.join()
        os.close(self._wake)

    def hurry(self) -> None:
        """Cut the connection of a command that has overstayed its time, however its answer drips."""
        if (session := self._session) and time.monotonic() > session.due:
            session.abort()

    def alive(self) -> bool:
        """Whether the thread turns; False when not even cutting the connection helped."""
        session = self._session
        return self._thread.is_alive() and (session is None or time.monotonic() < session.due + GRACE)

    def status(self) -> str:
        """How the mailbox fares, for ``systemctl status``."""
        looked = self._looked_at
        ago = "not yet looked at" if looked is None else f"looked at {time.monotonic() - looked:.0f} s ago"
        return f"mailbox {self._account.name}: {self._state}, {ago}"

    def _run(self) -> None:
        while not self._closing:
            if self._leases.epoch(self._account.name) is None:
                self._say(self._leases.standing(self._account.name))
                self._doze(PAUSE_FIRST)
            else:
                self._attend()
        self._say("ended")

    def _attend(self) -> None:
        """One session, from login to whatever ends it; never raises."""
        try:
            self._session = Session(self._account)
            self._say("connecting")
            self._session.open()
            self._stay(self._session)
        except LeaseLost:
            self._say(self._leases.standing(self._account.name))
        except NoConsent as missing:
            self._pause = PAUSE_FIRST  # nobody is asked but our own database, so as often as once a minute
            self._rest(missing.state, str(missing), missing.least)
        except Trouble as trouble:
            self._rest(trouble.state, str(trouble), trouble.least)
        except (Outage, Down) as outage:
            self._say(f"recording is down ({outage})")
            self._sleep(PAUSE_FIRST)  # no fault of the server's, so no longer each time
        except Exception as error:
            log.exception(Event.INTERNAL_ERROR, where=f"imap {self._account.name}")
            self._rest("internal error", type(error).__name__)
        finally:
            session, self._session = self._session, None
            if session:
                session.close()

    def _stay(self, session: Session) -> None:
        """Look, and wait to be told, for as long as the session lasts."""
        tenure = Tenure(self._lease, lambda: self._closing)
        mailbox = Mailbox(self._account, session, self._register, self._hands, tenure)
        reconciled_at = self._look(session, mailbox, whole=True)
        while not self._closing and time.monotonic() < session.token_until:
            whole_in = reconciled_at + RECONCILED - time.monotonic()
            token_in = session.token_until - time.monotonic()
            waits = (self._account.idle, self._account.poll, mailbox.due_in(), whole_in, token_in)
            session.wait(max(0.0, min(waits)), self._wake)
            self._drain()
            if self._lease() is None:
                raise LeaseLost
            if self._closing:
                return
            whole = time.monotonic() >= reconciled_at + RECONCILED
            looked_at = self._look(session, mailbox, whole=whole)
            reconciled_at = looked_at if whole else reconciled_at

    def _look(self, session: Session, mailbox: Mailbox, *, whole: bool) -> float:
        """Look to the end, waiting for database and storage meanwhile if need be; when that was."""
        pause = DOWN_FIRST
        while True:
            self._say("looking", log_it=False)
            try:
                if whole:
                    mailbox.look_through()
                else:
                    mailbox.look()
            except (Outage, Down) as outage:
                self._say(f"recording is down ({outage})")
                self._sleep(pause)
                if self._closing:
                    return time.monotonic()
                pause = min(2 * pause, DOWN_MOST)
                session.ping()
            else:
                now = time.monotonic()
                if not self._closing:  # else it was broken off
                    self._looked_at, self._pause = now, PAUSE_FIRST
                    self._say("waiting for mail")
                return now

    def _lease(self) -> int | None:
        return self._leases.epoch(self._account.name)

    def _rest(self, state: str, why: str, least: float = 0.0) -> None:
        """Leave the server alone for a while."""
        pause = max(least, self._pause * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311 - no secret
        self._pause = min(2 * self._pause, PAUSE_MOST)
        log.warning(
            Event.MAILBOX_TROUBLE,
            account=self._account.name,
            state=state,
            reason=why,
            again_in=round(pause, 1),
        )
        self._say(f"{state} ({why})", log_it=False)
        self._sleep(pause)

    def _say(self, state: str, *, log_it: bool = True) -> None:
        if log_it and state != self._state:
            log.info(Event.MAILBOX, account=self._account.name, state=state)
        self._state = state
        self._leases.tell(self._account.name, state, self._looked_at)

    def _sleep(self, seconds: float) -> None:
        """Let time pass, whatever happens but the end."""
        until = time.monotonic() + seconds
        while not self._closing and (left := until - time.monotonic()) > 0:
            self._doze(left)

    def _doze(self, seconds: float) -> None:
        """Let time pass until something happens."""
        waiting = select.poll()
        waiting.register(self._wake, select.POLLIN)
        waiting.poll(seconds * 1000)
        self._drain()

    def _drain(self) -> None:
        try:
            os.eventfd_read(self._wake)
        except BlockingIOError:
            return

"""The composition root: every part is built and joined here, started, and drained on SIGTERM."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import ssl
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import structlog

from daemon import database, jobs, memory, notify, whereabouts, wiring
from daemon import settings as configuration
from daemon.intake import Intake
from daemon.ledger import Ledger
from daemon.log import Event
from daemon.logins import LoginDesk, LoginsError
from daemon.mail import Addresses
from daemon.mailboxes import Leases, Owner, Register
from daemon.rates import Rates
from daemon.reloading import Bench
from daemon.settings.agreement import for_strangers
from daemon.sources import descriptors
from daemon.sources.imap.mailbox import Hands
from daemon.sources.imap.watch import Watch
from daemon.sources.listener import Listener
from daemon.sources.smtp import SmtpServer
from daemon.storage import UnfitError
from daemon.worker import Worker
from db.pool import open_pool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future

    from psycopg_pool import ConnectionPool

    from daemon.mail import Envelope
    from daemon.outcome import Outcome
    from daemon.settings import Settings, Smtp
    from daemon.storage import Storage

log = structlog.get_logger()

#: Where mail is taken when the configuration names no address, or the next free port of ``PORTS``.
HOST, PORTS = "127.0.0.1", range(8025, 8125)
#: Why an address can't be had that no waiting will mend.
_MISCONFIGURED = {errno.EACCES, errno.EEXIST, errno.ENOENT, errno.ENOTDIR}
#: Seconds that mails under way get to be finished when the service is asked to stop.
DRAIN = 25.0
#: Seconds between two lines for ``systemctl status`` when no watchdog asks for more.
STATUS_INTERVAL = 10.0


class StartError(Exception):
    """The service can't start as it is configured; the text says what to change."""


class ListenError(Exception):
    """An address can't be had, which may pass: somebody else listens there."""


def run(settings: Settings, load: Callable[[], Settings]) -> None:
    """Be the daemon, until SIGTERM or SIGINT; ``load`` reads the settings again, for SIGHUP.

    Raises:
        StartError, ListenError, database.UnfitError, db.embedded.EmbeddedError: it can't start.
    """
    stop = Stop()
    stop.heed()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is somebody to tell
    os.umask(0o077)
    memory.give_back()
    log.info(Event.STARTING, version=version("specpost"), pid=os.getpid())
    log.info(Event.CONFIGURATION, **configuration.describe(settings))
    inherited, tls = _inherited(settings), _tls(settings.smtp)
    with suppress(Stopped), _desk(settings.smtp) as desk, assembled(settings, load, stop) as house:
        memory.collect_seldom()
        asyncio.run(_serve(settings, house, Doorway(inherited, tls, desk), stop))
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a handler ends before the process does
    log.info(Event.STOPPED)


@dataclass(frozen=True, slots=True)
class House:
    """Every part that runs, but for the doors: the intake, who does jobs, and the watches over mailboxes."""

    intake: Intake
    worker: Worker
    reload: Callable[[], Future[Settings | None]]
    watches: Sequence[Watch] = ()
    leases: Leases | None = None

    def alive(self) -> bool:
        """Whether every part turns, or waits for something that may come back."""
        leased = self.leases is None or self.leases.alive()
        turning = self.intake.alive() and self.worker.alive()
        return turning and leased and all(watch.alive() for watch in self.watches)

    def status(self, addresses: Sequence[str]) -> str:
        """One line for ``systemctl status``."""
        doors = [f"taking mail on {', '.join(addresses)}"] if addresses else []
        return "; ".join(
            [self.intake.trouble() or "", *doors, *(each.status() for each in self.watches)]
        ).lstrip("; ")


@dataclass(frozen=True, slots=True)
class Doorway:
    """What mail comes in by, beside what the settings say: systemd's sockets, a certificate, the logins."""

    inherited: Sequence[Listener]
    tls: ssl.SSLContext | None
    desk: LoginDesk | None


class Stopped(Exception):  # noqa: N818 - as it was asked to
    """The start was broken off between two of its steps."""


class Stop:
    """What SIGTERM and SIGINT ask for while the service starts: noted by them, and heeded between two steps.

    An exception that a signal raises can come at any line: within an import
    it is lost, and beside a thread that was just started it leaves that
    thread running for ever.
    """

    def __init__(self) -> None:
        self._asked = False

    def heed(self) -> None:
        """Note the first signal; the second doesn't wait."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)

    def __call__(self) -> None:
        """Raise Stopped if it was asked for."""
        if self._asked:
            raise Stopped

    def _note(self, *_: object) -> None:
        self._asked = True
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def assembled(settings: Settings, load: Callable[[], Settings], stop: Stop) -> Iterator[House]:
    """Every part but the sources, joined; taken apart again in the reverse order."""
    with _usable(f"state_dir {settings.state_dir}"):
        settings.state_dir.mkdir(parents=True, exist_ok=True)
    with ExitStack() as parts:
        url = parts.enter_context(database.url(settings))
        database.wait_until_fit(url, stop)
        with _usable(f"[storage] url {settings.storage.path or settings.storage.url}"):
            storage = parts.enter_context(closing(wiring.storage(settings)))
            _found(storage)
        pool = parts.enter_context(open_pool(url))
        resolver, rates = wiring.resolver(settings), Rates(settings.smtp.sender_rate)
        bench = Bench(settings, load, resolver)
        ledger = Ledger(storage.put, pool, rates, storage.prefix)
        intake = parts.enter_context(closing(Intake(bench.readers, bench.prover, ledger)))
        parts.enter_context(closing(bench))
        resolver.start()
        parts.enter_context(closing(resolver))
        parts.callback(bench.adjourn)  # left first: what has been judged is still committed
        owner = parts.enter_context(closing(Owner(settings.state_dir / "owners")))
        worker = parts.enter_context(closing(Worker(pool, jobs.kinds(storage.delete), owner.name)))
        stop()
        bench.readers.start()
        worker.start()
        house = House(intake, worker, partial(bench.reload, intake, rates))
        yield parts.enter_context(_watching(settings, pool, owner, house))


@contextmanager
def _watching(settings: Settings, pool: ConnectionPool[Any], owner: Owner, house: House) -> Iterator[House]:
    """The house with the watches over its mailboxes; they end first, with what they are taking in."""
    if not settings.imap:
        yield house
        return
    intake = house.intake
    with ExitStack() as watching:
        watches: dict[str, Watch] = {}
        leases = Leases(pool, owner, settings.imap, lambda account: watches[account].wake())
        watching.enter_context(closing(leases))  # given back last
        register, hands = Register(pool), Hands(intake.take, intake.hold, intake.trouble)
        for name, imap in settings.imap.items():
            account = wiring.account(name, imap, wiring.credentials(settings, name, pool))
            watches[name] = watching.enter_context(closing(Watch(account, register, leases, hands)))
        leases.start()
        for watch in watches.values():
            watch.start()
        yield replace(house, watches=tuple(watches.values()), leases=leases)


async def _serve(settings: Settings, house: House, doorway: Doorway, asked: Stop) -> None:

    async def take(envelope: Envelope) -> Outcome:
        return await asyncio.wrap_future(house.intake.take(envelope))

    server = SmtpServer(
        take,
        hostname=settings.smtp.hostname,
        recipients=Addresses.of(settings.smtp.recipients),
        limits=descriptors.fitted(wiring.smtp_limits(settings.smtp)),
        tls=doorway.tls,
        login=doorway.desk.login if doorway.desk else None,
        relays=wiring.relays(settings.smtp),
        reuse_port=settings.smtp.reuse_port,
    )

    def reload() -> None:
        if doorway.desk:
            doorway.desk.reload()
        task = asyncio.create_task(_reload(house, server))
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    reloads: set[asyncio.Task[None]] = set()
    stop, hurry = _signals(reload)
    asked()  # before there was a loop to tell
    listeners = await _listen(server, settings.smtp, doorway.inherited)
    smtp = [str(each) for each in listeners if each.protocol == "smtp"]
    lmtp = [str(each) for each in listeners if each.protocol == "lmtp"]
    with whereabouts.published(settings.state_dir, smtp):
        if not settings.senders or any("none" in sender.proof for sender in settings.senders.values()):
            log.warning(Event.UNPROTECTED, senders="anyone who can reach a loopback address of this machine")
        log.info(Event.READY, smtp=smtp, lmtp=lmtp)
        notify.ready()
        watchdog = asyncio.create_task(_watch(house, smtp + lmtp))
        nurse = asyncio.create_task(_nurse(settings, house))
        await stop.wait()
        log.info(Event.STOPPING)
        notify.stopping()
        for watch in house.watches:
            watch.ask_to_end()
        drain = asyncio.create_task(server.drain(DRAIN))
        await asyncio.wait([drain, asyncio.create_task(hurry.wait())], return_when=asyncio.FIRST_COMPLETED)
        watchdog.cancel()
        nurse.cancel()


async def _reload(house: House, server: SmtpServer) -> None:
    """Go by a changed configuration: who reads and judges first, then who listens."""
    settings = await asyncio.wrap_future(house.reload())
    if settings:
        server.go_by(Addresses.of(settings.smtp.recipients), wiring.relays(settings.smtp))


def _signals(reload: Callable[[], None]) -> tuple[asyncio.Event, asyncio.Event]:
    """Set by the first and by the second SIGTERM or SIGINT: stop, and stop without waiting.

    SIGHUP has the configuration and the logins read again.
    """
    stop, hurry = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def soon(callback: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop is over, and what follows it ends by itself
            loop.call_soon_threadsafe(callback)

    # Not the loop's own handlers: they end with it, and the next signal would kill us while parts are taken
    # apart, the embedded database among them.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: soon((hurry if stop.is_set() else stop).set))
    signal.signal(signal.SIGHUP, lambda *_: soon(reload))
    return stop, hurry


async def _listen(server: SmtpServer, smtp: Smtp, inherited: Sequence[Listener]) -> list[Listener]:
    """Listen where systemd or the configuration say, else on the first free port; as it was bound."""
    if inherited or smtp.listen is not None:
        try:
            return await server.start([*inherited, *map(wiring.listener, smtp.listen or ())])
        except OSError as error:
            trouble = StartError if error.errno in _MISCONFIGURED else ListenError
            raise trouble(f"can't listen: {error.strerror or error} ([smtp] listen)") from error
    for port in PORTS:
        try:
            return await server.start([Listener("smtp", (HOST, port))])
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise ListenError(f"can't listen: {error}") from error
    raise ListenError(f"no port of {HOST}:{PORTS[0]}-{PORTS[-1]} is free; name one with [smtp] listen")


async def _watch(house: House, addresses: list[str]) -> None:
    """Tell systemd how it goes, and that the loop turns: a service that is stuck is restarted."""
    interval = notify.watchdog_interval()
    while True:
        for watch in house.watches:
            watch.hurry()
        notify.status(house.status(addresses))
        if house.alive():
            notify.alive()
        await asyncio.sleep(interval or STATUS_INTERVAL)


async def _nurse(settings: Settings, house: House) -> None:
    """Revive what only we can; beside the watch, which must not wait for a database to start."""
    while True:
        if house.intake.trouble():
            await asyncio.to_thread(database.revive, settings)
        await asyncio.sleep(notify.watchdog_interval() or STATUS_INTERVAL)


def _inherited(settings: Settings) -> list[Listener]:
    """The sockets systemd opened for us; strangers may reach one only where it is said who may send.

    One that is called ``lmtp`` (``FileDescriptorName=``) speaks LMTP, as
    does every UNIX socket, since only a mail server of ours comes to it.
    Every other speaks SMTP.
    """
    try:
        sockets = notify.inherited_sockets()
    except ValueError as error:
        raise StartError(f"{error}; see specpost.socket") from error
    return [_admitted(settings, name, inherited) for name, inherited in sockets]


def _admitted(settings: Settings, name: str, inherited: socket.socket) -> Listener:
    is_lmtp = name == "lmtp" or inherited.family == socket.AF_UNIX
    listener = Listener("lmtp" if is_lmtp else "smtp", inherited)
    if is_lmtp or not notify.is_loopback(inherited):
        complaint = next(
            for_strangers(settings, f"on the inherited socket {listener}", ("smtp", "listen")), None
        )
        if complaint:
            raise StartError(f"{'.'.join(complaint[0])}: {complaint[1]}")
    return listener


@contextmanager
def _desk(smtp: Smtp) -> Iterator[LoginDesk | None]:
    """Who checks logins, if there are any."""
    if smtp.logins_file is None:
        yield None
        return
    try:
        desk = LoginDesk(smtp.logins_file)
    except LoginsError as error:
        raise StartError(f"{error} ([smtp] logins_file)") from error
    with closing(desk):
        yield desk


def _found(storage: Storage) -> None:
    """Storage that is wrong ends the start; what is away may come back, and mails are deferred until then."""
    try:
        storage.check()
    except UnfitError:
        raise
    except OSError as error:
        log.warning(Event.STORAGE_DOWN, reason=f"{type(error).__name__}: {error}")


@contextmanager
def _usable(what: str) -> Iterator[None]:
    """Name the setting that can't be worked with."""
    try:
        yield
    except OSError as error:
        raise StartError(f"{what} can't be used: {error.strerror or error}") from error


def _tls(smtp: Smtp) -> ssl.SSLContext | None:
    if smtp.tls_cert is None or smtp.tls_key is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(
            smtp.tls_cert, smtp.tls_key, password=lambda: ""
        )  # else it asks on a terminal
    except (OSError, ssl.SSLError) as error:
        message = (
            f"[smtp] tls_cert {smtp.tls_cert} and tls_key {smtp.tls_key} can't be used ({error}): they"
            " must be a certificate chain in PEM and its own key, without a passphrase"
        )
        raise StartError(message) from error
    return context

"""Asking the DNS: many questions side by side, each once for everybody, with an end to all waiting."""

from __future__ import annotations

import asyncio
import math
import time
from concurrent.futures import Future, wait
from dataclasses import dataclass
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any

import dns.asyncresolver
import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rdatatype
import dns.resolver
import structlog
from dns.nameserver import Do53Nameserver
from dns.rdtypes.ANY.MX import MX
from dns.rdtypes.ANY.TXT import TXT
from dns.rdtypes.IN.A import A
from dns.rdtypes.IN.AAAA import AAAA

from daemon.log import Event

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from dns.message import ChainingResult, Message, QueryMessage
    from dns.rdata import Rdata
    from dns.rrset import RRset

    from daemon.names import Kind, Question

log = structlog.get_logger()

#: Where the machine says whom to ask (resolv.conf(5)).
SYSTEM = "/etc/resolv.conf"
#: Port of a name server there.
PORT = 53
#: Questions on the wire at once. Each has a socket of its own: its port is half of what a forger must guess.
LOOKUPS = 256
#: Records of one answer, and octets of it. Well-known domains have up to a hundred TXT records, together far
#: under this; an answer of 64 KiB, the most there is, was measured to keep the parent busy for 0.3 s.
RECORDS_MAX, OCTETS_MAX = 200, 16 << 10
#: Seconds an answer is kept, whatever its TTL; and at most, when there is no such record.
KEPT_LEAST, KEPT_MOST, NOTHING_KEPT_MOST = 1.0, 3600.0, 300.0
#: Answers that are kept, and characters of all of them with their questions.
CACHE_ANSWERS, CACHE_CHARACTERS = 10_000, 16 << 20


@dataclass(frozen=True, slots=True)
class _Answer:
    """What became of a question: its records for ``ttl`` seconds, or None and ``why``, in words."""

    records: tuple[str, ...] | None
    ttl: float = 0.0
    why: str = ""


_NO_SUCH_NAME = _Answer(())
_LATE = _Answer(None, why="no answer in time")
_CLOSED = _Answer(None, why="nothing is asked any more")


class Resolver:
    """Asks name servers for those who can wait for the answer, from any thread.

    ``servers`` are IP addresses with their ports, asked in this order;
    without any, those of the machine, read anew for each lookup as the C
    library does, so that a network that comes up late is no reason to
    restart. ``timeout`` is in seconds and bounds each lookup, whoever waits
    for it. Until ``start`` and after ``close`` only what is kept is known.
    """

    def __init__(self, servers: Sequence[tuple[str, int]] = (), timeout: float = 10.0) -> None:
        self._servers, self._timeout = tuple(servers), timeout
        self._lock = Lock()  # holds for the next three
        self._kept = _Cache()
        self._in_flight: dict[Question, Future[_Answer]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: Thread | None = None
        self._lookups: set[asyncio.Task[None]] = set()
        self._closing, self._room = asyncio.Event(), asyncio.Semaphore(LOOKUPS)

    def start(self) -> None:
        """Begin to ask. A machine that names no server is told of in the log, and may start all the same."""
        try:
            _stub(self._servers)
        except _NoServer as error:
            log.warning(Event.DNS_TROUBLE, reason=str(error))
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._turn, args=(self._loop,), name="dns", daemon=True)
        self._thread.start()

    def alive(self) -> bool:
        """Whether its thread still turns."""
        return self._thread is not None and self._thread.is_alive()

    def close(self) -> None:
        """End; who still waits has no answer. May be called again, or without a start."""
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is None or self._thread is None:
            return
        loop.call_soon_threadsafe(self._closing.set)
        self._thread.join()
        for answer in self._in_flight.values():
            answer.set_result(_CLOSED)
        self._in_flight.clear()

    def ask(self, questions: Collection[Question], until: float) -> dict[Question, tuple[str, ...] | None]:
        """The records for each of ``questions``, as Answers describes them, side by side.

        Blocks until ``until`` at most, in seconds of ``time.monotonic()``.
        ``()`` is for a name that isn't there, has no such record, or can't
        exist (RFC 1035, 2.3.4); None for what has no answer for now: a
        timeout, SERVFAIL, REFUSED, an answer that is broken or beyond the
        limits. Raises nothing for what a server says.
        """
        answers = {question: self._answer(question) for question in set(questions)}
        wait(answers.values(), max(0.0, until - time.monotonic()))
        found = {question: each.result() if each.done() else _LATE for question, each in answers.items()}
        if failed := {str(question): each.why for question, each in found.items() if each.records is None}:
            log.warning(Event.DNS_TROUBLE, unanswered=failed)
        return {question: each.records for question, each in found.items()}

    def _answer(self, question: Question) -> Future[_Answer]:
        """What is kept, what somebody else is waiting for already, or a lookup of its own."""
        name = _absolute(question.name)
        if not name:
            return _settled(_NO_SUCH_NAME)
        with self._lock:
            if (records := self._kept.get(question)) is not None:
                return _settled(_Answer(records))
            if not self._loop:
                return _settled(_CLOSED)
            if question not in self._in_flight:
                self._in_flight[question] = Future()
                self._loop.call_soon_threadsafe(self._begin, question, name)
            return self._in_flight[question]

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        """Turn the loop until the end; what is under way then is cancelled."""
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(self._closing.wait())

    def _begin(self, question: Question, name: dns.name.Name) -> None:
        lookup = asyncio.get_running_loop().create_task(self._settle(question, name))
        self._lookups.add(lookup)  # the loop itself holds it only weakly
        lookup.add_done_callback(self._lookups.discard)

    async def _settle(self, question: Question, name: dns.name.Name) -> None:
        answer = await self._looked_up(question, name)
        with self._lock:
            if answer.records is not None:
                self._kept.put(question, answer.records, answer.ttl)
            waiting = self._in_flight.pop(question)
        waiting.set_result(answer)

    async def _looked_up(self, question: Question, name: dns.name.Name) -> _Answer:
        try:
            async with asyncio.timeout(self._timeout), self._room:
                return await _asked(_stub(self._servers), name, question.kind)
        except (_NoServer, dns.exception.DNSException, OSError) as error:
            return _Answer(None, why=_why(error))
        except Exception as error:
            log.exception(Event.INTERNAL_ERROR, where="dns", question=str(question))
            return _Answer(None, why=type(error).__name__)


class _NoServer(Exception):  # noqa: N818 - a state of the machine, and no error of ours
    """There is nobody to ask; its text says what to do about it."""


class _Cache:
    """What was answered, for as long as it holds; the oldest makes room. For one thread at a time."""

    def __init__(self) -> None:
        self._kept: dict[Question, tuple[float, tuple[str, ...]]] = {}
        self._size = 0

    def get(self, question: Question) -> tuple[str, ...] | None:
        """The records, if they are known and still hold."""
        until, records = self._kept.get(question, (0.0, None))
        return records if time.monotonic() < until else None

    def put(self, question: Question, records: tuple[str, ...], ttl: float) -> None:
        """Keep ``records`` for ``ttl`` seconds."""
        self._drop(question)
        self._kept[question] = (time.monotonic() + ttl, records)
        self._size += _size(question, records)
        while len(self._kept) > CACHE_ANSWERS or self._size > CACHE_CHARACTERS:
            self._drop(next(iter(self._kept)))

    def _drop(self, question: Question) -> None:
        if question in self._kept:
            self._size -= _size(question, self._kept.pop(question)[1])


class _Server(Do53Nameserver):
    """A name server whose answers over TCP are bounded; over UDP EDNS bounds them."""

    async def async_query(  # noqa: PLR0913, PLR0917 - the library's signature, here and below
        self,
        request: QueryMessage,
        timeout: float,  # noqa: ASYNC109
        source: str | None,
        source_port: int,
        max_size: bool,  # noqa: FBT001
        backend: Any,  # noqa: ANN401
        one_rr_per_rrset: bool = False,  # noqa: FBT001, FBT002
        ignore_trailing: bool = False,  # noqa: FBT001, FBT002
    ) -> Message:
        """Ask over UDP, or with ``max_size`` over TCP, for ``timeout`` seconds."""
        if not max_size:
            return await super().async_query(
                request, timeout, source, source_port, max_size, backend, one_rr_per_rrset, ignore_trailing
            )
        try:
            async with asyncio.timeout(timeout):
                return await self._over_tcp(request)
        except TimeoutError:
            raise dns.exception.Timeout from None  # to be asked again, unlike after an OSError

    async def _over_tcp(self, request: QueryMessage) -> Message:
        reader, writer = await asyncio.open_connection(self.address, self.port)
        try:
            writer.write(request.to_wire(prepend_length=True))
            size = int.from_bytes(await reader.readexactly(2), "big")
            if size > OCTETS_MAX:
                raise OSError(f"an answer of {size} octets, more than {OCTETS_MAX}")
            response = dns.message.from_wire(await reader.readexactly(size))
        finally:
            writer.close()
        if not request.is_response(response):
            raise dns.query.BadResponse
        return response


def _settled(answer: _Answer) -> Future[_Answer]:
    settled: Future[_Answer] = Future()
    settled.set_result(answer)
    return settled


def _size(question: Question, records: tuple[str, ...]) -> int:
    """Characters, with a hundred more for each text: what Python needs to hold it."""
    texts = (question.name, *records)
    return sum(map(len, texts)) + 100 * len(texts)


def _absolute(name: str) -> dns.name.Name | None:
    """``name`` up to the root and taken letter by letter; None when the DNS can't hold it."""
    try:
        return dns.name.Name([*(label.encode("ascii") for label in name.split(".")), b""])
    except (dns.exception.DNSException, UnicodeError):
        return None


def _stub(servers: Sequence[tuple[str, int]]) -> dns.asyncresolver.Resolver:
    """Who asks ``servers``, or those of the machine.

    Raises:
        _NoServer: the machine names none.
    """
    try:
        stub = dns.asyncresolver.Resolver(SYSTEM, configure=not servers)
    except (dns.exception.DNSException, ValueError, OSError) as error:
        raise _NoServer(f"{SYSTEM} names no server to ask ({error}): mend it, or set [dns] servers") from None
    known = servers or [(str(address), PORT) for address in stub.nameservers]
    stub.nameservers = [_Server(address, port) for address, port in known]
    stub.use_edns()
    return stub


async def _asked(stub: dns.asyncresolver.Resolver, name: dns.name.Name, kind: Kind) -> _Answer:
    """Ask until a server answers; what it raises says why there is no answer.

    There is no end to its patience: the caller's is what counts.
    """
    try:
        answer = await stub.resolve(name, kind, raise_on_no_answer=False, lifetime=math.inf)
    except dns.resolver.NXDOMAIN as missing:
        return _nothing(missing.kwargs["responses"][name].resolve_chaining())
    if answer.rrset is None:
        return _no_data(answer)
    return _found(answer.rrset, answer.chaining_result.minimum_ttl)


def _no_data(answer: dns.resolver.Answer) -> _Answer:
    """The name has no such record, unless we were sent elsewhere: RFC 2308, 2.2, tells the two apart."""
    kinds = {rrset.rdtype for rrset in answer.response.authority}
    if dns.rdatatype.NS in kinds and dns.rdatatype.SOA not in kinds:
        return _Answer(None, why="the server only names others, and asks none itself")
    return _nothing(answer.chaining_result)


def _nothing(chain: ChainingResult) -> _Answer:
    return _Answer((), min(max(chain.minimum_ttl, KEPT_LEAST), NOTHING_KEPT_MOST))


def _found(rrset: RRset, ttl: float) -> _Answer:
    records = tuple(_text(each) for each in sorted(rrset, key=_rank) if not _is_null(each))
    if len(records) > RECORDS_MAX or sum(map(len, records)) > OCTETS_MAX:
        return _Answer(None, why=f"more than {RECORDS_MAX} records or {OCTETS_MAX} octets")
    return _Answer(records, min(max(ttl, KEPT_LEAST), KEPT_MOST))


def _rank(record: Rdata) -> int:
    """Where it stands among its like: the lowest MX is the preferred one, all else stays as it came."""
    return record.preference if isinstance(record, MX) else 0


def _is_null(record: Rdata) -> bool:
    """Whether it says that a domain takes no mail (RFC 7505)."""
    return isinstance(record, MX) and record.exchange == dns.name.root


def _text(record: Rdata) -> str:
    """``record`` as Answers describes it."""
    match record:
        case TXT():
            return b"".join(record.strings).decode("latin-1")
        case MX():
            return record.exchange.to_text(omit_final_dot=True).lower()
        case A() | AAAA():
            return str(record.address)
    raise TypeError(f"a record that nobody asked for: {record.rdtype}")


def _why(error: Exception) -> str:
    """Why there is no answer, in words."""
    match error:
        case TimeoutError():
            return _LATE.why
        case dns.resolver.NoNameservers():
            return ", ".join(sorted({str(each[3]) for each in error.kwargs["errors"]} - {""}))
        case _NoServer():
            return str(error)
    return f"{type(error).__name__}: {error}"

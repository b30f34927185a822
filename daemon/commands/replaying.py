"""Held and rejected mail: read again by today's rules, or dropped."""

from __future__ import annotations

from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from daemon import database, wiring
from daemon.intake import judged
from daemon.jobs import FORGET
from daemon.ledger import Ledger
from daemon.logins import Logins
from daemon.mail import Envelope, Login, Slot, Unreadable
from daemon.outcome import Outcome, Verdict
from daemon.proving import Prover
from daemon.rates import Rates
from daemon.readers import Broken, Busy, Readers
from daemon.records import Judged
from daemon.storage import DamagedError
from daemon.text import printable
from daemon.trust import Judgement
from db import jobs, mails, parts, stories
from db.pool import open_pool

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from psycopg import Connection
    from psycopg_pool import ConnectionPool

    from daemon.settings import Settings
    from daemon.storage import Storage
    from db.stories import Arrival, Mail

#: Verdicts of mails that are kept and got nowhere.
SET_ASIDE = (Verdict.HELD, Verdict.REJECTED)


class ReplayError(Exception):
    """What was named can't be read again, or dropped; the text says why."""


def replay(settings: Settings, names: Sequence[str], *, dry_run: bool) -> bool:
    """Read mails again, all that are held if none is named, and print what becomes of each.

    Whether all of them are accepted by now, or would be.

    Raises:
        ReplayError: a name is not that of one mail that was set aside.
    """
    with _house(settings) as house:
        with house.pool.connection() as conn:
            found = [one(conn, name) for name in names] or stories.held(conn)
        if not found:
            click.echo("no mail is held")
        outcomes = [_replayed(house, mail, dry_run=dry_run) for mail in found]
    return all(outcome.verdict in (Verdict.ACCEPTED, Verdict.DUPLICATE) for outcome in outcomes)


def drop(conn: Connection[Any], name: str, why: str) -> None:
    """Note that nobody wants a mail that was set aside, and have its bytes removed.

    Raises:
        ReplayError: it isn't there to be dropped.
    """
    mail = one(conn, name)
    _drop(conn, mail, why)
    click.echo(f"{mail.id} is dropped; a daemon removes its bytes")


def one(conn: Connection[Any], name: str) -> Mail:
    """The mail that ``name`` names, which was set aside and still is; ReplayError when it is no such."""
    found = stories.of(conn, name, count=2)
    if len(found) != 1:
        named = "names several mails" if found else "names no mail"
        raise ReplayError(f"{printable(name)!r} {named}; specpost mails --verdict held lists those held")
    (mail,) = found
    if mail.verdict not in SET_ASIDE:
        raise ReplayError(f"mail {mail.id} was {mail.verdict}; only held and rejected ones are kept aside")
    if mail.superseded_by:
        raise ReplayError(f"mail {mail.id} was accepted by now, as {mail.superseded_by}")
    if mail.dropped_at:
        raise ReplayError(f"mail {mail.id} was dropped: {printable(mail.dropped_why or '-')}")
    return mail


@dataclass(frozen=True, slots=True)
class _House:
    """What it takes to read, judge and record a mail."""

    settings: Settings
    pool: ConnectionPool[Connection[Any]]
    storage: Storage
    readers: Readers
    prover: Prover
    ledger: Ledger


@contextmanager
def _house(settings: Settings) -> Iterator[_House]:
    with ExitStack() as stack:
        pool = stack.enter_context(open_pool(stack.enter_context(database.url(settings)), size=1))
        storage = stack.enter_context(closing(wiring.storage(settings)))
        defaults, resolver = wiring.defaults(settings), wiring.resolver(settings)
        readers = Readers(defaults, replace(wiring.reader_limits(settings), processes=1))
        prover = stack.enter_context(closing(Prover(readers, defaults, resolver, settings.dns.timeout)))
        resolver.start()
        stack.enter_context(closing(resolver))
        stack.enter_context(closing(readers))
        readers.start()
        ledger = Ledger(storage.put, pool, Rates(None), storage.prefix)
        yield _House(settings, pool, storage, readers, prover, ledger)


def _replayed(house: _House, mail: Mail, *, dry_run: bool) -> Outcome:
    with house.pool.connection() as conn:
        raw = next((part for part in parts.of_mail(conn, mail.id) if part.place == "raw"), None)
        came = stories.arrivals(conn, mail.id)[:1]
    if raw is None or not came:
        raise ReplayError(f"of mail {mail.id} only that it came was kept")
    try:
        envelope = _envelope(house.settings, mail, came[0], house.storage.get(raw.key, raw.sha256))
    except (FileNotFoundError, DamagedError) as lost:  # no reason to leave the others
        decided: Judged | Outcome = Outcome(Verdict.DEFERRED, reason=f"what was kept of it is lost: {lost}")
    else:
        decided = _judged(house, envelope)
    if isinstance(decided, Judged):
        again = replace(decided.envelope, source="replay", slot=None, received_at=datetime.now(UTC))
        decided = replace(decided, envelope=again)
        (outcome,) = house.ledger.rehearse([decided]) if dry_run else house.ledger.commit([decided])
    else:
        outcome = decided
    if outcome.verdict is Verdict.DUPLICATE and not dry_run:  # nothing will ever come of it
        with house.pool.connection() as conn:
            _drop(conn, mail, f"the same mail was accepted as {outcome.mail_id}")
    click.echo(f"{mail.id}  {mail.verdict} -> {_told(outcome, stays=mail.verdict)}")
    return outcome


def _envelope(settings: Settings, mail: Mail, came: Arrival, raw: bytes) -> Envelope:
    """The mail as it first came, so that it is judged as it would have been then, but by today's rules."""
    slot = None
    if came.account and came.folder and came.uidvalidity and came.uid:
        slot = Slot(came.account, came.folder, came.uidvalidity, came.uid, 0)
    return Envelope(
        raw=raw,
        source=mail.source,
        peer=came.peer or "",
        mail_from="" if slot else came.mail_from,
        rcpt_to=tuple(came.rcpt_to),
        received_at=came.received_at,
        login=_login(settings, came.login) if came.login else None,
        slot=slot,
    )


def _login(settings: Settings, name: str) -> Login | None:
    """Who had logged in then, with the addresses that are theirs today."""
    file = settings.smtp.logins_file
    return Logins.read(file).get(name) if file else None


def _judged(house: _House, envelope: Envelope) -> Judged | Outcome:
    """What would be recorded; an outcome when it can't be judged now."""
    try:
        reading = house.readers.read(envelope).result()
        judgement = house.prover.judge(envelope, reading).result()
    except (Unreadable, Broken) as broke:
        return Judged(envelope, Verdict.HELD, Judgement(), reason=str(broke))
    except Busy as trouble:
        return Outcome(Verdict.DEFERRED, reason=str(trouble))
    if judgement.later:
        return Outcome(Verdict.DEFERRED, reason=judgement.later)
    return judged(envelope, reading, judgement)


def _told(outcome: Outcome, stays: str) -> str:
    """What became of it, in words."""
    match outcome.verdict:
        case Verdict.ACCEPTED | Verdict.DUPLICATE:
            specs = ",".join(map(str, outcome.spec_ids))
            return f"{outcome.verdict}: spec={specs} mail={outcome.mail_id}"
        case Verdict.REJECTED:
            more = len(outcome.problems) - 1
            first = printable(str(outcome.problems[0]), 1000)
            return f"{outcome.verdict}: {first}" + (f" (+{more} more)" if more else "")
        case Verdict.HELD:
            return f"{outcome.verdict}: {printable(outcome.reason, 1000)}"
        case _:
            return f"{outcome.verdict}, so it stays {stays}: {printable(outcome.reason, 1000)}"


def _drop(conn: Connection[Any], mail: Mail, why: str) -> None:
    if mails.drop(conn, mail.id, why):
        jobs.enqueue(conn, FORGET, [mail.id])

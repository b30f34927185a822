"""What must hold once all is over: each mail that was told 250 is stored once, to the byte, and no other.

It asks the database and the folder of objects alone, and none of the
service's own code, so that it can't be wrong in the same way.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

from tests.faults.letters import SPRINTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    import psycopg

    from tests.faults.letters import Letter


@dataclass(frozen=True)
class Account:
    """What the outside knows: every mail that was ever sent, and the answers of those that were told 250.

    A mail that left a mailbox was told so without words. ``is_over`` says
    that no sender has any mail left; ``was_killed`` that the service had no
    chance to clear up, so that a folder aside may be left.
    """

    letters: Mapping[str, Letter]
    taken: Mapping[str, AbstractSet[str]]
    is_over: bool = True
    was_killed: bool = False


@dataclass
class Books:
    """All that is in the database, by the ids of mails and specs."""

    mails: list[tuple[str, str, str]]  # id, Message-ID, verdict
    parts: dict[str, list[tuple[str, str, int, str, str]]] = field(default_factory=dict)
    planned: dict[str, list[str]] = field(default_factory=dict)  # the specs of a mail, in their order
    specs: Counter[str] = field(default_factory=Counter)
    sprints: dict[str, list[str]] = field(default_factory=dict)
    events: Counter[tuple[str, str]] = field(default_factory=Counter)
    arrivals: Counter[tuple[str, str]] = field(default_factory=Counter)


def books(conn: psycopg.Connection[Any]) -> Books:
    """Read them; ``conn`` is the owner's."""
    parts, planned = defaultdict(list), defaultdict(list)
    query = (
        "select mail_id::text, place, coalesce(name, ''), size, sha256, key, spec_id::text from intake.parts"
    )
    for mail, place, name, size, sha256, key, spec in conn.execute(
        f"{query} order by 1, length(place), place"
    ):
        parts[mail].append((place, name, size, sha256, key))
        if place.startswith("plan-"):
            planned[mail].append(spec)
    labels = "select spec_id::text, array_agg(label order by created_at, id) from sprints group by 1"
    told = "select phase, metadata->>'spec_id', count(*) from status_events group by 1, 2"
    arrived = "select mail_id::text, verdict, count(*) from intake.arrivals group by 1, 2"
    return Books(
        conn.execute("select id::text, coalesce(message_id, ''), verdict from intake.mails").fetchall(),
        dict(parts),
        dict(planned),
        Counter(row[0] for row in conn.execute("select id::text from specs")),
        dict(conn.execute(labels).fetchall()),
        Counter({(phase, spec): count for phase, spec, count in conn.execute(told)}),
        Counter({(mail, verdict): count for mail, verdict, count in conn.execute(arrived)}),
    )


def audit(
    account: Account,
    conn: psycopg.Connection[Any],
    storage: Path,
    log: Iterable[str],
    allowed: AbstractSet[str] = frozenset(),
) -> list[str]:
    """All that is wrong, in words; ``allowed`` are events of the log that the fault brings about."""
    found = books(conn)
    return [
        *_fates(account, found),
        *chain.from_iterable(_kept(account, found, mail, key) for mail, key, _ in found.mails),
        *_nobodys(found),
        *_objects(account, found, storage),
        *_at_work(conn),
        *_said(log, allowed),
    ]


def _fates(account: Account, found: Books) -> Iterator[str]:
    """Each mail that was told 250 is here once, under the ids of its answer; nothing is that wasn't sent."""
    ids = defaultdict(list)
    for mail, key, verdict in found.mails:
        ids[key].append(mail)
        if key not in account.letters:
            yield f"never sent: {key} ({mail})"
        if verdict != "accepted":
            yield f"{verdict}: {key} ({mail})"
    for key in account.letters:
        if len(ids[key]) > 1:
            yield f"doubled: {key} is {ids[key]}"
        if account.is_over and key not in account.taken:
            yield f"unanswered: {key}"
    for key, answers in account.taken.items():
        if not ids[key]:
            yield f"lost: {key} was told {sorted(answers)}"
        elif answers - {_yes(found, ids[key][0])}:
            yield f"told otherwise: {key} is {_yes(found, ids[key][0])!r}, and was told {sorted(answers)}"


def _yes(found: Books, mail: str) -> str:
    """What a sender is told whose mail is here."""
    return f"2.0.0 spec={','.join(found.planned.get(mail, []))} mail={mail}"


def _kept(account: Account, found: Books, mail: str, key: str) -> Iterator[str]:
    """A mail that is here has all that belongs to it, and nothing twice."""
    letter = account.letters.get(key)
    if letter is None:
        return
    specs = found.planned.get(mail, [])
    if len(set(specs)) != letter.specs or len(specs) != letter.specs:
        yield f"specs: {key} has {letter.specs}, and not {specs}"
    for spec in specs:
        yield from _planned(found, key, spec)
    if found.arrivals[mail, "accepted"] != 1:
        yield f"arrivals: {key} was accepted {found.arrivals[mail, 'accepted']} times"
    kept = {name: sha256 for _, name, _, sha256, _ in found.parts.get(mail, [])}
    for name, content in letter.files.items():
        if kept.get(name) != hashlib.sha256(content).hexdigest():
            yield f"file: {key} has not {name} as it was sent"


def _planned(found: Books, key: str, spec: str) -> Iterator[str]:
    if found.specs[spec] != 1:
        yield f"spec: {key} has {found.specs[spec]} rows of {spec}"
    if found.sprints.get(spec) != SPRINTS:
        yield f"sprints: {key} has {found.sprints.get(spec)}"
    for phase in ("SPEC_RECEIVED", "PLANNING"):
        if found.events[phase, spec] != 1:
            yield f"events: {key} has {found.events[phase, spec]} of {phase}"


def _nobodys(found: Books) -> Iterator[str]:
    """Every spec, sprint and event belongs to a mail."""
    ours = {spec for specs in found.planned.values() for spec in specs}
    for what, ids in (
        ("spec", found.specs),
        ("sprints", found.sprints),
        ("event", [spec for _, spec in found.events]),
    ):
        yield from (f"nobody's {what}: {each}" for each in set(ids) - ours)


def _objects(account: Account, found: Books, storage: Path) -> Iterator[str]:
    """Every row's object is there to the byte, and no other object is, but what a kill left aside."""
    named = {}
    raws = {mail: account.letters[key].raw for mail, key, _ in found.mails if key in account.letters}
    for mail, parts in found.parts.items():
        for place, _, size, sha256, key in parts:
            named[key] = mail
            path = storage / key
            if not path.is_file():
                yield f"no object: {key}"
                continue
            content = path.read_bytes()
            if (len(content), hashlib.sha256(content).hexdigest()) != (size, sha256):
                yield f"wrong bytes: {key}"
            elif place == "raw" and content != raws.get(mail, content):
                yield f"not as it was sent: {key}"
        if "raw" not in {place for place, *_ in parts}:
            yield f"no message: {mail}"
    for path in storage.rglob("*"):
        if path.is_file() and str(key := path.relative_to(storage)) not in named:
            folder = key.parent.name
            of = folder.split(".")[1] if folder.startswith(".") else ""
            may_be = account.was_killed and of and (not account.is_over or of in found.parts)
            if not may_be:
                yield f"nobody's object: {key}"


def _at_work(conn: psycopg.Connection[Any]) -> Iterator[str]:
    """With no service there, nothing is in anybody's hands."""
    for (account,) in conn.execute("select account from intake.mailboxes where leased_until > now()"):
        yield f"leased: {account}"
    query = (
        "select account, unfinished, alone_uid from intake.folders where unfinished <> '{}' or alone_uid > 0"
    )
    for account, unfinished, alone in conn.execute(query):
        yield f"unfinished: {account} {unfinished} {alone}"


def _said(log: Iterable[str], allowed: AbstractSet[str]) -> Iterator[str]:
    """Nothing happened in the service that nobody foresaw."""
    for line in log:
        if not line.startswith("{") or json.loads(line)["event"] in {"internal error"} - allowed:
            yield f"log: {line}"

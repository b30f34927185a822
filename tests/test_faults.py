"""The fault lab's own parts: an audit that could not fail would prove nothing."""

from __future__ import annotations

import hashlib
import re
import shutil
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest

from daemon.mail import Addresses
from daemon.reading import Defaults
from daemon.settings import DefaultDod
from daemon.sources.answers import answer
from daemon.spec.target import Hint
from tests.faults.audit import Account, audit
from tests.faults.letters import letters
from tests.fix_database import new_database
from tests.fix_house import US, new_house, new_readers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import psycopg

    from db.embedded import Server
    from tests.fix_database import Database


@dataclass(frozen=True)
class Taken:
    """Mails that were taken as they should be, and the answers to them."""

    database: Database
    storage: Path
    account: Account


@pytest.fixture(scope="module")
def taken(
    postgres: Server, migrated: Callable[[Server], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Taken]:
    """Four mails, with one and two specifications, with attachments and without."""
    storage = tmp_path_factory.mktemp("taken")
    anybody = Defaults(Addresses.of([US]), Hint(None, "main"), DefaultDod())
    mails = list(islice(letters("taken"), 4))
    with (
        new_database(postgres, migrated(postgres)) as database,
        new_readers(defaults=anybody) as readers,
        new_house(readers, database, storage) as house,
    ):
        yes = {letter.key: {answer(house.take(letter.raw)).removeprefix("250 ")} for letter in mails}
        yield Taken(database, storage, Account({letter.key: letter for letter in mails}, yes))


class Audited:
    """What was taken, to be spoilt, and the audit of it."""

    def __init__(self, account: Account, conn: psycopg.Connection[Any], storage: Path) -> None:
        self.account, self.conn, self.storage, self.log = account, conn, storage, list[str]()

    def finds(self) -> list[str]:
        """What kinds of things are wrong, each once."""
        found = audit(self.account, self.conn, self.storage, self.log)
        return sorted({each.partition(":")[0] for each in found})

    def do(self, statement: str) -> None:
        """Have something done to the database behind the service's back."""
        assert self.conn.execute(statement.encode()).rowcount

    def an_object(self, kind: str) -> Path:
        """One of the files that are stored."""
        return next(path for path in sorted(self.storage.rglob("*")) if re.search(kind, path.name))

    def account_for(self, **changes: Any) -> None:
        """Have the outside know otherwise."""
        self.account = replace(self.account, **changes)


@pytest.fixture
def audited(taken: Taken, tmp_path: Path) -> Iterator[Audited]:
    """All of it as it was, whatever other tests did."""
    shutil.copytree(taken.storage, tmp_path / "storage")
    with taken.database.connect("owner") as conn:
        yield Audited(taken.account, conn, tmp_path / "storage")
        conn.rollback()


def double(table: str) -> str:
    """Every row once more under other ids, as if the work were done twice."""
    columns = {"specs": "repo, branch, storage_path", "sprints": "spec_id, label, dod_json"}
    columns["status_events"] = "phase, message, metadata"
    return f"insert into {table} ({columns[table]}) select {columns[table]} from {table}"


DOUBLED_MAIL = """
insert into intake.mails (id, raw_id, source, message_id, size, verdict, received_at)
select gen_random_uuid(), raw_id, source, message_id, size, verdict, received_at from intake.mails limit 1
"""


def test_where_all_is_well_nothing_is_found(audited: Audited) -> None:
    """Else nothing that it finds would mean anything."""
    assert audited.finds() == []


@pytest.mark.parametrize(
    ("done", "found"),
    [
        (lambda it: it.do(DOUBLED_MAIL), "doubled"),
        (lambda it: it.do(double("specs")), "nobody's spec"),
        (lambda it: it.do(double("sprints")), "sprints"),
        (lambda it: it.do(double("status_events")), "events"),
        (lambda it: it.do("insert into status_events (phase) values ('FAILED')"), "nobody's event"),
        (lambda it: it.do("update intake.arrivals set verdict = 'duplicate'"), "arrivals"),
        (lambda it: it.do("update intake.mails set verdict = 'held'"), "held"),
        (lambda it: it.do("delete from intake.mails"), "lost"),
        (lambda it: it.do("delete from specs"), "spec"),
        (lambda it: it.do("delete from sprints where label = 'S2'"), "sprints"),
        (lambda it: it.do("delete from status_events where phase = 'PLANNING'"), "events"),
        (lambda it: it.do("delete from intake.parts where name like '%.bin'"), "file"),
        (lambda it: it.do("delete from intake.parts where place = 'raw'"), "no message"),
        (lambda it: it.do("delete from intake.parts where place = 'plan-1'"), "specs"),
        (lambda it: it.an_object("raw.eml").unlink(), "no object"),
        (lambda it: it.an_object("plan-1").write_bytes(b"x"), "wrong bytes"),
        (lambda it: it.an_object("raw.eml").with_name("more").write_bytes(b"x"), "nobody's object"),
        (lambda it: it.log.append('{"event": "internal error"}'), "log"),
        (lambda it: it.log.append("Traceback (most recent call last):"), "log"),
        (lambda it: it.account_for(letters=dict(list(it.account.letters.items())[1:])), "never sent"),
        (lambda it: it.account_for(taken=dict(list(it.account.taken.items())[1:])), "unanswered"),
    ],
)
def test_what_is_wrong_is_found(audited: Audited, done: Callable[[Audited], None], found: str) -> None:
    """A lost mail, a doubled row, a missing object, a wrong byte, work without a mail."""
    done(audited)

    assert found in audited.finds()


def test_a_changed_byte_is_found_though_its_row_agrees(audited: Audited) -> None:
    """What was stored is held against what was sent, and not only against what the service noted."""
    path = audited.an_object("raw.eml")
    path.write_bytes(path.read_bytes().replace(b"Please", b"please"))
    agreed = hashlib.sha256(path.read_bytes()).hexdigest()
    audited.do(
        f"update intake.parts set sha256 = '{agreed}' where key = '{path.relative_to(audited.storage)}'"
    )

    assert audited.finds() == ["not as it was sent"]


def test_another_answer_than_the_rows_is_found(audited: Audited) -> None:
    """A repetition must be told the ids of the first."""
    (key, *_) = audited.account.taken
    audited.account_for(taken=audited.account.taken | {key: audited.account.taken[key] | {"2.0.0 received"}})

    assert audited.finds() == ["told otherwise"]


@pytest.mark.parametrize("was_killed", [False, True])
def test_a_folder_aside_is_left_only_by_a_kill(audited: Audited, *, was_killed: bool) -> None:
    """And only for a mail that somebody sent."""
    aside = audited.an_object("raw.eml").parent
    aside = aside.with_name(f".{aside.name}.00")
    aside.mkdir()
    (aside / "raw.eml").write_bytes(b"half")
    audited.account_for(was_killed=was_killed)

    assert audited.finds() == ([] if was_killed else ["nobody's object"])


@pytest.mark.parametrize("was_killed", [False, True])
def test_nothing_is_left_aside_of_a_mail_that_nobody_sent(audited: Audited, *, was_killed: bool) -> None:
    """Once all is over, each mail that was begun with has been taken."""
    aside = audited.storage / "mails" / "00" / ".00000000-0000-5000-8000-000000000000.00"
    aside.mkdir(parents=True)
    (aside / "raw.eml").write_bytes(b"half")
    audited.account_for(was_killed=was_killed)

    assert audited.finds() == ["nobody's object"]


LEASE = """
insert into intake.mailboxes (account, owner, leased_until)
values ('specs', 'me', now() + interval '1 minute')
"""
UNFINISHED = """
insert into intake.folders (account, folder, uidvalidity, first_uid, unfinished)
values ('specs', 'INBOX', 1, 1, '{7}')
"""


@pytest.mark.parametrize(("left", "found"), [(LEASE, "leased"), (UNFINISHED, "unfinished")])
def test_what_is_still_in_somebodys_hands_is_found(audited: Audited, left: str, found: str) -> None:
    """Nothing is stuck that no service works at."""
    audited.do(left)

    assert audited.finds() == [found]

"""Who watches which mailbox, and what of it is done: kept in the database, for any number of daemons."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from daemon import mailboxes
from daemon.mail import Slot
from daemon.mailboxes import SKEW, Contact, Leases, Numbering, Outage, Owner, Register
from daemon.outcome import Verdict
from db import folders
from db import mailboxes as table
from db.pool import open_pool
from tests.fix_daemon import REPO
from tests.fix_house import PATIENCE
from tests.fix_imap import a_letter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from psycopg import Connection
    from psycopg_pool import ConnectionPool

    from tests.fix_database import Database
    from tests.fix_house import House
    from tests.fix_imap import Rows

INBOX = Numbering("specs", "INBOX", 1)
ANEW = INBOX._replace(uidvalidity=2)
NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)

#: A process that is an owner until it is killed.
LIVES = """
import sys, pathlib
from daemon.mailboxes import Owner
owner = Owner(pathlib.Path(sys.argv[1]))
print(owner.name, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def pool(database: Database) -> Iterator[ConnectionPool[Connection[Any]]]:
    """Connections as the daemon has them."""
    with open_pool(database.url, size=2) as made:
        yield made


@pytest.fixture
def register(pool: ConnectionPool[Connection[Any]]) -> Register:
    """The register on the test's database."""
    return Register(pool)


@pytest.fixture
def owners(tmp_path: Path) -> Iterator[Callable[[], Owner]]:
    """Makes owners on this machine."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(closing(Owner(tmp_path / "owners")))


@contextmanager
def process(folder: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """An owner in a process of its own, and its name."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-c", LIVES, str(folder)]
    with subprocess.Popen(
        command, cwd=REPO, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as made:
        assert made.stdout
        try:
            yield made.stdout.readline().strip(), made
        finally:
            made.kill()


def test_who_is_dead_is_seen_by_its_mark(tmp_path: Path, owners: Callable[[], Owner]) -> None:
    """However it died, and never while it lives: else two would watch at a time."""
    owner = owners()
    other = owners()
    with process(tmp_path / "owners") as (name, lives):
        assert owner.gone() == other.gone() == []
        lives.kill()
        lives.wait(PATIENCE)

        assert owner.gone() == [name]


def test_names_are_no_two_owners(owners: Callable[[], Owner]) -> None:
    """Not in one process, nor when a pid comes again."""
    assert owners().name != owners().name


def test_who_ended_in_order_leaves_no_mark(tmp_path: Path, owners: Callable[[], Owner]) -> None:
    """Its leases are given back by then."""
    owner = owners()
    Owner(tmp_path / "owners").close()

    assert owner.gone() == []
    assert [path.read_text() for path in (tmp_path / "owners").iterdir()] == [owner.name]


def test_marks_of_the_long_dead_are_cleared_away(tmp_path: Path, owners: Callable[[], Owner]) -> None:
    """They are named once more; those of the living stay, however old."""
    owner = owners()
    (tmp_path / "owners" / "old").write_text("somebody")
    for path in (tmp_path / "owners").iterdir():
        os.utime(path, (0, 0))

    assert owner.gone() == ["somebody"]
    assert owner.gone() == []
    assert [path.read_text() for path in (tmp_path / "owners").iterdir()] == [owner.name]


@pytest.fixture
def _brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases of a moment, renewed at once."""
    for name, seconds in {"LEASE": 0.5, "RENEW": 0.02, "MARGIN": 0.1, "DATABASE_TIMEOUT": 0.1}.items():
        monkeypatch.setattr(mailboxes, name, seconds)


@pytest.fixture
def hold(
    pool: ConnectionPool[Connection[Any]], owners: Callable[[], Owner]
) -> Iterator[Callable[..., tuple[Leases, list[str]]]]:
    """Begins to hold leases, each time as another owner; also the accounts whose lease came or went."""
    with ExitStack() as stack:

        def begin(*accounts: str, owner: Owner | None = None) -> tuple[Leases, list[str]]:
            changed: list[str] = []
            leases = Leases(pool, owner or owners(), accounts, changed.append)
            stack.callback(leases.close)
            leases.start()
            return leases, changed

        yield begin


def await_(happened: Callable[[], object]) -> None:
    """Return when it has."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def owner_of(rows: Rows, account: str = "specs") -> str:
    """Who has a mailbox."""
    ((owner,),) = rows.of(f"select owner from intake.mailboxes where account = '{account}'")
    return str(owner)


@pytest.mark.usefixtures("_brief")
def test_leases_are_taken_and_held(hold: Callable[..., Any], rows: Rows) -> None:
    """Beyond their length, with one call for each; what is told of a mailbox can be read by all."""
    leases, changed = hold("one", "two")
    await_(lambda: len(changed) == 2)
    leases.tell("two", "waiting for mail", time.monotonic())
    await_(lambda: rows.of("select from intake.mailboxes where state = 'waiting for mail'"))
    ((ends,),) = rows.of("select max(leased_until) from intake.mailboxes")
    await_(lambda: rows.of(f"select from intake.mailboxes where clock_timestamp() > '{ends}'"))

    assert (leases.epoch("one"), leases.epoch("two"), leases.alive()) == (1, 1, True)
    assert changed == ["one", "two"]
    assert rows.of("select account from intake.mailboxes where looked_at is not null") == [("two",)]


@pytest.mark.usefixtures("_brief")
def test_who_stands_by_gets_what_is_given_back(
    hold: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not a moment earlier, and however long the lease would have run."""
    monkeypatch.setattr(mailboxes, "LEASE", 3600.0)
    first, changed = hold("specs")
    await_(lambda: changed)
    second, waiting = hold("specs")
    await_(lambda: second.standing("specs") == "standing by, another daemon watches it")
    assert second.epoch("specs") is None

    first.close()

    await_(lambda: waiting)
    assert second.epoch("specs") == 2
    assert first.epoch("specs") is None
    assert not first.alive()


@pytest.mark.usefixtures("_brief")
def test_a_lease_that_was_lost_is_noticed(hold: Callable[..., Any], rows: Rows) -> None:
    """Somebody took over: that is told, and what is theirs is left alone."""
    leases, changed = hold("specs")
    await_(lambda: changed)
    rows.of(
        "update intake.mailboxes set owner = 'another', epoch = 7, leased_until = now() + '1 h' returning 1"
    )

    await_(lambda: len(changed) == 2)

    assert leases.epoch("specs") is None
    leases.close()
    assert owner_of(rows) == "another"
    assert rows.of("select leased_until > now() + '30 min' from intake.mailboxes") == [(True,)]


@pytest.mark.usefixtures("_brief")
def test_an_owner_paused_in_a_transaction_holds_up_no_other_mailbox(
    hold: Callable[..., Any], database: Database
) -> None:
    """Its own can't be taken over until that ends; who stands by knows why, and holds what it has."""
    with database.connect("daemon") as paused:
        epoch = table.take(paused, "one", "another", 3600)
        paused.commit()
        assert table.leased(paused, {"one"}) == {("one", epoch)}

        leases, _ = hold("one", "two")
        await_(lambda: leases.standing("one") == "standing by, another daemon is in the middle of a mail")
        await_(lambda: leases.epoch("two"))

    await_(lambda: leases.standing("one") == "standing by, another daemon watches it")


def test_after_a_kill_nobody_waits_for_the_lease(
    hold: Callable[..., Any], rows: Rows, tmp_path: Path
) -> None:
    """The next daemon on the machine sees that the one before is dead."""
    with process(tmp_path / "owners") as (name, lives):
        rows.of(
            "insert into intake.mailboxes (account, owner, leased_until)"
            f" values ('specs', '{name}', now() + '1 h') returning 1"
        )
        lives.kill()
        lives.wait(PATIENCE)

    leases, changed = hold("specs")

    await_(lambda: changed)
    assert leases.epoch("specs") == 2
    assert owner_of(rows) != name


@contextmanager
def away(database: Database) -> Iterator[None]:
    """The database can't be reached."""
    with database.server_admin() as admin:
        admin.execute(f"alter database {database.name} with allow_connections false".encode())
        admin.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [database.name]
        )
        try:
            yield
        finally:
            admin.execute(f"alter database {database.name} with allow_connections true".encode())


@pytest.mark.usefixtures("_brief")
def test_without_the_database_a_lease_is_not_relied_upon(
    hold: Callable[..., Any], database: Database
) -> None:
    """It ends here before it ends there; when the database is back, so is the lease."""
    leases, changed = hold("specs")
    await_(lambda: changed)

    with away(database):
        await_(lambda: leases.epoch("specs") is None)
        await_(lambda: leases.standing("specs") == "standing by, the database is down")
        assert leases.alive()

    await_(lambda: leases.epoch("specs"))


@pytest.mark.usefixtures("_brief")
def test_without_the_database_it_ends_all_the_same(hold: Callable[..., Any], database: Database) -> None:
    """What can't be given back runs out by itself."""
    leases, changed = hold("specs")
    await_(lambda: changed)

    with away(database):
        leases.close()

    assert not leases.alive()


@pytest.mark.parametrize(("take_existing", "first_uid"), [(False, 42), (True, 1)])
def test_the_first_contact_decides_what_is_ours(
    register: Register, *, take_existing: bool, first_uid: int
) -> None:
    """What comes from now on, or all there is."""
    met = register.contact(INBOX, 42, take_existing=take_existing)

    assert met == Contact(first_uid, None, is_first=True, is_new=True)


def test_what_was_decided_stays(register: Register) -> None:
    """Whatever the configuration says later; what was being read is told once more."""
    register.contact(INBOX, 42, take_existing=False)
    register.begin(INBOX, [50, 51])

    assert register.contact(INBOX, 99, take_existing=True) == Contact(42, None, (50, 51))
    assert register.contact(INBOX, 99, take_existing=True).finished() == Contact(42, None)


@pytest.mark.parametrize("take_existing", [False, True])
def test_under_new_numbers_dates_tell_what_is_ours(
    register: Register, database: Database, *, take_existing: bool
) -> None:
    """All that was received since the first contact, and a little before it, as clocks differ."""
    register.contact(INBOX, 42, take_existing=take_existing)
    with database.connect("daemon") as conn:
        first = folders.first_contact(conn, "specs", "INBOX")
    assert first

    since = None if take_existing else first - SKEW
    assert register.contact(ANEW, 99, take_existing=take_existing) == Contact(1, since, is_new=True)
    assert register.contact(ANEW, 99, take_existing=take_existing) == Contact(1, since)


def test_each_folder_is_met_for_itself(register: Register) -> None:
    """And so is the same one of another account."""
    register.contact(INBOX, 42, take_existing=False)

    for other in (INBOX._replace(folder="Specs"), INBOX._replace(account="plans")):
        assert register.contact(other, 7, take_existing=False) == Contact(7, None, is_first=True, is_new=True)


@pytest.fixture
def lease(database: Database) -> int:
    """The epoch of a lease on specs that runs."""
    with database.connect() as conn:
        conn.execute(
            "insert into intake.mailboxes (account, owner, epoch, leased_until)"
            " values ('specs', 'us', 7, now() + interval '1 hour')"
        )
    return 7


def test_what_is_settled_is_known_with_its_reason(register: Register, lease: int, rows: Rows) -> None:
    """Under this numbering; None is for what never was ours."""
    for uid, verdict in ((1, Verdict.HELD), (2, Verdict.IGNORED)):
        register.settle(Slot(*INBOX, uid, lease), verdict, f"reason {uid}", NOW)

    assert register.known(INBOX, [1, 2, 3]) == {1: Verdict.HELD, 2: None}
    assert register.known(INBOX, [3]) == register.known(ANEW, [1, 2]) == register.known(INBOX, []) == {}
    assert rows.of("select uid, reason, mail_id, received_at from intake.arrivals order by uid") == [
        (1, "reason 1", None, NOW),
        (2, "reason 2", None, NOW),
    ]


def test_a_bounce_is_ours_though_it_is_ignored(register: Register, lease: int, house: House) -> None:
    """Somebody has its mail, so its verdict is known, and where it goes."""
    raw = a_letter(1, Auto_Submitted="auto-replied")
    house.take(raw, source="imap", slot=Slot(*INBOX, 1, lease))

    assert register.known(INBOX, [1]) == {1: Verdict.IGNORED}


@pytest.mark.parametrize(("account", "epoch"), [("specs", 6), ("specs", 8), ("specs", 0), ("plans", 7)])
@pytest.mark.usefixtures("lease")
def test_without_the_lease_nothing_is_settled(register: Register, account: str, epoch: int) -> None:
    """Whoever has it by now decides; also of a mailbox that nobody has."""
    numbering = INBOX._replace(account=account)

    register.settle(Slot(*numbering, 1, epoch), Verdict.HELD, "late", NOW)

    assert register.known(numbering, [1]) == {}


def test_a_slot_is_settled_once(register: Register, lease: int) -> None:
    """What was found in it first stays."""
    register.settle(Slot(*INBOX, 1, lease), Verdict.HELD, "first", NOW)
    register.settle(Slot(*INBOX, 1, lease), Verdict.IGNORED, "second", NOW)

    assert register.known(INBOX, [1]) == {1: Verdict.HELD}


def test_who_reads_alone_knows_how_often_that_was_begun(register: Register) -> None:
    """Each beginning is kept at once, for it may be the last that the service does."""
    register.contact(INBOX, 1, take_existing=True)
    register.begin(INBOX, [5, 6])

    assert [register.alone(INBOX, 5), register.alone(INBOX, 5), register.alone(INBOX, 6)] == [1, 2, 1]
    register.begin(INBOX, [])
    assert register.alone(INBOX, 6) == 1
    assert register.contact(INBOX, 1, take_existing=True).unfinished == ()


#: Everything that the register is asked.
QUESTIONS: list[Callable[[Register], object]] = [
    lambda register: register.contact(INBOX, 1, take_existing=True),
    lambda register: register.known(INBOX, [1]),
    lambda register: register.begin(INBOX, [1]),
    lambda register: register.alone(INBOX, 1),
    lambda register: register.settle(Slot(*INBOX, 1, 1), Verdict.HELD, "", NOW),
]


@pytest.mark.usefixtures("_brief")
def test_a_database_that_is_away_is_an_outage(register: Register, database: Database) -> None:
    """In one word for all that can be wrong with it, at each question."""
    with away(database):
        for question in QUESTIONS:
            with pytest.raises(Outage, match=r"^the database: \w+: "):
                question(register)

"""PostgreSQL stops, dies, takes no writing, takes nobody in, or breaks transactions off."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from typing import TYPE_CHECKING

import psycopg
import pytest

if TYPE_CHECKING:
    from tests.faults.lab import NewLab
    from tests.faults.server import OwnServer
    from tests.fix_database import Database
    from tests.fix_dovecot import Box

pytestmark = pytest.mark.faults


@pytest.mark.parametrize("how", [signal.SIGQUIT, signal.SIGKILL], ids=["immediate", "-9"])
def test_a_dead_server(
    how: signal.Signals, lab: NewLab, own_server: OwnServer, own_database: Database, box: Box
) -> None:
    """A PostgreSQL that is stopped at once or killed defers mails until it is back, and no longer."""
    with lab(own_database, box=box) as running:
        running.sender.keep_busy()
        for _ in range(3):
            running.mail(running.take(50))
            running.sender.await_taken(10)
            own_server.end(how)
            running.sender.await_answer(451)
            own_server.start()
            running.sender.await_taken(10)
        running.settle()

        assert running.unit.ends == [0]
        assert running.events()["database up"] == 3


def test_a_server_that_only_reads(lab: NewLab, own_database: Database, box: Box) -> None:
    """A PostgreSQL that takes no writing defers mails until it does."""
    with lab(own_database, box=box) as running, own_database.server_admin() as admin:
        running.sender.keep_busy()
        running.sender.await_taken(10)
        admin.execute("alter system set default_transaction_read_only = on")
        admin.execute("select pg_reload_conf()")
        try:
            running.mail(running.take(50))
            running.sender.await_answer(451)
            running.await_logged('"state":"recording is down', 4)  # by then a lease was to be renewed, too
        finally:
            admin.execute("set default_transaction_read_only = off")
            admin.execute("alter system reset default_transaction_read_only")
            admin.execute("select pg_reload_conf()")
        running.sender.await_taken(10)
        running.settle()

        assert running.unit.ends == [0]
        assert running.events()["database up"] > 0


def test_a_full_server(lab: NewLab, own_database: Database, box: Box) -> None:
    """A PostgreSQL whose connections are all taken by others defers mails until some are free."""
    with lab(own_database, box=box) as running, own_database.server_admin() as admin, ExitStack() as others:
        running.sender.keep_busy()
        running.sender.await_taken(10)
        take_all(own_database, admin, others)
        running.mail(running.take(50))
        running.sender.await_answer(451)
        others.close()
        running.sender.await_taken(10)
        running.settle()

        assert running.unit.ends == [0]
        assert running.events()["database up"] > 0


def take_all(database: Database, admin: psycopg.Connection, others: ExitStack) -> None:
    """Take every connection that a plain role may have, the service's own among them."""
    mine = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'specpost'"
    while True:
        try:
            others.enter_context(psycopg.connect(database.url))
        except psycopg.OperationalError:
            break
        admin.execute(mine)


#: Fails one insertion in five, with what PostgreSQL says when transactions are in each other's way.
IN_THE_WAY = """
create function public.in_the_way() returns trigger language plpgsql as $$
begin
  if random() < 0.2 then
    raise exception 'in the way' using errcode = '{code}';
  end if;
  return new;
end $$;
create trigger in_the_way before insert on {table} for each row execute function public.in_the_way();
grant execute on function public.in_the_way() to public;
"""


@pytest.mark.parametrize("table", ["intake.mails", "public.status_events"])
@pytest.mark.parametrize("code", ["40001", "40P01"], ids=["serialization", "deadlock"])
def test_transactions_in_the_way(
    code: str, table: str, lab: NewLab, own_database: Database, box: Box
) -> None:
    """Transactions that PostgreSQL breaks off now and then, as after a deadlock, are repeated or deferred."""
    with own_database.connect("owner", autocommit=True) as owner:
        owner.execute(IN_THE_WAY.format(code=code, table=table).encode())
    with lab(own_database) as running:
        running.sender.keep_busy()
        running.sender.await_taken(100)
        with own_database.connect("owner", autocommit=True) as owner:
            owner.execute("drop function public.in_the_way() cascade")
        running.settle()

        assert running.unit.ends == [0]
        assert running.events()["batch failed"] > 0

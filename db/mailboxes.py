"""``intake.mailboxes``: who watches which mailbox, by a lease that the database's clock ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg.rows import class_row

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from psycopg import Connection


@dataclass(frozen=True, slots=True)
class Watched:
    """Who watches a mailbox, whether their lease still runs, and how the mailbox fares."""

    account: str
    owner: str
    leased: bool
    state: str
    looked_at: datetime | None


# Whoever was paused in the middle of a transaction has its lease's row locked for as long.
BRIEFLY = "select set_config('lock_timeout', '1s', true)"

TAKE = """
insert into intake.mailboxes as m (account, owner, leased_until)
values (%(account)s, %(owner)s, clock_timestamp() + make_interval(secs => %(seconds)s))
on conflict (account) do update
  set owner = excluded.owner, epoch = m.epoch + 1, leased_until = excluded.leased_until
  where m.leased_until < clock_timestamp() or m.owner = any(%(gone)s)
returning epoch
"""

RENEW = """
update intake.mailboxes
set leased_until = clock_timestamp() + make_interval(secs => %(seconds)s), state = %(state)s,
  looked_at = coalesce(clock_timestamp() - make_interval(secs => %(ago)s), looked_at)
where account = %(account)s and owner = %(owner)s and epoch = %(epoch)s
"""

RELEASE = """
update intake.mailboxes
set leased_until = clock_timestamp(), state = 'released',
  looked_at = coalesce(clock_timestamp() - make_interval(secs => %(ago)s), looked_at)
where account = %(account)s and owner = %(owner)s and epoch = %(epoch)s
"""

LEASED = """
select account, epoch from intake.mailboxes
where account = any(%s) and leased_until > clock_timestamp()
order by account
for share
"""

WATCHED = """
select account, owner, leased_until > clock_timestamp() as leased, state, looked_at
from intake.mailboxes where account = %s
"""


def take(
    conn: Connection, account: str, owner: str, seconds: float, gone: Collection[str] = ()
) -> int | None:
    """Take the lease for ``seconds`` if nobody has it; its epoch, else None.

    ``gone`` are owners that are known to be dead, whose leases need not run
    out.

    Raises:
        LockNotAvailable: within a transaction, when its owner is in the middle of one for over a second.
    """
    given = {"account": account, "owner": owner, "seconds": seconds, "gone": list(gone)}
    conn.execute(BRIEFLY)
    row = conn.execute(TAKE, given).fetchone()
    return row[0] if row else None


def renew(  # noqa: PLR0913 - what is written
    conn: Connection, account: str, owner: str, epoch: int, seconds: float, *, state: str, ago: float | None
) -> bool:
    """Hold the lease for ``seconds`` more; False when somebody else has it.

    ``ago`` is how many seconds have passed since the mailbox was looked
    through, None when it never was.
    """
    given = {
        "account": account,
        "owner": owner,
        "epoch": epoch,
        "seconds": seconds,
        "state": state,
        "ago": ago,
    }
    return conn.execute(RENEW, given).rowcount == 1


def release(conn: Connection, account: str, owner: str, epoch: int, ago: float | None = None) -> None:
    """Let somebody else have it at once; ``ago`` as of ``renew``."""
    conn.execute(RELEASE, {"account": account, "owner": owner, "epoch": epoch, "ago": ago})


def leased(conn: Connection, accounts: Collection[str]) -> set[tuple[str, int]]:
    """The leases that run, as account and epoch; until the transaction ends nobody can take them over."""
    return set(conn.execute(LEASED, [list(accounts)]).fetchall()) if accounts else set()


def watched(conn: Connection, account: str) -> Watched | None:
    """Who watches a mailbox; None when nobody ever did."""
    with conn.cursor(row_factory=class_row(Watched)) as cursor:
        return cursor.execute(WATCHED, [account]).fetchone()

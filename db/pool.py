"""Connections to PostgreSQL: where to, how safely, and whether as the right role."""

from __future__ import annotations

import math
import os
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode
from weakref import WeakKeyDictionary

import psycopg
from psycopg import conninfo, pq
from psycopg_pool import ConnectionPool

if TYPE_CHECKING:
    from collections.abc import Mapping

    from psycopg import Connection

#: The group role that holds the daemon's rights; its logins are members of it.
GROUP = "specpost_daemon"

#: The same for CI, and for who removes what is old.
CI_GROUP, CLEANUP_GROUP = "ci_runner", "specpost_cleanup"

NOT_A_MEMBER = f"not a member of {GROUP}"

#: What is raised where there is no database to be had, or one that takes no writing: a standby, or one whose
#: keeper fears for its disk. It passes, and is no fault of what was to be written.
AWAY = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.errors.ReadOnlySqlTransaction)

#: Seconds for which a connection that was found alive is taken for alive.
CHECK_EVERY = 1.0

_LOCAL_HOSTS = {"", "localhost", "127.0.0.1", "::1"}

#: What the URL may overrule. A peer that vanished without a word is noticed within half a minute, not
#: after the system's quarter of an hour, for which a commit would keep every sender waiting.
_DEFAULTS = {
    "application_name": "specpost",
    "connect_timeout": "10",
    "keepalives_idle": "15",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}

_ROLES = """
select rolname, rolsuper, rolbypassrls, rolcreaterole
from pg_catalog.pg_roles
where pg_catalog.pg_has_role(%(role)s::pg_catalog.name, oid, 'MEMBER')
order by rolname <> %(role)s, rolname
"""

_OWNERS = """
select r.rolname, (pg_catalog.array_agg(pg_catalog.format('%%I.%%I', n.nspname, c.relname) order by c.oid))[1]
from pg_catalog.pg_class as c
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
join pg_catalog.pg_roles as r on r.oid = c.relowner
where n.nspname in ('public', 'intake') and c.relkind = 'r'
  and pg_catalog.pg_has_role(%(role)s::pg_catalog.name, c.relowner, 'MEMBER')
group by r.rolname
order by r.rolname <> %(role)s, r.rolname
"""

_EXCESS = """
(
  select pg_catalog.format('may %%s %%I.%%I', might, n.nspname, c.relname)
  from pg_catalog.pg_class as c
  join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
  cross join pg_catalog.unnest(array['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) as might
  where c.relkind = 'r' and n.nspname in ('public', 'intake')
    and not case
      when %(adds)s then might = 'INSERT' or might = 'UPDATE' and n.nspname = 'intake'
      when might in ('INSERT', 'UPDATE')
        then pg_catalog.has_any_column_privilege(%(group)s::pg_catalog.name, c.oid, might)
      else pg_catalog.has_table_privilege(%(group)s::pg_catalog.name, c.oid, might)
    end
    and case when might in ('INSERT', 'UPDATE')
      then pg_catalog.has_any_column_privilege(%(role)s::pg_catalog.name, c.oid, might)
      else pg_catalog.has_table_privilege(%(role)s::pg_catalog.name, c.oid, might)
    end
  order by c.oid, might desc
  limit 1
)
union all
(
  select pg_catalog.format('may call %%I.%%I', n.nspname, p.proname)
  from pg_catalog.pg_proc as p
  join pg_catalog.pg_namespace as n on n.oid = p.pronamespace
  where n.nspname in ('public', 'intake')
    and pg_catalog.has_function_privilege(%(role)s::pg_catalog.name, p.oid, 'EXECUTE')
    and not exists (
      select from pg_catalog.pg_roles
      where rolname = %(group)s and pg_catalog.has_function_privilege(oid, p.oid, 'EXECUTE')
    )
  order by p.oid
  limit 1
)
limit 1
"""

_MEMBER = """
select exists (
  select from pg_catalog.pg_roles
  where rolname = %(group)s and pg_catalog.pg_has_role(session_user, oid, 'USAGE')
)
"""


class UrlError(ValueError):
    """A database URL that can't be read, told without quoting any of it."""


def open_pool(url: str, *, size: int = 4) -> ConnectionPool[Connection[tuple[Any, ...]]]:
    """Open a pool of ``size`` connections to ``url`` without waiting for the first of them.

    A database that is down is no error here: ``pool.connection()`` raises
    PoolTimeout, an OperationalError, after 5 seconds, and the pool recovers
    by itself. Nothing is prepared on the server, which a transaction pooler
    would hand to somebody else.

    Raises:
        UrlError: ``url`` is none.
    """
    checked: WeakKeyDictionary[Connection[Any], float] = WeakKeyDictionary()

    def check(conn: Connection[tuple[Any, ...]]) -> None:
        if time.monotonic() < checked.get(conn, -math.inf) + CHECK_EVERY:
            return
        # One round trip a batch is cheaper than a sender who comes back in fifteen minutes because the
        # server was restarted. One dead connection says so of all: the pool waits longer after each.
        try:
            pool.check_connection(conn)
        except psycopg.OperationalError:
            pool.drain()
            raise
        checked[conn] = time.monotonic()

    pool = ConnectionPool(
        as_url(_DEFAULTS | parse(with_tls(url))),
        kwargs={"prepare_threshold": None},
        min_size=size,
        open=False,
        check=check,
        name="specpost",
        timeout=5.0,
        max_lifetime=30 * 60.0,  # a plan that was cached while the tables were empty dies with its session
        reconnect_timeout=5.0,  # given up, the next caller tries at once; its pauses double up to this
    )
    pool.open(wait=False)
    return pool


def parse(url: str) -> dict[str, str]:
    """The parameters in ``url``, which may have libpq's URL or keyword form.

    Raises:
        UrlError: it can't be read, or names a host or port that must be a piece of a password.
    """
    try:
        params = {key: str(value) for key, value in conninfo.conninfo_to_dict(url).items()}
    except psycopg.ProgrammingError:
        raise UrlError("no PostgreSQL URL: postgresql://user:password@host:port/database") from None
    # An unescaped password spills into these, and libpq's own complaint would quote it.
    odd_port = params.get("port", "").replace(",", "").strip("0123456789")
    ats = url.partition("?")[0].count("@") if "://" in url else 0
    if odd_port or ats > 1 or "@" in params.get("host", "")[1:] + params.get("dbname", ""):
        raise UrlError("in a PostgreSQL URL, a password must have its :/?#@% percent-encoded")
    return params


def as_url(params: Mapping[str, str]) -> str:
    """The ``postgresql://`` URL of connection parameters.

    A socket, several hosts or none go into the query
    (``postgresql:///db?host=/dir&user=…``), the one form of them that libpq
    and Supabase's command line both take.
    """
    rest = dict(params)
    authority = (
        "" if rest.get("host", "/").startswith(("/", "@")) or "," in rest["host"] else _authority(rest)
    )
    dbname = quote(rest.pop("dbname", ""), safe="")
    query = urlencode(rest, safe="/", quote_via=quote)
    return f"postgresql://{authority}/{dbname}" + (f"?{query}" if query else "")


def _authority(rest: dict[str, str]) -> str:
    """Take ``user:password@host:port`` out of ``rest``."""
    login = [quote(rest.pop(key), safe="") for key in ("user", "password") if key in rest]
    host = rest.pop("host")
    address = f"[{host}]" if ":" in host else quote(host, safe="")
    return (":".join(login) + "@" if login else "") + ":".join(
        [address, *filter(None, [rest.pop("port", "")])]
    )


def with_tls(url: str) -> str:
    """``url``, with ``sslmode=verify-full`` where it names a remote host and no sslmode.

    libpq's own default, ``prefer``, gives the password to whoever answers.

    Raises:
        UrlError: ``url`` is none.
    """
    params = parse(url)
    hosts = params.get("hostaddr") or params.get("host") or os.environ.get("PGHOST", "")
    local = all(host in _LOCAL_HOSTS or host.startswith(("/", "@")) for host in hosts.split(","))
    return url if local or "sslmode" in params else as_url(params | {"sslmode": "verify-full"})


def redact(url: str) -> str:
    """``url`` with ``***`` for each secret in it, for logs and messages; never raises."""
    try:
        params = parse(url)
    except UrlError:
        return "(unreadable database URL)"
    secret = {o.keyword.decode() for o in pq.Conninfo.get_defaults() if o.dispchar == b"*"}
    return as_url({key: "***" if key in secret else value for key, value in params.items()}).replace(
        "%2A", "*"
    )


def privileges(conn: Connection[Any]) -> list[str]:
    """Why the role that logged in is no proper daemon login; empty when it is one.

    ``NOT_A_MEMBER`` says that it has too few rights, anything else that it
    has too many. It is the login that counts and not a later ``set role``,
    which ``reset role`` undoes.
    """
    role = _one(conn, "select session_user::text")
    member = _one(conn, _MEMBER, group=GROUP)
    return [*excess(conn, role), *([] if member else [NOT_A_MEMBER])]


def excess(conn: Connection[Any], role: str, group: str = GROUP) -> list[str]:
    """What ``role`` may do or become that no login of ``group`` should; empty when there is nothing."""
    found = _attributes(conn, role)
    if "superuser" in found:
        return ["superuser"]  # who is everything else, too
    owners = conn.execute(_OWNERS, {"role": role}).fetchall()
    found += [
        f"owner of {table}" if name == role else f"member of {name}, owner of {table}"
        for name, table in owners
    ]
    given = {"role": role, "group": group, "adds": group == GROUP}
    return found or [might for (might,) in conn.execute(_EXCESS, given)]


def _attributes(conn: Connection[Any], role: str) -> list[str]:
    """The mighty attributes ``role`` has, or can take by ``set role``."""
    return [
        attribute if name == role else f"member of {name}, {attribute}"
        for name, *flags in conn.execute(_ROLES, {"role": role})
        for attribute, has in zip(("superuser", "bypassrls", "createrole"), flags, strict=True)
        if has
    ]


def _one(conn: Connection[Any], query: str, **params: str) -> Any:  # noqa: ANN401 (whatever the column holds)
    row = conn.execute(query.encode(), params).fetchone()
    return row[0] if row else None

"""What is old enough to be removed: found, counted, and removed with what lies in storage of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from psycopg import Connection


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of old things.

    ``old`` selects the ids of those older than ``%(age)s`` seconds; ``keys``
    what lies in storage of some of them (``%(ids)s``), within ``%(prefix)s``
    where others wrote the path; ``removals`` are the statements that remove
    them, in their order.
    """

    name: str
    old: str
    removals: tuple[str, ...]
    keys: str | None = None


# A mail that came again lately is young, whenever it came first. What lies in a mailbox is remembered as
# done, though its mail is gone: else it would be looked at again.
_MAILS = """
select m.id from intake.mails m
where m.verdict = any({verdicts}) and m.received_at < now() - make_interval(secs => %(age)s)
  and not exists (
    select from intake.arrivals a
    where a.mail_id = m.id and a.received_at >= now() - make_interval(secs => %(age)s)
  )
  and not exists (select from intake.jobs j where j.mail_id = m.id and j.state = 'waiting')
"""
_KEYS_OF_MAILS = "select key from intake.parts where mail_id = any(%(ids)s) and removed_at is null"
_REMOVE_MAILS = (
    "update intake.arrivals set mail_id = null where mail_id = any(%(ids)s) and account is not null",
    "delete from intake.mails where id = any(%(ids)s)",
)

# The time of a specification is that of the last thing that happened to it.
_SPECS = """
select s.id from public.specs s
where s.created_at < now() - make_interval(secs => %(age)s)
  and exists (select from public.sprints p where p.spec_id = s.id)
  and not exists (
    select from public.sprints p where p.spec_id = s.id and p.state not in ('DONE', 'FAILED')
  )
  and not exists (
    select from public.runs r join public.sprints p on p.id = r.sprint_id
    where p.spec_id = s.id
      and coalesce(r.finished_at, r.started_at) >= now() - make_interval(secs => %(age)s)
  )
"""
# What came beside a specification goes with the last one of its mail.
_PARTS_OF_SPECS = """
(
  p.spec_id = any(%(ids)s)
  or p.spec_id is null and p.place <> 'raw'
    and exists (select from intake.parts q where q.mail_id = p.mail_id and q.spec_id = any(%(ids)s))
    and not exists (
      select from intake.parts q join public.specs s on s.id = q.spec_id
      where q.mail_id = p.mail_id and q.spec_id <> all(%(ids)s)
    )
) and p.removed_at is null
"""
_KEYS_OF_SPECS = f"""
select p.key from intake.parts p where {_PARTS_OF_SPECS}
union all
select substr(a.storage_path, length(%(prefix)s) + 1)
from public.artifacts a
join public.runs r on r.id = a.run_id
join public.sprints t on t.id = r.sprint_id
where t.spec_id = any(%(ids)s) and starts_with(a.storage_path, %(prefix)s || 'reports/' || r.id || '/')
"""  # noqa: S608 - only our own text is put in

KINDS = (
    Kind(
        "refused",
        _MAILS.format(verdicts="array['refused', 'ignored', 'rejected']"),
        _REMOVE_MAILS,
        _KEYS_OF_MAILS,
    ),
    Kind("held", _MAILS.format(verdicts="array['held']"), _REMOVE_MAILS, _KEYS_OF_MAILS),
    Kind(
        "raw",
        """
        select m.id from intake.mails m
        where m.verdict = 'accepted' and m.received_at < now() - make_interval(secs => %(age)s)
          and exists (
            select from intake.parts p where p.mail_id = m.id and p.place = 'raw' and p.removed_at is null
          )
        """,
        ("update intake.parts set removed_at = now() where mail_id = any(%(ids)s) and place = 'raw'",),
        "select key from intake.parts where mail_id = any(%(ids)s) and place = 'raw'",
    ),
    Kind(
        "specs",
        _SPECS,
        (
            f"update intake.parts p set removed_at = now() where {_PARTS_OF_SPECS}",  # noqa: S608 - as above
            "delete from public.specs where id = any(%(ids)s)",
        ),
        _KEYS_OF_SPECS,
    ),
    Kind(
        "events",
        """
        select e.id from public.status_events e
        where e.created_at < now() - make_interval(secs => %(age)s)
          and not exists (select from public.specs s where s.id::text = e.metadata ->> 'spec_id')
          and not exists (select from public.runs r where r.id = e.run_id)
        """,
        ("delete from public.status_events where id = any(%(ids)s)",),
    ),
)


def count(conn: Connection[Any], kind: Kind, age: float) -> int:
    """How many are older than ``age`` seconds, and would be removed."""
    row = conn.execute(f"select count(*) from ({kind.old}) as old".encode(), {"age": age}).fetchone()  # noqa: S608 - as above
    return int(row[0]) if row else 0


def old(conn: Connection[Any], kind: Kind, age: float, most: int) -> list[Any]:
    """The ids of up to ``most`` of them; another cleanup waits until the transaction ends."""
    conn.execute("select pg_advisory_xact_lock(hashtext('specpost cleanup'))")
    query = f"{kind.old} order by 1 limit %(most)s"
    return [ident for (ident,) in conn.execute(query.encode(), {"age": age, "most": most})]


def keys(conn: Connection[Any], kind: Kind, ids: list[Any], prefix: str) -> list[str]:
    """What lies in storage of those with ``ids``."""
    if kind.keys is None:
        return []
    return [key for (key,) in conn.execute(kind.keys.encode(), {"ids": ids, "prefix": prefix})]


def remove(conn: Connection[Any], kind: Kind, ids: list[Any]) -> None:
    """Remove their rows."""
    for statement in kind.removals:
        conn.execute(statement.encode(), {"ids": ids})

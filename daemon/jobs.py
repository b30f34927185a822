"""The kinds of jobs: a function each, and a row in one table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from daemon.worker import Kind
from db import mails, parts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from psycopg import Connection

    from db.jobs import Taken

    Delete = Callable[[Iterable[str]], None]

#: Removes from storage what was kept of a mail that was dropped, or accepted later on.
FORGET = "forget"


def kinds(delete: Delete) -> Mapping[str, Kind]:
    """All of them, by their names."""
    return {FORGET: Kind(lambda job: forget(job, delete))}


def forget(job: Taken, delete: Delete) -> Callable[[Connection[Any]], None]:
    """Remove the objects of a mail whose bytes nobody needs any more.

    The same mail may come and be set aside again at this moment. So its row
    is locked and looked at before, and whoever sets it aside waits for that
    lock before they store it.
    """

    def write(conn: Connection[Any]) -> None:
        if mails.is_forgotten(conn, job.mail_id):
            delete(part.key for part in parts.of_mail(conn, job.mail_id))

    return write

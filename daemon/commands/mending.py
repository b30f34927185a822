"""Mends what storage lacks out of the mails as they came, and removes what nobody refers to."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from daemon import wiring
from daemon.commands.findings import LEFT_OVER, ORPHAN
from daemon.jobs import FORGET
from daemon.mail import Envelope, Unreadable
from daemon.readers import Broken, Busy, Readers
from daemon.storage import DamagedError, StoredObject
from db import jobs, mails, parts, stories

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from psycopg import Connection

    from daemon.commands.findings import Finding
    from daemon.reading import Reading
    from daemon.settings import Settings
    from daemon.storage import Storage


class Mender:
    """Mends findings; a mail is read again once, however much of it is missing."""

    def __init__(self, conn: Connection[Any], storage: Storage, settings: Settings) -> None:
        self._conn, self._storage, self._settings = conn, storage, settings
        self._readers: Readers | None = None
        self._mail_id: UUID | None = None
        self._contents: dict[str, bytes] = {}

    def close(self) -> None:
        """End the reader."""
        if self._readers:
            self._readers.close()

    def mend(self, finding: Finding) -> Finding:
        """Mend it if that can be done."""
        if finding.what == ORPHAN:
            self._remove(finding)
            return replace(finding, repaired=True)
        if finding.what == LEFT_OVER and finding.mail_id:
            jobs.enqueue(self._conn, FORGET, [finding.mail_id])
            self._conn.commit()
            return replace(finding, repaired=True)
        content = self._again(finding.mail_id).get(finding.sha256) if finding.mail_id else None
        if content is None:
            return finding
        self._storage.put([StoredObject(finding.key, content)])
        return replace(finding, repaired=True)

    def _remove(self, finding: Finding) -> None:
        """Remove an object that no row refers to, while nobody can write one that does."""
        try:
            if finding.mail_id:
                mails.reserve(self._conn, finding.mail_id)
                if finding.key in {part.key for part in parts.of_mail(self._conn, finding.mail_id)}:
                    return
            self._storage.delete([finding.key])
        finally:
            self._conn.rollback()

    def _again(self, mail_id: UUID) -> dict[str, bytes]:
        """All that reading a mail again comes to, by its hash."""
        if mail_id != self._mail_id:
            self._mail_id, self._contents = mail_id, self._reread(mail_id)
        return self._contents

    def _reread(self, mail_id: UUID) -> dict[str, bytes]:
        stored = parts.of_mail(self._conn, mail_id)
        came = stories.arrivals(self._conn, mail_id)[:1]
        self._conn.rollback()
        raw = next((part for part in stored if part.place == "raw"), None)
        if raw is None or not came:
            return {}
        try:
            message = self._storage.get(raw.key, raw.sha256)
            envelope = Envelope(
                message, came[0].source, came[0].peer or "", "", tuple(came[0].rcpt_to), came[0].received_at
            )
            reading = self._reader().read(envelope).result()
        except (FileNotFoundError, DamagedError, Unreadable, Broken, Busy):
            return {}
        return {hashlib.sha256(content).hexdigest(): content for content in _contents(reading)}

    def _reader(self) -> Readers:
        if self._readers is None:
            limits = replace(wiring.reader_limits(self._settings), processes=1)
            self._readers = Readers(wiring.defaults(self._settings), limits)
            self._readers.start()
        return self._readers


def _contents(reading: Reading) -> Iterator[bytes]:
    """What may have been stored of a mail, under whichever rule."""
    yield from (part.content for part in reading.mail.parts)
    for plan in reading.plans:
        for spec in plan.specs:
            yield from (spec.document.content, spec.plan)

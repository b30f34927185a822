"""What we do with a mail, written the obvious way: read it, keep its files, insert its rows, commit."""

from __future__ import annotations

import base64
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import mailparser
import psycopg
import yaml
from psycopg.types.json import Jsonb
from pydantic import BaseModel, Field

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailparser import MailParser


class Meta(BaseModel):
    """Where the work goes, and who asks for it."""

    project: str
    repo: str
    branch: str = "main"
    requester_email: str | None = None
    description: str = ""


class Story(BaseModel):
    """A user story, and when it counts as met."""

    id: str
    as_: str = Field(alias="as")
    want: str
    so_that: str
    acceptance: list[str] = []


class Sprint(BaseModel):
    """A slice of the work."""

    id: str
    goals: list[str]
    user_stories: list[Story] = []
    dod: dict[str, Any] = {}


class Epic(BaseModel):
    """Sprints that belong together."""

    id: str
    title: str
    sprints: list[Sprint]


class Planning(BaseModel):
    """All of the work."""

    epics: list[Epic]


class Spec(BaseModel):
    """A specification, as it is attached."""

    meta: Meta
    planning: Planning


class NaiveJob:
    """One connection to a migrated database, and the folder that files go to; for one thread at a time.

    For a mail there is a folder of its own with ``raw.eml`` and the attachment
    in it, both synced, and then a row in ``mails``, ``arrivals``, ``specs``
    and ``status_events`` and one for each sprint, all in one transaction.
    """

    def __init__(self, database_url: str, folder: str | Path) -> None:
        self._conn = psycopg.connect(database_url)
        self._folder = Path(folder)

    def do(self, raw: bytes, mail_from: str, rcpt_to: Sequence[str]) -> None:
        """Do all of it for one mail; it is durable when this returns."""
        mail = mailparser.parse_from_bytes(raw)
        name, document = _attached(mail)
        spec = Spec.model_validate(yaml.safe_load(document))
        mail_id = uuid4()
        folder = self._folder / str(mail_id)
        folder.mkdir()
        _write(folder / "raw.eml", raw)
        _write(folder / name, document)
        with self._conn.transaction():
            self._insert_mail(mail_id, mail, len(raw), mail_from, rcpt_to)
            self._insert_spec(spec, f"{mail_id}/{name}", mail.from_[0][1])

    def close(self) -> None:
        """Leave the database."""
        self._conn.close()

    def _insert_mail(
        self, mail_id: UUID, mail: MailParser, size: int, mail_from: str, rcpt_to: Sequence[str]
    ) -> None:
        sender, now = mail.from_[0][1], datetime.now(UTC)
        self._conn.execute(
            """
            insert into intake.mails (id, raw_id, source, sender, message_id, subject, sent_at, size, verdict,
              received_at)
            values (%s, %s, 'smtp', %s, %s, %s, %s, %s, 'accepted', %s)
            """,
            [mail_id, mail_id, sender, mail.message_id, mail.subject, mail.date, size, now],
        )
        self._conn.execute(
            """
            insert into intake.arrivals (mail_id, source, mail_from, rcpt_to, verdict, received_at)
            values (%s, 'smtp', %s, %s, 'accepted', %s)
            """,
            [mail_id, mail_from, list(rcpt_to), now],
        )

    def _insert_spec(self, spec: Spec, storage_path: str, sender: str) -> None:
        spec_id = uuid4()
        sprints = [sprint for epic in spec.planning.epics for sprint in epic.sprints]
        told = {"spec_id": str(spec_id), "repo": spec.meta.repo, "sprints": [sprint.id for sprint in sprints]}
        with self._conn.cursor() as cursor:
            cursor.execute(
                "insert into specs (id, repo, branch, storage_path, created_by) values (%s, %s, %s, %s, %s)",
                [spec_id, spec.meta.repo, spec.meta.branch, storage_path, sender],
            )
            cursor.executemany(
                "insert into sprints (id, spec_id, label, dod_json) values (%s, %s, %s, %s)",
                [(uuid4(), spec_id, sprint.id, Jsonb(sprint.dod)) for sprint in sprints],
            )
            cursor.execute(
                "insert into status_events (phase, message, metadata) values ('SPEC_RECEIVED', %s, %s)",
                [f"{len(sprints)} sprints for {spec.meta.repo}", Jsonb(told)],
            )


def _attached(mail: MailParser) -> tuple[str, bytes]:
    """The first attachment that is YAML: its name and its bytes."""
    attached = next(each for each in mail.attachments if each["filename"].endswith((".yaml", ".yml")))
    payload = attached["payload"]
    return attached["safe_filename"], base64.b64decode(payload) if attached["binary"] else payload.encode()


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())

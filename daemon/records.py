"""What a judged mail leaves behind: objects in storage, rows in the database."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

from orjson import Fragment

from daemon.mail import raw_id
from daemon.outcome import Verdict
from daemon.storage import StoredObject, part_key, plan_key, raw_key
from daemon.text import harmless, printable
from db.arrivals import ArrivalRow
from db.events import EventRow
from db.mails import MailRow
from db.parts import PartRow
from db.specs import SpecRow

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from daemon.mail import Envelope, Mail, Part
    from daemon.outcome import Outcome, Problem
    from daemon.reading import PlannedSpec
    from daemon.trust import Judgement

#: Bytes of a Message-ID that are recorded: an index takes no value above 2,704.
MESSAGE_ID_BYTES = 2000
#: Attachments that one event names: with all of them in the event of each of its specifications, a mail of
#: 70 KB became 11 MB of metadata. ``intake.parts`` has the rest.
ATTACHMENTS_TOLD = 25
#: Verdicts whose message is kept as it came.
KEPT = {Verdict.ACCEPTED, Verdict.REJECTED, Verdict.HELD}


@dataclass(frozen=True)
class Judged:
    """A mail whose fate is decided, but for what the database knows of it.

    ``mail`` is None when it could not be read; ``specs`` are there only with
    the verdict accepted, ``problems`` only with rejected.
    """

    envelope: Envelope
    verdict: Verdict
    judgement: Judgement
    mail: Mail | None = None
    specs: tuple[PlannedSpec, ...] = ()
    problems: tuple[Problem, ...] = ()
    reason: str = ""

    @cached_property
    def raw_id(self) -> UUID:
        """Which bytes it is: every mail has this id, read or not."""
        return self.mail.raw_id if self.mail else raw_id(self.envelope.raw)

    @property
    def content_id(self) -> UUID | None:
        """Which mail it is, whichever way it came."""
        return self.mail.content_id if self.mail else None

    @cached_property
    def id(self) -> UUID:
        """Under which id it is recorded: a look-alike that wasn't accepted can't take the real one's."""
        accepted = self.mail is not None and self.verdict is Verdict.ACCEPTED
        return self.mail.content_id if accepted and self.mail else self.raw_id

    @cached_property
    def letter(self) -> str | None:
        """What all copies of it share that its signature takes for it; None when nothing was signed."""
        letter = self.judgement.evidence.get("letter")
        return letter if isinstance(letter, str) else None

    @property
    def sender(self) -> str:
        """Whose mail it is; empty when there is any doubt."""
        return (self.mail.sender if self.mail else None) or ""

    @cached_property
    def spec_ids(self) -> tuple[UUID, ...]:
        """The ids of its specifications, in the order of its parts."""
        return tuple(spec.id for spec in self.specs)

    @cached_property
    def stored(self) -> tuple[Stored, ...]:
        """All that is kept of it in storage: the message, its attachments, its plans."""
        return tuple(_stored(self))


@dataclass(frozen=True, slots=True)
class Stored:
    """An object in storage and its entry in the index."""

    content: bytes
    row: PartRow

    @property
    def object(self) -> StoredObject:
        """What storage is given."""
        return StoredObject(self.row.key, self.content)


def _stored(judged: Judged) -> Iterator[Stored]:
    if judged.verdict not in KEPT:
        return
    raw = judged.envelope.raw
    yield _entry(judged, "raw", raw, _sha256(raw), key=raw_key(judged.id), media_type="message/rfc822")
    if judged.verdict is not Verdict.ACCEPTED or judged.mail is None:
        return
    taken = {spec.document.place for spec in judged.specs}
    for part in judged.mail.parts:
        if part.kept_apart and part.place not in taken:
            yield _entry(
                judged, part.place, part.content, part.sha256, media_type=part.media_type, name=part.name
            )
    parts = {part.place: part for part in judged.mail.parts}
    for number, spec in enumerate(judged.specs, 1):
        yield from _stored_spec(judged, spec, number, parts.get(spec.document.place))


def _stored_spec(judged: Judged, spec: PlannedSpec, number: int, part: Part | None) -> Iterator[Stored]:
    """A document and its plan; text of the mail is a document with less in it than its part."""
    document = spec.document
    is_part = part is not None and part.content is document.content
    sha256 = part.sha256 if part and is_part else _sha256(document.content)
    media_type = part.media_type if part else "text/plain"
    yield _entry(
        judged,
        document.place,
        document.content,
        sha256,
        media_type=media_type,
        name=document.name,
        spec_id=spec.id,
    )
    yield _entry(
        judged,
        f"plan-{number}",
        spec.plan,
        _sha256(spec.plan),
        key=plan_key(judged.id, number),
        media_type="application/json",
        spec_id=spec.id,
    )


def _entry(  # noqa: PLR0913 - the columns of a row
    judged: Judged,
    place: str,
    content: bytes,
    sha256: str,
    *,
    media_type: str,
    key: str | None = None,
    name: str | None = None,
    spec_id: UUID | None = None,
) -> Stored:
    row = PartRow(
        mail_id=judged.id,
        place=place,
        name=name,
        media_type=media_type,
        size=len(content),
        sha256=sha256,
        key=key or part_key(judged.id, place, sha256),
        spec_id=spec_id,
    )
    return Stored(content, row)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def mail_row(judged: Judged) -> MailRow:
    """The mail, what was judged of it and why."""
    mail, judgement = judged.mail, judged.judgement
    return MailRow(
        id=judged.id,
        raw_id=judged.raw_id,
        content_id=judged.content_id,
        source=judged.envelope.source,
        sender=mail.sender if mail else None,
        message_id=_indexable(mail.message_id) if mail and mail.message_id else None,
        references=mail.references if mail and judged.verdict in KEPT else (),
        subject=mail.subject if mail else None,
        sent_at=mail.sent_at if mail else None,
        size=len(judged.envelope.raw),
        verdict=judged.verdict,
        reason=printable(judged.reason, 1000) or None,  # what a reader broke with may quote the mail
        problems=[asdict(problem) for problem in judged.problems],
        evidence=judgement.evidence,
        letter=judged.letter,
        rule=judgement.rule,
        reply_allowed=judgement.reply_allowed,
        received_at=judged.envelope.received_at,
        decided_at=datetime.now(UTC),
    )


def _indexable(text: str) -> str:
    return text.encode()[:MESSAGE_ID_BYTES].decode(errors="ignore")


def arrival_row(judged: Judged, outcome: Outcome) -> ArrivalRow:
    """This delivery of the mail, and what it was told."""
    envelope, slot = judged.envelope, judged.envelope.slot
    return ArrivalRow(
        mail_id=outcome.mail_id or judged.id,
        source=envelope.source,
        peer=envelope.peer,
        mail_from=envelope.mail_from or None,
        rcpt_to=envelope.rcpt_to,
        verdict=outcome.verdict,
        received_at=envelope.received_at,
        account=slot.account if slot else None,
        folder=slot.folder if slot else None,
        uidvalidity=slot.uidvalidity if slot else None,
        uid=slot.uid if slot else None,
        login=envelope.login.name if envelope.login else None,
    )


def spec_rows(judged: Judged, prefix: str) -> Iterator[SpecRow]:
    """The control plane's specifications; ``prefix`` stands before keys that others are told."""
    for spec in judged.specs:
        yield SpecRow(
            id=spec.id,
            repo=spec.target.repo,
            branch=spec.target.branch,
            storage_path=prefix + _key(judged, spec),
            created_by=judged.mail.sender if judged.mail else None,
        )


def events_of(judged: Judged, prefix: str) -> Iterator[EventRow]:
    """What the control plane is told: two phases for each specification, or one failure; as ``spec_rows``."""
    if judged.verdict is Verdict.REJECTED:
        yield _failed(judged)
    for spec in judged.specs:
        yield _received(judged, spec, prefix)
        yield _planned(judged, spec, prefix)


def _received(judged: Judged, spec: PlannedSpec, prefix: str) -> EventRow:
    target, name = spec.target, printable(spec.document.name or "the mail's body")
    return EventRow(
        phase="SPEC_RECEIVED",
        message=f"{name} for {target.repo}@{target.branch}",
        metadata=harmless(
            {
                "spec_id": spec.id,
                "repo": target.repo,
                "branch": target.branch,
                "project_name": spec.project,
                "filename": spec.document.name,
                "storage_path": prefix + _key(judged, spec),
                "trigger_method": "email",
                **_about(judged),
                "evidence": judged.judgement.evidence,
                "attachments": list(islice(_attachments(judged, spec, prefix), ATTACHMENTS_TOLD)),
            }
        ),
    )


def _attachments(judged: Judged, spec: PlannedSpec, prefix: str) -> Iterator[dict[str, Any]]:
    """What came with a specification: its own document first, and no other's."""
    others = (stored.row for stored in judged.stored if stored.row.spec_id is None)
    own = (stored.row for stored in judged.stored if stored.row.spec_id == spec.id)
    for row in (*own, *others):
        if row.place != "raw" and not row.place.startswith("plan-"):
            yield {
                "name": row.name,
                "type": row.media_type,
                "size": row.size,
                "sha256": row.sha256,
                "key": prefix + row.key,
            }


def _planned(judged: Judged, spec: PlannedSpec, prefix: str) -> EventRow:
    labels = printable(", ".join(spec.labels))
    metadata = {
        "spec_id": spec.id,
        "repo": spec.target.repo,
        "branch": spec.target.branch,
        "planner": "rules",
        "plan_path": prefix + plan_key(judged.id, judged.specs.index(spec) + 1),
        "not_checked": spec.unchecked,
    }
    return EventRow(
        phase="PLANNING",
        message=f"{len(spec.labels)} sprint{'s' * (len(spec.labels) != 1)}: {labels}",
        metadata=harmless(metadata) | {"sprints": Fragment(spec.outline)},
    )


def _failed(judged: Judged) -> EventRow:
    return EventRow(
        phase="FAILED",
        message=printable(str(judged.problems[0])) + _more(len(judged.problems) - 1),
        metadata=harmless(
            {
                **_about(judged),
                "trigger_method": "email",
                "problems": [asdict(problem) for problem in judged.problems],
            }
        ),
    )


def _more(count: int) -> str:
    return f" (+{count} more)" if count else ""


def _about(judged: Judged) -> dict[str, Any]:
    mail = judged.mail
    return {
        "mail_id": judged.id,
        "from": mail.sender if mail else None,
        "subject": printable(mail.subject) if mail else None,
        "message_id": mail.message_id if mail else None,
    }


def _key(judged: Judged, spec: PlannedSpec) -> str:
    return next(stored.row.key for stored in judged.stored if stored.row.place == spec.document.place)

"""From bytes to planned specifications: everything that is done to hostile input, and only that.

``read`` runs in a child process (``child.py``). What it returns is within
every limit, and all its text can be stored and shown.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

from daemon.mail import parse
from daemon.outcome import Problem
from daemon.planning import rules
from daemon.spec import documents, target
from daemon.spec import read as read_document

if TYPE_CHECKING:
    from collections.abc import Sequence

    from daemon.mail import Addresses, Envelope, Mail
    from daemon.planning import PlannedSprint
    from daemon.spec.documents import Document
    from daemon.spec.model import DefinitionOfDone, Spec
    from daemon.spec.target import Hint, Target


@dataclass(frozen=True, slots=True)
class Defaults:
    """What the configuration says where a mail doesn't: ``ours`` are our addresses."""

    ours: Addresses
    target: Hint
    dod: DefinitionOfDone


@dataclass(frozen=True, slots=True)
class PlannedSpec:
    """A specification with its plan, ready to be recorded.

    ``id`` follows from the mail and the part it came in; ``unchecked`` are
    criteria of its Definitions of Done that no program of ours can decide;
    ``plan`` is the whole plan as JSON, as it is stored beside the document.
    """

    id: UUID
    document: Document
    target: Target
    project: str | None
    sprints: tuple[PlannedSprint, ...]
    unchecked: tuple[str, ...]
    plan: bytes

    def sprint_id(self, position: int) -> UUID:
        """The id of the sprint at ``position``, counted from 0; the same each time the mail is read."""
        return sprint_id(self.id, position)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a mail says: its specifications, or the problems for which none of them can be taken."""

    mail: Mail
    specs: tuple[PlannedSpec, ...] = ()
    problems: tuple[Problem, ...] = ()


def spec_id(mail_id: UUID, place: str) -> UUID:
    """The id of the specification in the part at ``place`` of a mail."""
    return uuid5(mail_id, place)


def sprint_id(spec: UUID, position: int) -> UUID:
    """The id of a specification's sprint at ``position``, counted from 0."""
    return uuid5(spec, str(position))


def read(envelope: Envelope, defaults: Defaults) -> Reading:
    """Read a message to the end: whole, or not at all.

    Raises:
        Unreadable: it is beyond a limit within which it can be judged.
    """
    mail = parse(envelope, defaults.ours)
    found = documents.find(mail)
    if isinstance(found, Problem):
        return Reading(mail, problems=(found,))
    specs: list[PlannedSpec] = []
    problems: list[Problem] = []
    for document in found:
        spec = read_document(document)
        planned = _planned(mail, document, spec, defaults) if not isinstance(spec, tuple) else spec
        if isinstance(planned, PlannedSpec):
            specs.append(planned)
        else:
            problems.extend(planned)
    return Reading(mail, problems=tuple(problems)) if problems else Reading(mail, specs=tuple(specs))


def _planned(
    mail: Mail, document: Document, spec: Spec, defaults: Defaults
) -> PlannedSpec | Sequence[Problem]:
    where = target.resolve(spec, mail.subject, mail.routes, defaults.target)
    if isinstance(where, Problem):
        return [replace(where, file=document.label)]
    sprints = rules.plan(spec, defaults.dod)
    ident = spec_id(mail.content_id, document.place)
    plan = _plan(ident, where, spec, sprints)
    return PlannedSpec(ident, document, where, spec.project, sprints, spec.unchecked(), plan)


def _plan(ident: UUID, where: Target, spec: Spec, sprints: Sequence[PlannedSprint]) -> bytes:
    """The plan as whoever builds it wants it: with stories and acceptance, which no row has room for."""
    plan: dict[str, Any] = {
        "spec_id": str(ident),
        "planner": "rules",
        **asdict(where),
        "project": spec.project,
        "sprints": [
            {
                "id": str(sprint_id(ident, position)),
                "label": sprint.label,
                "title": sprint.title,
                "goals": sprint.goals,
                "user_stories": [story.model_dump(by_alias=True) for story in sprint.stories],
                "dod": sprint.dod,
            }
            for position, sprint in enumerate(sprints)
        ],
    }
    return json.dumps(plan, ensure_ascii=False, indent=1).encode()

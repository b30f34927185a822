"""From bytes to planned specifications: everything that is done to hostile input, and only that.

``read`` and ``verify`` run in a child process (``child.py``). What they return
is within every limit, and all its text can be stored and shown.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from uuid import UUID, uuid5

from pydantic_core import to_json

from daemon.mail import parse
from daemon.outcome import Problem
from daemon.planning import rules
from daemon.spec import documents, target
from daemon.spec import read as read_document
from daemon.spec.target import Hint
from daemon.text import harmless
from daemon.trust import evidence, signature
from daemon.trust.findings import Found
from daemon.trust.rules import Policy, Request

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from daemon.mail import Addresses, Envelope, Mail
    from daemon.names import Answers
    from daemon.planning import PlannedSprint
    from daemon.spec.documents import Document
    from daemon.spec.model import DefinitionOfDone, Spec
    from daemon.spec.target import Target
    from daemon.trust.findings import Case, Dkim
    from daemon.trust.rules import Rule


#: Sprints of all specifications of one mail. Thousands were seconds of everybody's time in one commit, and a
#: Definition of Done stands in the plan once for each, so that kilobytes of mail were megabytes of plan.
SPRINTS_MAX = 1000
#: In the place of what was not read since nothing could prove it: the mail is refused for that.
_UNREAD = Problem("not read")


@dataclass(frozen=True, slots=True)
class Defaults:
    """What the configuration says where a mail doesn't, and who may send: ``ours`` are our addresses."""

    ours: Addresses
    target: Hint
    dod: DefinitionOfDone
    policy: Policy = field(default_factory=Policy)


@dataclass(frozen=True, slots=True)
class PlannedSpec:
    """A specification with its plan, ready to be recorded.

    ``id`` follows from the mail and the part it came in; ``unchecked`` are
    criteria of its Definitions of Done that no program of ours can decide.

    The rest is of its sprints, in their order: their ``labels``, and three
    times JSON, so that only the child ever goes through them. ``sprints`` is
    an array of ``id``, ``spec_id``, ``label``, ``dod`` and ``position``, for
    the database; ``outline`` one of ``id``, ``label`` and ``goals``, for
    whoever reads events; ``plan`` is the whole plan, as it is stored.
    """

    id: UUID
    document: Document
    target: Target
    project: str | None
    unchecked: tuple[str, ...]
    labels: tuple[str, ...]
    sprints: bytes
    outline: bytes
    plan: bytes


@dataclass(frozen=True, slots=True)
class Plan:
    """What a mail comes to under one sender rule's defaults: its specifications, or the problems with them.

    ``rule`` is None when nobody is configured as a sender; ``sets`` is what
    the mail sets otherwise than the defaults (trust.rules.SETTABLE).
    """

    rule: Rule | None = None
    specs: tuple[PlannedSpec, ...] = ()
    problems: tuple[Problem, ...] = ()
    sets: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Reading:
    """What a mail says, and what speaks for its being from its sender.

    There is one plan for each rule that the sender has; none, and nothing
    found, for somebody who has no rule: a stranger's documents are not read.
    """

    mail: Mail
    plans: tuple[Plan, ...] = ()
    found: Found = field(default_factory=Found)

    def without_text(self) -> Reading:
        """The same but for the text of the mail, which is read by now, and needed by nobody any more."""
        parts = (part if part.kept_apart else replace(part, content=b"") for part in self.mail.parts)
        return replace(self, mail=replace(self.mail, body="", parts=tuple(parts)))

    def requests(self) -> tuple[Request, ...]:
        """What the mail asks for, rule by rule."""
        return tuple(
            Request(plan.rule, frozenset(spec.target.repo for spec in plan.specs), plan.sets)
            for plan in self.plans
            if plan.rule
        )

    def plan(self, rule: str | None) -> Plan:
        """The plan under the rule called ``rule``; the only one there is when nobody is configured."""
        return next(plan for plan in self.plans if (plan.rule.name if plan.rule else None) == rule)


@dataclass(frozen=True, slots=True)
class Verification:
    """What a child is given to verify who a mail is from, once the DNS has answered."""

    case: Case
    answers: Answers

    @property
    def raw(self) -> bytes:
        """The message."""
        return self.case.raw


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
    policy = defaults.policy
    if not policy.rules:
        return Reading(mail, tuple(_plans(mail, [None], defaults)))
    theirs = policy.of(mail.sender)
    if not theirs:
        return Reading(mail)
    found = evidence.find(envelope, mail, theirs, policy, defaults.ours)
    if not evidence.may_prove(envelope, theirs, found):
        return Reading(mail, tuple(Plan(rule, problems=(_UNREAD,)) for rule in theirs), found)
    return Reading(mail, tuple(_plans(mail, theirs, defaults)), found)


def verify(verification: Verification) -> Dkim:
    """Say what the signatures of a mail prove, by what the DNS has answered."""
    return signature.verify(signature.Letter.of(verification.case), verification.answers)


def _plans(mail: Mail, senders: Sequence[Rule | None], defaults: Defaults) -> Iterator[Plan]:
    """What the mail asks for under each rule; its documents are read once."""
    found = documents.find(mail)
    if isinstance(found, Problem):
        yield from (Plan(rule, problems=(found,)) for rule in senders)
        return
    read = [(document, read_document(document)) for document in found]
    unread = tuple(problem for _, problems in read if isinstance(problems, tuple) for problem in problems)
    specs = [(document, spec) for document, spec in read if not isinstance(spec, tuple)]
    asked = sum(len(epic.sprints) for _, spec in specs for epic in spec.epics)
    if asked > SPRINTS_MAX:
        unread += (
            Problem(f"{asked} sprints in one mail, and {SPRINTS_MAX} at most are taken: send several"),
        )
    for rule in senders:
        yield _plan_under(rule, mail, specs, unread, defaults)


def _plan_under(
    rule: Rule | None,
    mail: Mail,
    specs: Sequence[tuple[Document, Spec]],
    unread: tuple[Problem, ...],
    defaults: Defaults,
) -> Plan:
    hints = (Hint(rule.repo, rule.branch), defaults.target) if rule else (defaults.target,)
    problems, planned, sets = list(unread), [], set[str]()
    for document, spec in specs:
        where = target.resolve(spec, mail.subject, mail.routes, *hints)
        if isinstance(where, Problem):
            problems.append(replace(where, file=document.label))
            continue
        sprints = rules.plan(spec, defaults.dod)
        planned.append(_planned(mail, document, spec, where, sprints))
        # To say what would hold anyway sets nothing.
        if where.branch != target.usual_branch(where.repo, *hints):
            sets.add("branch")
        if rules.sets_dod(sprints, defaults.dod):
            sets.add("dod")
    if problems:
        return Plan(rule, problems=tuple(problems))
    return Plan(rule, tuple(planned), sets=frozenset(sets))


def _planned(
    mail: Mail, document: Document, spec: Spec, where: Target, sprints: Sequence[PlannedSprint]
) -> PlannedSpec:
    ident = spec_id(mail.content_id, document.place)
    known = [(str(sprint_id(ident, position)), sprint) for position, sprint in enumerate(sprints)]
    return PlannedSpec(
        id=ident,
        document=document,
        target=where,
        project=spec.project,
        unchecked=spec.unchecked(),
        labels=tuple(sprint.label for sprint in sprints),
        sprints=to_json(
            [
                {"id": id_, "spec_id": ident, "label": each.label, "dod": each.dod, "position": position}
                for position, (id_, each) in enumerate(known)
            ]
        ),
        outline=to_json(
            harmless([{"id": id_, "label": each.label, "goals": each.goals} for id_, each in known])
        ),
        plan=_plan(ident, where, spec, known),
    )


def _plan(ident: UUID, where: Target, spec: Spec, sprints: Sequence[tuple[str, PlannedSprint]]) -> bytes:
    """The plan as whoever builds it wants it: with stories and acceptance, which no row has room for."""
    plan = {
        "spec_id": ident,
        "planner": "rules",
        "repo": where.repo,
        "branch": where.branch,
        "project": spec.project,
        "sprints": [
            {
                "id": id_,
                "label": sprint.label,
                "title": sprint.title,
                "goals": sprint.goals,
                "user_stories": sprint.stories,
                "dod": sprint.dod,
            }
            for id_, sprint in sprints
        ],
    }
    return to_json(plan, indent=1)  # the standard library indents in Python, at five times the time

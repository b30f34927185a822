"""What a specification says, whichever document format it came in."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from daemon import gate
from daemon.spec import github

#: Bounds of what gets into rows and metadata, in characters. What is longer is a Problem and never cut:
#: a cut text would be planned as if its writer had meant it.
LONGEST_ID = 100
LONGEST_TITLE = 500
LONGEST_TEXT = 2_000
LONGEST_DESCRIPTION = 20_000
#: Bound of every list in a specification, in items.
LONGEST_LIST = 500

Id = Annotated[str, StringConstraints(strip_whitespace=True, max_length=LONGEST_ID)]
Title = Annotated[str, StringConstraints(strip_whitespace=True, max_length=LONGEST_TITLE)]
Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=LONGEST_TEXT)]
Description = Annotated[str, StringConstraints(strip_whitespace=True, max_length=LONGEST_DESCRIPTION)]
Texts = Annotated[tuple[Text, ...], Field(max_length=LONGEST_LIST)]
Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Repo = Annotated[str, AfterValidator(github.repository)]
Branch = Annotated[str, AfterValidator(github.branch)]
Score = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,14})(\.[0-9]{1,15})?")
_TRUTH = {"true": True, "yes": True, "false": False, "no": False}


def _typed(value: object) -> object:
    """Text that looks like a number or a truth value as that; anything else as it is.

    Digits are bounded so that the number is exact in ``jsonb`` and in double precision.
    """
    if isinstance(value, list):
        return [_typed(item) for item in value]
    if isinstance(value, dict):
        return {key: _typed(item) for key, item in value.items()}
    if not isinstance(value, str):
        return value
    if number := _NUMBER.fullmatch(value):
        return float(value) if number[1] else int(value)
    return _TRUTH.get(value.lower(), value)


class DefinitionOfDone(BaseModel):
    """When a sprint counts as done, so that a program can decide it.

    Unknown keys are kept (``model_extra``) and reported as not checked.
    """

    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[str, Annotated[Any, BeforeValidator(_typed)]] = Field(init=False)

    coverage_min: Fraction | None = Field(default=None, description="fraction of lines covered, 0..1")
    e2e_pass: bool | None = Field(default=None, description="end-to-end tests pass")
    lighthouse_min: Score | None = Field(default=None, description="Lighthouse score, 0..100")
    lint_pass: bool | None = Field(default=None, description="the linter finds nothing")
    type_check: bool | None = Field(default=None, description="the type checker finds nothing")

    def given(self) -> dict[str, Any]:
        """The keys that are set, as they are written to ``sprints.dod_json``: 85 and not 85.0."""
        given = self.model_dump(exclude_none=True)
        return {
            key: int(it) if isinstance(it, float) and it.is_integer() else it for key, it in given.items()
        }

    def evaluate(self, summary: object) -> gate.Decision:
        """Whether what CI reports of a run meets it, and each criterion with its verdict.

        Raises:
            SummaryError: ``summary``, which may be any JSON, can't be right.
        """
        return gate.decide(self.given() | (self.model_extra or {}), summary)

    def unchecked(self) -> tuple[str, ...]:
        """The keys that no program of ours can decide, in the order they were written."""
        return tuple(self.model_extra or ())


class _Part(BaseModel):
    """Keys of a specification that we do not know are its writer's business."""

    model_config = ConfigDict(frozen=True, extra="ignore", validate_by_name=True, validate_by_alias=True)


class Story(_Part):
    """A user story with what it takes to accept it."""

    id: Id | None = None
    as_: Text | None = Field(default=None, alias="as")
    want: Text | None = None
    so_that: Text | None = None
    acceptance: Texts = ()


class Sprint(_Part):
    """A slice of work as the specification's writer cut it."""

    id: Id | None = None
    title: Title | None = None
    goals: Texts = ()
    user_stories: Annotated[tuple[Story, ...], Field(max_length=LONGEST_LIST)] = ()
    dod: DefinitionOfDone | None = None


class Epic(_Part):
    """Sprints that belong together."""

    id: Id | None = None
    title: Title | None = None
    sprints: Annotated[tuple[Sprint, ...], Field(max_length=LONGEST_LIST)] = ()


class Spec(_Part):
    """A specification, free of the format it was written in.

    ``repo`` and ``branch`` are what the document itself names: possibly
    nothing, else ``owner/name`` and a branch that GitHub would take.
    ``dod`` holds for every sprint that says nothing else.
    """

    project: Title | None = None
    repo: Repo | None = None
    branch: Branch | None = None
    requester_email: Title | None = None
    description: Description | None = None
    epics: Annotated[tuple[Epic, ...], Field(max_length=LONGEST_LIST)] = ()
    dod: DefinitionOfDone | None = None

    def unchecked(self) -> tuple[str, ...]:
        """The keys of all its Definitions of Done that no program of ours can decide, each once."""
        sprints = (sprint for epic in self.epics for sprint in epic.sprints)
        dods = (self.dod, *(sprint.dod for sprint in sprints))
        return tuple(dict.fromkeys(key for dod in dods if dod for key in dod.unchecked()))

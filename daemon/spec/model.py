"""What a specification says, whichever document format it came in."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field


class DefinitionOfDone(BaseModel):
    """When a sprint counts as done, so that a program can decide it.

    Unknown keys are kept (``model_extra``) and reported as not checked.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    coverage_min: Annotated[float, Field(ge=0, le=1, description="fraction of lines covered, 0..1")] | None = None
    e2e_pass: Annotated[bool, Field(description="end-to-end tests pass")] | None = None
    lighthouse_min: Annotated[float, Field(ge=0, le=100, description="Lighthouse score, 0..100")] | None = None
    lint_pass: Annotated[bool, Field(description="the linter finds nothing")] | None = None
    type_check: Annotated[bool, Field(description="the type checker finds nothing")] | None = None

    def over(self, defaults: DefinitionOfDone) -> dict[str, Any]:
        """This definition laid over ``defaults``, as it is written to ``sprints.dod_json``."""
        return defaults.model_dump(exclude_none=True) | self.model_dump(exclude_none=True)


class _Part(BaseModel):
    """Keys of a specification that we do not know are its writer's business."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class Story(_Part):
    """A user story with what it takes to accept it."""

    id: str | None = None
    as_: str | None = Field(default=None, alias="as")
    want: str | None = None
    so_that: str | None = None
    acceptance: tuple[str, ...] = ()


class Sprint(_Part):
    """A slice of work as the specification's writer cut it."""

    id: str | None = None
    goals: tuple[str, ...] = ()
    user_stories: tuple[Story, ...] = ()
    dod: DefinitionOfDone | None = None


class Epic(_Part):
    """Sprints that belong together."""

    id: str | None = None
    title: str | None = None
    sprints: tuple[Sprint, ...] = ()


class Spec(_Part):
    """A specification, free of the format it was written in.

    ``repo`` and ``branch`` are what the document itself names, unchecked and
    possibly nothing; ``dod`` holds for every sprint that says nothing else.
    """

    project: str | None = None
    repo: str | None = None
    branch: str | None = None
    requester_email: str | None = None
    description: str | None = None
    epics: tuple[Epic, ...] = ()
    dod: DefinitionOfDone | None = None

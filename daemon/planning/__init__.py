"""Who cuts a Spec into sprints: ``rules`` by what the document says, without asking anybody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from daemon.spec.model import Story


@dataclass(frozen=True, slots=True)
class PlannedSprint:
    """A sprint as it will be recorded; ``dod`` is complete, the defaults laid under it."""

    label: str
    goals: tuple[str, ...]
    stories: tuple[Story, ...]
    dod: dict[str, Any]
    title: str | None = None

"""The rules planner: the sprints are those the specification names, in its order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from daemon.planning import PlannedSprint
from daemon.spec.model import Sprint

if TYPE_CHECKING:
    from collections.abc import Iterable

    from daemon.spec.model import DefinitionOfDone, Spec


def plan(spec: Spec, default: DefinitionOfDone) -> tuple[PlannedSprint, ...]:
    """The sprints of all epics in their order; one ``S1`` without goals when there are none.

    A sprint's Definition of Done is laid over the document's, and that over
    ``default``, key by key. A sprint without an id is called by its number,
    counted over the whole specification.
    """
    sprints = [sprint for epic in spec.epics for sprint in epic.sprints] or [Sprint()]
    return tuple(
        PlannedSprint(
            label=sprint.id or f"S{number}",
            title=sprint.title,
            goals=sprint.goals,
            stories=sprint.user_stories,
            dod=_dod(default, spec.dod, sprint.dod),
        )
        for number, sprint in enumerate(sprints, 1)
    )


def sets_dod(sprints: Iterable[PlannedSprint], default: DefinitionOfDone) -> bool:
    """Whether the specification asks for another Definition of Done than ``default``."""
    return any(sprint.dod != _dod(default) for sprint in sprints)


def _dod(*layers: DefinitionOfDone | None) -> dict[str, Any]:
    """What the layers say, a later one over an earlier one."""
    laid: dict[str, Any] = {}
    for layer in layers:
        laid |= layer.given() if layer else {}
    return laid

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
    common = _laid({}, default, spec.dod)
    sprints = [sprint for epic in spec.epics for sprint in epic.sprints] or [Sprint()]
    return tuple(
        PlannedSprint(
            label=sprint.id or f"S{number}",
            title=sprint.title,
            goals=sprint.goals,
            stories=sprint.user_stories,
            dod=_laid(common, sprint.dod),
        )
        for number, sprint in enumerate(sprints, 1)
    )


def sets_dod(sprints: Iterable[PlannedSprint], default: DefinitionOfDone) -> bool:
    """Whether the specification asks for another Definition of Done than ``default``."""
    usual = default.given()
    return any(sprint.dod != usual for sprint in sprints)


def _laid(below: dict[str, Any], *layers: DefinitionOfDone | None) -> dict[str, Any]:
    """What the layers say, a later one over an earlier one, and all of them over what is ``below``."""
    laid = dict(below)
    for layer in layers:
        laid |= layer.given() if layer else {}
    return laid

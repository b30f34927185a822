"""The rules planner takes a specification at its word."""

from __future__ import annotations

from daemon.planning.rules import plan
from daemon.spec.model import DefinitionOfDone, Epic, Spec, Sprint, Story

DEFAULT = DefinitionOfDone(coverage_min=0.8, e2e_pass=True, lighthouse_min=85)


def test_the_sprints_of_all_epics_are_planned_in_their_order() -> None:
    """A sprint without an id is called by its number in the whole specification."""
    story = Story(want="x")
    first = Sprint(id="alpha", title="First", goals=("a", "b"), user_stories=(story,))
    spec = Spec(epics=(Epic(sprints=(first, Sprint())), Epic(), Epic(sprints=(Sprint(goals=("c",)),))))

    planned = plan(spec, DEFAULT)

    assert [sprint.label for sprint in planned] == ["alpha", "S2", "S3"]
    assert (planned[0].title, planned[0].goals, planned[0].stories) == ("First", ("a", "b"), (story,))
    assert planned[2].goals == ("c",)


def test_a_specification_without_sprints_is_one_sprint() -> None:
    """The existing system expects S1 with the default Definition of Done."""
    (sprint,) = plan(Spec(epics=(Epic(),)), DEFAULT)

    assert (sprint.label, sprint.goals, sprint.stories) == ("S1", (), ())
    assert sprint.dod == {"coverage_min": 0.8, "e2e_pass": True, "lighthouse_min": 85}


def test_whole_numbers_stay_whole() -> None:
    """A row says 90 where the specification said 90, and not 90.0."""
    spec = Spec(dod=DefinitionOfDone.model_validate({"lighthouse_min": "90", "coverage_min": "1"}))

    (sprint,) = plan(spec, DEFAULT)

    assert str(sprint.dod["lighthouse_min"]) == "90"
    assert str(sprint.dod["coverage_min"]) == "1"


def test_a_definition_of_done_is_laid_over_the_one_above_it_key_by_key() -> None:
    """Sprint over document over default; switching a check off counts as saying something."""
    sprints = (Sprint(dod=DefinitionOfDone(coverage_min=0.95, extra=3)), Sprint())
    document = DefinitionOfDone(coverage_min=0.9, e2e_pass=False)

    own, inherited = plan(Spec(epics=(Epic(sprints=sprints),), dod=document), DEFAULT)

    assert own.dod == {"coverage_min": 0.95, "e2e_pass": False, "lighthouse_min": 85, "extra": 3}
    assert inherited.dod == {"coverage_min": 0.9, "e2e_pass": False, "lighthouse_min": 85}

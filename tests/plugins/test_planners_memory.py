"""The planner of MEMORY_UPDATE: what is said three times, and never without a person."""

from __future__ import annotations

import pytest

from hivefeedback.model import Configuration, Mutation, MutationKind
from hivefeedback.stats import Repeat
from hivefeedback.testing import view_of
from hivefeedback_planners import MemoryUpdateOptions, MemoryUpdatePlanner


def _repeat(n: int, agent: str = "x", key: str = "k") -> Repeat:
    return Repeat(agent=agent, key=key, n=n, event_ids=tuple(f"f-{i}" for i in range(min(n, 16))))


def _plan(*repeats: Repeat, options: MemoryUpdateOptions | None = None) -> list[Mutation]:
    planner = MemoryUpdatePlanner()
    planner.configure(options or MemoryUpdateOptions())
    return list(planner.hive_plan((), view_of([]).with_repeats(repeats), Configuration(), 1.0))


def test_the_third_time_is_what_counts() -> None:
    """S4.5: MEMORY_UPDATE."""
    assert _plan(_repeat(2)) == []
    (planned,) = _plan(_repeat(3))
    assert (planned.kind, planned.target, planned.risk) == (MutationKind.MEMORY_UPDATE, "x", "high")
    assert planned.to == {"feedback": "f-0", "importance": 0.8}
    assert planned.evidence == ("f-0", "f-1", "f-2")
    assert planned.confidence == 0.8
    assert "the same correction 3 times" in planned.reason


def test_what_is_said_more_often_is_more_urgent_and_comes_first() -> None:
    planned = _plan(_repeat(3, "a"), _repeat(40, "b"), _repeat(5, "c"))
    assert [m.target for m in planned] == ["b", "c", "a"]
    assert [m.priority for m in planned] == [0.8, pytest.approx(0.2), pytest.approx(0.12)]
    assert all(0.7 <= m.confidence <= 1.0 for m in planned)


def test_a_person_is_not_asked_a_hundred_things_at_once() -> None:
    assert len(_plan(*(_repeat(3, f"agent-{i}") for i in range(100)))) == 5


def test_how_often_is_an_option_that_cannot_be_once() -> None:
    assert len(_plan(_repeat(2), options=MemoryUpdateOptions(min_times=2))) == 1
    with pytest.raises(ValueError, match="min_times is 1"):
        MemoryUpdateOptions(min_times=1)


def test_repeats_stay_with_every_part_of_a_view() -> None:
    view = view_of([]).with_repeats((_repeat(3),))
    assert view.between(0.0, 1.0).repeats == view.only(lambda key: False).repeats == (_repeat(3),)

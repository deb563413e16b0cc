"""The ranker that prefers free deployments."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from math import inf
from typing import Any

import pytest

from hivefeedback.errors import InvalidInputError
from hivefeedback.hooks.registry import Registry
from hivefeedback.model import Deployment
from hivefeedback_rankers import AdaptiveRanker, LoadOptions, LoadRanker, load_score, record_of
from tests.plugins.ranked import near, ran, ranked

A, B, C = (Deployment(name, capability=score) for name, score in (("a", 92.0), ("b", 85.0), ("c", 85.0)))
SEEN = [
    *ran("a", 100, n_ok=99, latency_ms=120.0),
    *ran("b", 100, n_ok=97, latency_ms=110.0),
    *ran("c", 100, n_ok=98, latency_ms=95.0),
]


def assigned(n_agents: int) -> list[str]:
    """Agents one after the other, each keeps its deployment busy."""
    in_flight: Counter[str] = Counter()
    found = []
    for _ in range(n_agents):
        best = ranked(LoadRanker().seeing(in_flight), SEEN, A, B, C)[0].deployment
        in_flight[best] += 1
        found.append(best)
    return found


def test_three_agents_spread_as_in_the_picture_of_the_source() -> None:
    """C3, S3.11: before, all go to A; after, agent 1 → A, agent 2 → C, agent 3 → B."""
    assert ranked(AdaptiveRanker(), SEEN, A, B, C)[0].deployment == "a"
    assert assigned(3) == ["a", "c", "b"]


def test_many_agents_spread_over_all() -> None:
    """C3: better distribution follows from a term for load."""
    counts = Counter(assigned(30))
    assert min(counts.values()) >= 6  # of 30, and A is the best


def test_a_free_deployment_that_fails_does_not_beat_a_busy_one_that_works() -> None:
    """C3: load is a share of the score, a penalty is most of it."""
    seen = [*ran("a", 100, latency_ms=120.0), *ran("b", 100, n_ok=50, latency_ms=120.0)]
    assert ranked(LoadRanker().seeing({"a": 8}), seen, A, B)[0].deployment == "a"


def test_the_score_of_load_is_a_hundred_when_free_and_half_at_half_load() -> None:
    """C3, C7: 0–100, never 0, whatever is counted."""
    assert [load_score(n, 4.0) for n in (0, 4, 12, -1)] == [100.0, 50.0, 25.0, 100.0]
    assert load_score(1e9, 4.0) > 0.0


def test_the_parts_sum_to_the_score_and_keep_the_record() -> None:
    """S3.7, C3: 0.7 · 93.15 + 0.3 · 80."""
    [place] = ranked(LoadRanker().seeing({"a": 1}), SEEN, A)
    assert place.score == near(0.7 * 93.15 + 24.0)
    assert place.parts["adaptive"] + place.parts["load"] == near(place.score)
    assert (place.parts["in_flight"], place.parts["final"]) == (1.0, place.score)
    assert record_of(place).performance_score == near(93.15)
    assert place.reason.endswith("1 runs in flight")


def test_where_nobody_counts_the_order_is_the_adaptive_one_and_it_is_said() -> None:
    """Bad input: another process's runs in flight are not known."""
    places = ranked(LoadRanker(), SEEN, A, B, C)
    assert [p.deployment for p in places] == [p.deployment for p in ranked(AdaptiveRanker(), SEEN, A, B, C)]
    assert all("runs in flight are not known" in p.reason for p in places)
    assert "in_flight" not in places[0].parts


def test_another_minimum_and_the_load_can_both_be_told() -> None:
    """S5.4: in either order."""
    for ranker in (LoadRanker().seeing({"a": 4}).requiring(2), LoadRanker().requiring(2).seeing({"a": 4})):
        [place] = ranked(ranker, ran("a", 2), A)
        assert (place.parts["has_performance_data"], place.parts["in_flight"]) == (1.0, 4.0)


def test_it_is_found_by_entry_point_and_takes_the_options_of_both_parts() -> None:
    """S3.4: nested options reach the adaptive part."""
    options: dict[str, object] = {"load_share": 0.5, "adaptive": {"min_requests_for_performance": 2}}
    registry = Registry(is_inline=True, options={"load": options})
    registry.load_entry_points(allow=["load"])
    [place] = ranked(registry.rankers["load"], ran("a", 2), A)
    assert place.parts["load"] == 50.0
    assert place.parts["has_performance_data"] == 1.0


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"load_share": 1.5}, "load_share is 1.5"),
        ({"half_load": 0.0}, "half_load is 0.0"),
        ({"half_load": inf}, "half_load is inf"),
    ],
)
def test_wrong_options_are_refused_by_name_and_value(wrong: dict[str, Any], named: str) -> None:
    """Bad input: a share out of range."""
    with pytest.raises(InvalidInputError, match=named):
        replace(LoadOptions(), **wrong)

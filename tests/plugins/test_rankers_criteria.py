"""The five criteria of the source, per conversation type."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hivefeedback.errors import InvalidInputError
from hivefeedback.hooks.registry import Registry
from hivefeedback.model import Deployment, Price
from hivefeedback_rankers import (
    AccuracyRanker,
    ContinuityRanker,
    CostRanker,
    CreativityRanker,
    CriteriaOptions,
    SpeedRanker,
)
from hivefeedback_rankers.conversation import CONVERSATION_TYPES
from tests.plugins.ranked import near, ran, ranked

A, B = Deployment("a"), Deployment("b")
ALL: list[type[Any]] = [CostRanker, AccuracyRanker, CreativityRanker, ContinuityRanker]


def test_the_five_criteria_are_there_by_name() -> None:
    """S2.7: cost, accuracy, creativity, speed, continuity."""
    registry = Registry(is_inline=True)
    registry.load_entry_points(allow=["criteria", "speed"])
    assert sorted(registry.rankers) == ["accuracy", "continuity", "cost", "creativity", "speed"]
    assert all(registry.rankers[name].name == name for name in registry.rankers)


@pytest.mark.parametrize("conversation", CONVERSATION_TYPES)
@pytest.mark.parametrize("kind", [*ALL, SpeedRanker])
def test_each_conversation_type_has_its_own_order(kind: type[Any], conversation: str) -> None:
    """S2.1, S2.7, S2.8: what is best for one type says nothing of another."""
    other = next(name for name in CONVERSATION_TYPES if name != conversation)
    good: dict[str, Any] = {"judged": {"accuracy": 0.9, "creativity": 0.9}, "cost_usd": 0.001, "latency_ms": 50.0}
    bad: dict[str, Any] = {"judged": {"accuracy": 0.3, "creativity": 0.3}, "cost_usd": 0.009, "latency_ms": 800.0}
    seen = [
        *ran("a", 20, operation=f"{conversation}/x", **good),
        *ran("b", 20, n_ok=19, operation=f"{conversation}/x", **bad),
        *ran("a", 20, n_ok=19, operation=other, **bad),
        *ran("b", 20, operation=other, **good),
    ]
    assert [p.deployment for p in ranked(kind(), seen, A, B, operation=conversation)] == ["a", "b"]
    assert [p.deployment for p in ranked(kind(), seen, A, B, operation=other)] == ["b", "a"]


def test_cost_is_what_a_success_costs() -> None:
    """S2.7, C11: half the price with a third of the successes is no bargain."""
    seen = [*ran("a", 30, n_ok=10, cost_usd=0.002), *ran("b", 30, cost_usd=0.004)]
    places = ranked(CostRanker(), seen, A, B)
    assert [(p.deployment, p.parts["cost_of_success_usd"]) for p in places] == [
        ("b", near(0.004)),
        ("a", near(0.006)),
    ]
    assert places[0].score == near(80.0)


def test_what_never_succeeds_has_no_price_and_comes_after_the_dearest() -> None:
    """S2.7: no division by zero."""
    places = ranked(CostRanker(), [*ran("a", 10, n_ok=0, cost_usd=0.001), *ran("b", 10, cost_usd=5.0)], A, B)
    assert [(p.deployment, p.score) for p in places] == [("b", 0.0), ("a", 0.0)]
    assert "no price" in places[1].reason
    assert "cost_of_success_usd" not in places[1].parts


def test_before_any_cost_is_measured_the_list_price_counts() -> None:
    """S2.7: 1000 tokens at (3 + 9) / 2 USD per million."""
    priced = Deployment("a", price=Price(3.0, 9.0))
    first, last = ranked(CostRanker(), [], priced, B)
    assert (first.deployment, first.parts["cost_of_success_usd"]) == ("a", near(0.006))
    assert "list price" in first.reason
    assert first.parts["has_performance_data"] == 0.0
    assert (last.deployment, last.score) == ("b", 0.0)


def test_accuracy_reads_ratings_then_queries_then_facts_then_calls() -> None:
    """S2.7, S1.10: the narrowest judgement that there is, and the reason says which."""
    steps: list[tuple[dict[str, float], float, str]] = [
        ({"accuracy": 0.9, "query": 0.5, "fact_check": 0.4}, 90.0, "rated"),
        ({"query": 0.5, "fact_check": 0.4}, 50.0, "successful queries"),
        ({"fact_check": 0.4}, 40.0, "facts held"),
        ({}, 80.0, "successful calls"),
    ]
    for judged, score, what in steps:
        [place] = ranked(AccuracyRanker(), ran("a", 20, n_ok=16, judged=judged), A)
        assert place.score == near(score)
        assert what in place.reason


def test_creativity_reads_its_ratings_else_the_quality() -> None:
    """S2.7: a rating of creativity beats one of the whole."""
    [place] = ranked(CreativityRanker(), ran("a", 10, judged={"creativity": 0.7, "overall": 0.2}), A)
    assert place.score == near(70.0)
    [place] = ranked(CreativityRanker(), ran("a", 10, judged={"overall": 0.2}), A)
    assert place.score == near(20.0)
    assert "creativity never rated" in place.reason
    [place] = ranked(CreativityRanker(), ran("a", 10), A)
    assert "none judged" in place.reason


def test_continuity_is_the_share_of_runs_that_came_to_their_end() -> None:
    """S2.7: truncated and failed ones broke off, a refusal is an answer."""
    seen = [*ran("a", 8), *ran("a", 1, n_ok=0, outcome="truncated"), *ran("a", 1, n_ok=0, outcome="refused")]
    [place] = ranked(ContinuityRanker(), seen, A)
    assert place.score == near(90.0)


@pytest.mark.parametrize("kind", ALL)
def test_who_is_hardly_known_comes_last(kind: type[Any]) -> None:
    """S2.2, C5: the minimum is that of the other rankers, and may be asked otherwise."""
    good, bad = {"accuracy": 1.0, "creativity": 1.0}, {"accuracy": 0.5, "creativity": 0.5}
    seen = [*ran("a", 9, judged=good, cost_usd=0.001), *ran("b", 10, n_ok=5, judged=bad, cost_usd=0.01)]
    assert [p.deployment for p in ranked(kind(), seen, A, B)] == ["b", "a"]
    assert ranked(kind().requiring(9), seen, A, B)[0].deployment == "a"


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"acceptable_cost_usd": 0.0}, "acceptable_cost_usd is 0.0"),
        ({"typical_tokens": 0}, "typical_tokens is 0"),
        ({"min_operations": 0}, "min_operations is 0"),
    ],
)
def test_wrong_options_are_refused_by_name_and_value(wrong: dict[str, Any], named: str) -> None:
    """Bad input: scales out of range."""
    with pytest.raises(InvalidInputError, match=named):
        replace(CriteriaOptions(), **wrong)

"""The rankers of the source's four priorities: balanced, speed, quality, reliable."""

from __future__ import annotations

from dataclasses import replace
from math import nan
from typing import Any

import pytest

from hivefeedback.errors import ConfigurationError, InvalidInputError
from hivefeedback.hooks import Ranked, Ranker
from hivefeedback.hooks.registry import Registry
from hivefeedback.model import Deployment
from hivefeedback.testing import Seen
from hivefeedback_rankers import (
    BalancedOptions,
    BalancedRanker,
    QualityOptions,
    QualityRanker,
    ReliableOptions,
    ReliableRanker,
    SpeedOptions,
    SpeedRanker,
)
from tests.plugins.ranked import near, ran, ranked

SMALL, LARGE = Deployment("llama3.1:8b-instruct"), Deployment("llama3.1:13b-instruct")
ALL: list[type[Any]] = [BalancedRanker, SpeedRanker, QualityRanker, ReliableRanker]


def order(places: list[Ranked]) -> list[str]:
    return [place.deployment for place in places]


def stars(rating: float) -> dict[str, float]:
    return {"rating": (rating - 1.0) / 4.0}


def both() -> list[Seen]:
    """The small one is fast, the large one good and reliable."""
    return [
        *ran(SMALL.id, 40, n_ok=38, latency_ms=200.0, judged=stars(3.0)),
        *ran(LARGE.id, 40, n_ok=40, latency_ms=450.0, judged=stars(4.8)),
    ]


def test_balanced_is_thirty_speed_forty_quality_thirty_reliability() -> None:
    """S5.5, C8: 0.3 · 80 + 0.4 · 50 + 0.3 · 95 and 0.3 · 55 + 0.4 · 95 + 0.3 · 100."""
    large, small = ranked(BalancedRanker(), both(), SMALL, LARGE)
    assert (large.deployment, large.score) == (LARGE.id, near(16.5 + 38.0 + 30.0))
    assert (small.deployment, small.score) == (SMALL.id, near(24.0 + 20.0 + 28.5))
    parts = {name: near(small.parts[name]) for name in ("speed", "quality", "reliability")}
    assert parts == {"speed": 24.0, "quality": 20.0, "reliability": 28.5}
    assert small.reason == "40 runs: 200 ms, quality 3.00 of 5, success 95.0%"


def test_the_balanced_score_of_one_does_not_depend_on_the_others() -> None:
    """C8: speeds are compared with what is acceptable, not with each other."""
    alone = ranked(BalancedRanker(), both(), SMALL)
    among = ranked(BalancedRanker(), both(), SMALL, LARGE)
    assert alone == [place for place in among if place.deployment == SMALL.id]


def test_balanced_spreads_the_weight_of_what_is_not_known() -> None:
    """S5.5: never judged, so 0.3 · 80 + 0.3 · 100 of 0.6."""
    [place] = ranked(BalancedRanker(), ran(SMALL.id, 10, latency_ms=200.0), SMALL)
    assert place.score == near(90.0)
    assert "never judged" in place.reason
    [place] = ranked(BalancedRanker(), ran(SMALL.id, 10, latency_ms=None, judged=stars(5.0)), SMALL)
    assert place.score == near(100.0)
    assert "latency unknown" in place.reason


def test_balanced_with_all_weight_on_what_is_unknown_scores_nothing() -> None:
    """Bad input: quality alone counts, and nobody judged."""
    only_quality = BalancedOptions(speed_weight=0.0, quality_weight=1.0, reliability_weight=0.0)
    [place] = ranked(BalancedRanker(only_quality), ran(SMALL.id, 10), SMALL)
    assert place.score == 0.0


def test_speed_is_the_lowest_average_time() -> None:
    """S5.5: also where both are slower than the scale reaches."""
    assert order(ranked(SpeedRanker(), both(), SMALL, LARGE)) == [SMALL.id, LARGE.id]
    slow = [*ran(SMALL.id, 10, latency_ms=9000.0), *ran(LARGE.id, 10, latency_ms=4000.0)]
    places = ranked(SpeedRanker(), slow, SMALL, LARGE)
    assert order(places) == [LARGE.id, SMALL.id]
    assert [place.score for place in places] == [0.0, 0.0]


def test_what_fails_fast_is_not_fast() -> None:
    """C9: latency of successes only, and a floor of success."""
    hasty = ran(SMALL.id, 100, n_ok=50, latency_ms=50.0)
    places = ranked(SpeedRanker(), [*hasty, *ran(LARGE.id, 100, n_ok=95, latency_ms=600.0)], SMALL, LARGE)
    assert order(places) == [LARGE.id, SMALL.id]
    assert places[0].parts["avg_latency_ms"] == near(600.0)
    assert "below the floor of 90.0%" in places[1].reason
    assert places[1].score == 0.0


def test_where_all_are_below_the_floor_the_fastest_is_told_with_a_warning() -> None:
    """C6, C9: the floor never empties the set."""
    seen = [*ran(SMALL.id, 20, n_ok=10, latency_ms=100.0), *ran(LARGE.id, 20, n_ok=12, latency_ms=200.0)]
    places = ranked(SpeedRanker(), seen, SMALL, LARGE)
    assert order(places) == [SMALL.id, LARGE.id]
    assert places[0].score == near(90.0)
    assert "none is fit" in places[0].reason


def test_quality_is_the_highest_average_rating() -> None:
    """S5.5: 4.8 before 3.0, C7: told in stars, scored in 0–100."""
    places = ranked(QualityRanker(), both(), SMALL, LARGE)
    assert order(places) == [LARGE.id, SMALL.id]
    assert (places[0].score, places[0].parts["avg_rating"]) == (near(95.0), near(4.8))


def test_quality_without_ratings_is_that_of_all_feedback() -> None:
    """S5.8: quality may come from evaluations; complaints speak against, the outcome is not quality."""
    judged = {"helpful": 1.0, "complaint": 1.0, "reward": 0.0, "query": 0.0, "success": 0.0}
    [place] = ranked(QualityRanker(), ran(SMALL.id, 10, judged=judged), SMALL)
    assert place.score == near(50.0)


def test_reliable_is_the_highest_success_rate() -> None:
    """S5.5: 100 % before 95 %; of equal ones the longer record."""
    assert order(ranked(ReliableRanker(), both(), SMALL, LARGE)) == [LARGE.id, SMALL.id]
    equal = [*ran(SMALL.id, 10), *ran(LARGE.id, 500)]
    assert order(ranked(ReliableRanker(), equal, SMALL, LARGE)) == [LARGE.id, SMALL.id]


def test_success_means_the_same_as_in_stats() -> None:
    """S5.1: a refusal is an answer, a timeout is none, what is internal does not count."""
    [place] = ranked(ReliableRanker(), ran(SMALL.id, 10, n_ok=8, outcome="refused"), SMALL)
    assert place.score == near(100.0)
    [place] = ranked(ReliableRanker(), ran(SMALL.id, 10, n_ok=8, outcome="timeout"), SMALL)
    assert place.score == near(80.0)
    [place] = ranked(ReliableRanker(), ran(SMALL.id, 10, n_ok=10) + ran(SMALL.id, 5, n_ok=0, outcome="internal"), SMALL)
    assert place.score == near(100.0)


@pytest.mark.parametrize("kind", ALL)
def test_who_has_fewer_than_ten_runs_comes_last(kind: type[Any]) -> None:
    """S5.4, C5: one lucky run wins nothing."""
    seen = [*ran("lucky", 9, latency_ms=1.0, judged=stars(5.0)), *ran("known", 10, judged=stars(2.0))]
    known, lucky = ranked(kind(), seen, Deployment("lucky", capability=99.0), Deployment("known"))
    assert (known.deployment, lucky.deployment) == ("known", "lucky")
    assert (lucky.score, lucky.parts["has_performance_data"]) == (0.0, 0.0)
    assert "9 of the 10 runs" in lucky.reason


@pytest.mark.parametrize("kind", ALL)
def test_where_none_has_enough_runs_the_capability_orders_and_it_is_said(kind: type[Any]) -> None:
    """Bad input: none with enough runs is a told fallback."""
    places = ranked(kind(), ran("a", 3), Deployment("a", capability=40.0), Deployment("b", capability=70.0))
    assert [(p.deployment, p.score) for p in places] == [("b", 70.0), ("a", 40.0)]
    assert all("of none enough is known" in place.reason for place in places)


@pytest.mark.parametrize("kind", ALL)
def test_one_deployment_an_empty_window_and_no_candidates_are_answered(kind: type[Any]) -> None:
    """Bad input: one deployment, empty windows."""
    assert ranked(kind(), []) == []
    assert [p.score for p in ranked(kind(), [], Deployment("only", capability=61.0))] == [61.0]


@pytest.mark.parametrize("kind", ALL)
def test_names_with_slashes_and_of_any_script_are_ranked_once(kind: type[Any]) -> None:
    """Bad input, C11: ``openai/gpt-4o``; a candidate named twice, one that was never declared."""
    name = "öpenai/gpt-4o/日本"
    seen = ran(name, 12, latency_ms=50.0, judged=stars(4.0), operation="text-to-text/法律")
    places = ranked(kind(), seen, operation="text-to-text", candidates=[name, name, "a/b"])
    assert [place.deployment for place in places] == [name, "a/b"]
    assert places[0].parts["n_runs"] == 12.0


@pytest.mark.parametrize("kind", ALL)
def test_another_minimum_may_be_asked_for(kind: type[Any]) -> None:
    """S5.4: ``min_operations`` of a question."""
    ranker: Ranker = kind().requiring(3)
    [place] = ranked(ranker, ran("a", 3, judged=stars(4.0)), Deployment("a"))
    assert place.parts["has_performance_data"] == 1.0


@pytest.mark.parametrize("kind", ALL)
def test_who_is_tagged_for_other_conversation_types_comes_last(kind: type[Any]) -> None:
    """S2.8: a deployment for images is none for text."""
    painter = Deployment("painter", tags=("text-to-image",))
    seen = [
        *ran("painter", 50, latency_ms=1.0, judged=stars(5.0), operation="text-to-text"),
        *ran("writer", 50, n_ok=46, judged=stars(2.0), operation="text-to-text"),
    ]
    writer, last = ranked(kind(), seen, painter, Deployment("writer", tags=("eu",)), operation="text-to-text")
    assert (writer.deployment, last.deployment, last.score) == ("writer", "painter", 0.0)
    [alone] = ranked(kind(), seen, painter, operation="text-to-text")
    assert "none is declared for it" in alone.reason


@pytest.mark.parametrize(
    ("options", "wrong", "named"),
    [
        (BalancedOptions(), {"speed_weight": 0.5}, "= 1.2"),
        (BalancedOptions(), {"quality_weight": -0.4}, "quality_weight is -0.4"),
        (BalancedOptions(), {"max_acceptable_latency_ms": 0.0}, "max_acceptable_latency_ms is 0.0"),
        (BalancedOptions(), {"min_operations": -1}, "min_operations is -1"),
        (SpeedOptions(), {"min_success_rate": 1.5}, "min_success_rate is 1.5"),
        (SpeedOptions(), {"min_success_rate": nan}, "min_success_rate is nan"),
        (SpeedOptions(), {"max_acceptable_latency_ms": nan}, "max_acceptable_latency_ms is nan"),
        (QualityOptions(), {"min_operations": 0}, "min_operations is 0"),
        (ReliableOptions(), {"min_operations": 0}, "min_operations is 0"),
    ],
)
def test_wrong_options_are_refused_by_name_and_value(options: Any, wrong: dict[str, object], named: str) -> None:
    """Bad input: weights that do not sum to 1, negative ones, thresholds out of range."""
    with pytest.raises(InvalidInputError) as told:
        replace(options, **wrong)
    assert named in str(told.value)


@pytest.mark.parametrize("name", ["balanced", "speed", "quality", "reliable"])
def test_each_is_found_by_entry_point_and_takes_options(name: str) -> None:
    """S5.5: the four priorities are there by name."""
    registry = Registry(is_inline=True, options={name: {"min_operations": 2}})
    registry.load_entry_points(allow=[name])
    assert list(registry.rankers) == [name]
    [place] = ranked(registry.rankers[name], ran("a", 2, judged=stars(4.0)), Deployment("a"))
    assert place.parts["has_performance_data"] == 1.0
    with pytest.raises(ConfigurationError, match="min_operations"):
        Registry(is_inline=True, options={name: {"min_operations": 0}}).load_entry_points(allow=[name])

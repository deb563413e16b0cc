"""The thresholds of the source: out below 0.3, ahead above 0.7, per domain."""

from __future__ import annotations

import logging
from dataclasses import replace
from math import nan
from typing import Any

import pytest

from hivefeedback.errors import InvalidInputError
from hivefeedback.hooks.registry import Registry
from hivefeedback.model import Deployment
from hivefeedback.testing import Seen
from hivefeedback_rankers import ThresholdsOptions, ThresholdsRanker, ThresholdsSpeedRanker
from tests.plugins.ranked import near, ran, ranked

X, GPT = Deployment("model-x", capability=60.0), Deployment("gpt-4o", capability=55.0)


def queried(deployment: str, n: int, n_right: int, *, operation: str = "text-to-text/medical") -> list[Seen]:
    """Runs used in n queries, n_right of which succeeded; every call itself went well."""
    right = ran(deployment, n_right, operation=operation, judged={"query": 1.0})
    return right + ran(deployment, n - n_right, operation=operation, judged={"query": 0.0})


def test_the_examples_of_the_source_are_filtered_and_boosted() -> None:
    """S1.11: 0.25 in the domain is out, 0.85 gains 0.2 of the scale."""
    seen = [*queried("model-x", 20, 5), *queried("gpt-4o", 20, 17)]
    first, last = ranked(ThresholdsRanker(), seen, X, GPT, operation="text-to-text/medical")
    assert (first.deployment, first.score, first.parts["boost"]) == ("gpt-4o", 75.0, 20.0)
    assert (last.deployment, last.score) == ("model-x", 0.0)
    assert last.reason == "Deprioritizing model-x (domain accuracy: 0.25 < 0.30)"
    assert first.reason == "Boosting gpt-4o (domain accuracy: 0.85)"


def test_both_are_logged_as_in_the_source(caplog: pytest.LogCaptureFixture) -> None:
    """S1.14: two of the six lines, at DEBUG."""
    with caplog.at_level(logging.DEBUG, logger="hivefeedback.rankers"):
        ranked(ThresholdsRanker(), [*queried("model-x", 20, 5), *queried("gpt-4o", 20, 17)], X, GPT)
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [
        ("DEBUG", "Performance feedback: Deprioritizing model-x (domain accuracy: 0.25 < 0.30)"),
        ("DEBUG", "Performance feedback: Boosting gpt-4o (domain accuracy: 0.85)"),
    ]


def test_the_thresholds_themselves_are_neither_out_nor_ahead() -> None:
    """S1.11: below 0.3 and above 0.7, strictly."""
    for n_right in (6, 14):
        [place] = ranked(ThresholdsRanker(), queried("model-x", 20, n_right), X)
        assert (place.score, place.parts["boost"]) == (60.0, 0.0)


def test_a_single_failure_filters_nobody() -> None:
    """C5: with fewer than ten queries accuracy decides nothing."""
    [place] = ranked(ThresholdsRanker(), queried("model-x", 9, 0), X)
    assert (place.score, place.parts["has_performance_data"]) == (60.0, 0.0)
    assert "fewer than 10 queries" in place.reason
    seen = [*queried("model-x", 10, 0), *queried("gpt-4o", 9, 0)]
    assert [p.deployment for p in ranked(ThresholdsRanker(), seen, X, GPT)] == ["gpt-4o", "model-x"]


def test_where_all_are_out_the_least_bad_comes_first_with_a_warning() -> None:
    """C6: filtered, unless that empties the set."""
    seen = [*queried("model-x", 20, 2), *queried("gpt-4o", 20, 4)]
    first, last = ranked(ThresholdsRanker(), seen, X, GPT)
    assert (first.deployment, first.score, last.score) == ("gpt-4o", near(20.0), near(10.0))
    assert "warning: none is fit, the least bad comes first" in first.reason


def test_accuracy_is_of_the_domain_with_all_its_tasks() -> None:
    """S1.9: other domains say nothing, tasks of the same domain do."""
    seen = [
        *queried("model-x", 10, 0, operation="text-to-text/medical/triage"),
        *queried("model-x", 10, 1, operation="text-to-text/medical"),
        *queried("model-x", 50, 50, operation="text-to-text/financial"),
    ]
    for operation in ("text-to-text/medical", "text-to-text/medical/triage", "text-to-text/medical/new"):
        [place] = ranked(ThresholdsRanker(), seen, X, operation=operation)
        assert place.parts["accuracy"] == near(0.05)
    [place] = ranked(ThresholdsRanker(), seen, X, operation="text-to-text/financial")
    assert place.parts["boost"] == 20.0
    [place] = ranked(ThresholdsRanker(), queried("model-x", 10, 9, operation="medical"), X, operation="medical")
    assert place.parts["accuracy"] == near(0.9)


def test_the_success_of_queries_goes_before_that_of_calls() -> None:
    """S1.10: every call went well, the queries did not; without queries the calls are told to be it."""
    [place] = ranked(ThresholdsRanker(), queried("model-x", 20, 5), X)
    assert place.parts["accuracy"] == 0.25
    [place] = ranked(ThresholdsRanker(), ran("model-x", 20, n_ok=4), X)
    assert place.parts["accuracy"] == near(0.2)
    assert "of calls, no query was judged" in place.reason


def test_speed_mode_goes_by_real_latency() -> None:
    """S1.11: the faster one leads, the inaccurate one is still out, an unknown one is in the middle."""
    seen = [
        *ran("model-x", 20, n_ok=12, latency_ms=900.0),
        *ran("gpt-4o", 20, n_ok=12, latency_ms=100.0),
        *ran("wrong", 20, n_ok=2, latency_ms=1.0),
    ]
    places = ranked(ThresholdsSpeedRanker(), seen, X, GPT, Deployment("wrong"), Deployment("new"))
    assert [(p.deployment, p.score) for p in places] == [
        ("gpt-4o", near(90.0)),
        ("new", near(50.0)),
        ("model-x", near(10.0)),
        ("wrong", 0.0),
    ]


def test_boosted_scores_stay_within_the_scale_and_in_order() -> None:
    """C7: +0.2 is 20 points of 100; 95 + 20 still goes before 85 + 20."""
    strong, stronger = Deployment("strong", capability=85.0), Deployment("stronger", capability=95.0)
    places = ranked(ThresholdsRanker(), [*ran("strong", 90), *ran("stronger", 10)], strong, stronger)
    assert [(p.deployment, p.score) for p in places] == [("stronger", 100.0), ("strong", 100.0)]


def test_the_threshold_can_be_set() -> None:
    """S1.5: the source's example of 0.4, by option; both rankers take it."""
    registry = Registry(is_inline=True, options={"thresholds": {"accuracy_threshold": 0.4}})
    registry.load_entry_points(allow=["thresholds"])
    assert sorted(registry.rankers) == ["thresholds", "thresholds_speed"]
    for ranker in registry.rankers.values():
        [place] = ranked(ranker, queried("model-x", 20, 7), X)
        assert "0.35 < 0.40" in place.reason


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"accuracy_threshold": -0.1}, "accuracy_threshold is -0.1"),
        ({"boost_threshold": 1.2}, "boost_threshold is 1.2"),
        ({"boost": nan}, "boost is nan"),
        ({"accuracy_threshold": 0.8}, "accuracy_threshold is 0.8; expected at most boost_threshold, 0.7"),
        ({"min_samples": 0}, "min_samples is 0"),
        ({"max_acceptable_latency_ms": 0.0}, "max_acceptable_latency_ms is 0.0"),
    ],
)
def test_wrong_options_are_refused_by_name_and_value(wrong: dict[str, Any], named: str) -> None:
    """Bad input: thresholds out of range."""
    with pytest.raises(InvalidInputError, match=named):
        replace(ThresholdsOptions(), **wrong)


def test_another_minimum_may_be_asked_for() -> None:
    """S5.4, C5: ``min_runs`` of a question."""
    [place] = ranked(ThresholdsRanker().requiring(2), queried("model-x", 2, 0), X)
    assert place.parts["accuracy"] == 0.0

"""Who is used too little, and who too much, beyond chance and without a reason."""

from __future__ import annotations

from typing import Any

import pytest

from hivefeedback.model import Configuration, Finding, Route
from hivefeedback_analyzers import ImbalanceAnalyzer, ImbalanceOptions, UnderuseAnalyzer, UnderuseOptions
from hivefeedback_analyzers.odds import more_p
from tests.plugins.analyzed import CONFIG, HOUR, findings, runs


def _under(*parts: Any, config: Configuration = CONFIG, **options: Any) -> dict[str, Finding]:
    return findings(UnderuseAnalyzer(), *parts, config=config, options=UnderuseOptions(**options))


def _uneven(*parts: Any, config: Configuration = CONFIG, **options: Any) -> dict[str, Finding]:
    return findings(ImbalanceAnalyzer(), *parts, config=config, options=ImbalanceOptions(**options))


def _routed(route: Route, operation: str = "qa") -> Configuration:
    return Configuration(version=1, deployments=CONFIG.deployments, routes={operation: route})


def test_of_nothing_nothing_is_said() -> None:
    assert _under() == {}
    assert _uneven() == {}


# --- under-use ------------------------------------------------------------------------------------


def test_a_deployment_that_is_better_and_hardly_used_is_found() -> None:
    """S4.3 Underutilized resources are findings."""
    found = _under(runs(1000, reward=0.7), runs(60, "b", reward=0.95))
    assert set(found) == {"underuse:b:qa"}
    assert "'b' gets 5.7% of the runs on 'qa' and is better than 'a'" in found["underuse:b:qa"].message
    assert found["underuse:b:qa"].p_value is not None


def test_one_that_is_as_good_or_not_known_enough_or_in_use_is_not() -> None:
    assert _under(runs(1000, reward=0.7), runs(60, "b", reward=0.72)) == {}
    assert _under(runs(1000, bad=0.3), runs(15, "b")) == {}
    assert _under(runs(1000, bad=0.3), runs(25, "b", bad=0.15)) == {}
    assert _under(runs(1000, reward=0.7), runs(300, "b", reward=0.95)) == {}


def test_one_that_a_route_leaves_out_is_the_business_of_degradation() -> None:
    parts = list(runs(1000, reward=0.7)), list(runs(60, "b", reward=0.95))
    assert "underuse:b:qa" not in _under(*parts, config=_routed(Route(candidates=("a", "c"))))


def test_a_declared_deployment_that_exploration_never_found_is_told() -> None:
    """S4.3 Three candidates and 2 % of exploration give each a draw of 150: 20 000 draws pass nobody by."""
    parts = list(runs(10_000)), list(runs(10_000, "b"))
    found = _under(*parts, runs_per_draw=1.0)
    assert set(found) == {"underuse:c:"}
    assert found["underuse:c:"].after is not None
    assert found["underuse:c:"].after.high < 0.001
    assert _under(runs(300), runs(300, "b"), runs_per_draw=1.0) == {}, "so few draws may pass one by"


def test_a_deployment_that_may_not_serve_is_not_missed() -> None:
    config = _routed(Route(candidates=("a", "b")), "")
    assert _under(runs(10_000), runs(10_000, "b"), config=config, runs_per_draw=1.0) == {}


def test_a_fixed_weight_that_gets_nothing_is_told_sooner() -> None:
    config = _routed(Route(weights={"a": 1.0, "b": 1.0, "c": 1.0}), "")
    assert set(_under(runs(300), runs(300, "b"), config=config)) == {"underuse:c:"}
    assert _under(runs(300), runs(300, "b"), config=_routed(Route(weights={"a": 1.0, "b": 1.0}), "")) == {}


# --- imbalance ------------------------------------------------------------------------------------


def test_even_traffic_is_no_finding() -> None:
    assert _uneven(*(runs(300, d) for d in "abc")) == {}
    assert _uneven(runs(330), runs(300, "b"), runs(270, "c")) == {}


def test_one_that_gets_most_though_another_is_not_worse_is_found() -> None:
    """S4.3 Usage imbalance, with its significance."""
    found = _uneven(runs(1800, reward=0.8), runs(200, "b", reward=0.8), runs(100, "c", reward=0.2))
    assert set(found) == {"imbalance:a:qa"}
    finding = found["imbalance:a:qa"]
    assert "'a' gets 86% of the 2100 runs on 'qa' though 'b' is not worse" in finding.message
    assert finding.after is not None
    assert finding.after.low < 0.857 < finding.after.high
    assert finding.p_value is not None


def test_what_is_earned_by_quality_price_or_speed_is_no_imbalance() -> None:
    assert _uneven(runs(1800, reward=0.9), runs(200, "b", reward=0.6)) == {}
    assert _uneven(runs(1800, reward=0.8, usd=0.01), runs(200, "b", reward=0.8, usd=0.02)) == {}
    assert _uneven(runs(1800, reward=0.8, seconds=0.5), runs(200, "b", reward=0.8, seconds=0.9)) == {}


def test_one_of_which_too_little_is_known_may_be_worse() -> None:
    assert _uneven(runs(1000, reward=0.8), runs(40, "b", reward=0.8)) == {}


def test_few_runs_may_be_uneven_by_chance() -> None:
    assert _uneven(runs(60, reward=0.8), runs(50, "b", reward=0.8), runs(1, "c", reward=0.8)) == {}


def test_a_busiest_one_that_runs_into_limits_is_found_first() -> None:
    """S4.3 Load imbalance: who gets too much hits rate limits and timeouts."""
    found = _uneven(
        runs(1500, bad=0.08, outcome="rate_limited", reward=0.8), runs(300, "b", reward=0.8), runs(300, "c", reward=0.8)
    )
    assert "hit rate limits or time out, +8.0%" in found["imbalance:a:qa"].message
    assert found["imbalance:a:qa"].severity > 0.6


def test_traffic_that_does_not_follow_its_fixed_weights_is_found() -> None:
    config = _routed(Route(weights={"a": 0.5, "b": 0.5}))
    found = _uneven(runs(1500, reward=0.9), runs(500, "b", reward=0.1), config=config)
    assert "though its weight is 50%" in found["imbalance:a:qa"].message
    followed = _routed(Route(weights={"a": 0.75, "b": 0.25}))
    assert _uneven(runs(1500, reward=0.9), runs(500, "b", reward=0.9), config=followed) == {}


def test_an_operation_with_one_candidate_cannot_be_uneven() -> None:
    assert _uneven(runs(1000), config=_routed(Route(candidates=("a",)))) == {}


def test_a_share_that_changes_from_hour_to_hour_is_trusted_less() -> None:
    """Long sessions: all of an hour goes to one, so hours are what was drawn, and five of them prove nothing."""
    hours = [runs(200, "b" if i == 2 else "a", reward=0.8, from_s=i * HOUR, over_s=HOUR * 0.99) for i in range(5)]
    assert findings(ImbalanceAnalyzer(), *hours, now_s=5 * HOUR) == {}


def test_rare_events_are_compared_exactly() -> None:
    """Fisher's tea table: of 12 right and 12 wrong, 11 in 14 against 1 in 10."""
    assert more_p(1, 10, 11, 14) == pytest.approx(0.001379728, rel=1e-6)
    assert more_p(10, 1000, 0, 50) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("options", "values"),
    [(UnderuseOptions, {"max_share": 0.0}), (UnderuseOptions, {"alpha": 1.0}), (UnderuseOptions, {"min_runs": 1}),
     (UnderuseOptions, {"runs_per_draw": 0.5}), (ImbalanceOptions, {"min_gap": 1.0}),
     (ImbalanceOptions, {"cheaper": 0.0}), (ImbalanceOptions, {"min_runs": 0})],
)  # fmt: skip
def test_options_out_of_range_are_refused(options: Any, values: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        options(**values)

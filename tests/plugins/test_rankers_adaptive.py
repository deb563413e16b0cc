"""The adaptive ranker against the numbers of its source."""

from __future__ import annotations

import itertools
from dataclasses import replace
from math import comb, inf, nan
from typing import Any

import pytest

from hivefeedback.errors import ConfigurationError, InvalidInputError
from hivefeedback.hooks.registry import Registry
from hivefeedback.model import Deployment
from hivefeedback_rankers import (
    AdaptiveOptions,
    AdaptiveRanker,
    Contender,
    Performance,
    latency_score,
    record_of,
)
from tests.plugins.ranked import ran, ranked

LLAMA = Deployment("llama3-70b", capability=85.0)
MISTRAL = Deployment("mistral-7b", capability=88.0)


def score_of(
    capability: float,
    success: float,
    latency_ms: float | None,
    *,
    n: int = 1000,
    options: AdaptiveOptions | None = None,
) -> float:
    seen = Performance(n_runs=n, n_succeeded=success * n, latency_ms=latency_ms, n_latency=n)
    contender = Contender(deployment="a", capability=capability, performance=seen)
    return AdaptiveRanker(options).place([contender])[0].score


def test_the_first_example_of_the_source_gives_88_95() -> None:
    """S3.1, S3.10, C1: 85, 99 %, 120 ms → 51 + 24.75 + 13.2."""
    [place] = ranked(AdaptiveRanker(), ran("llama3-70b", 100, n_ok=99, latency_ms=120.0), LLAMA)
    assert place.score == pytest.approx(88.95, abs=1e-9)
    parts = {name: pytest.approx(place.parts[name], abs=1e-9) for name in ("capability", "success", "latency")}
    assert parts == {"capability": 51.0, "success": 24.75, "latency": 13.2}
    assert place.parts["penalties"] == 1.0


def test_the_second_example_of_the_source_gives_38_025() -> None:
    """S3.2, S3.10: 88, 60 %, 450 ms → 76.05, halved."""
    [place] = ranked(AdaptiveRanker(), ran("mistral-7b", 100, n_ok=60, latency_ms=450.0), MISTRAL)
    assert place.score == pytest.approx(38.025, abs=1e-9)
    record = record_of(place)
    assert record.performance_adjustment == pytest.approx(-49.975, abs=1e-9)
    assert place.parts["penalties"] == 0.5
    assert "× 0.5: success below 90.0%" in place.reason


def test_both_penalties_together_take_sixty_percent() -> None:
    """S3.2: penalties multiply."""
    assert score_of(100.0, 0.5, 1000.0) == pytest.approx((60.0 + 12.5 + 0.0) * 0.4)


def test_the_latency_score_has_the_four_values_of_the_source() -> None:
    """S3.3: 0, 250, 500, 1000 ms → 100, 75, 50, 0."""
    assert [latency_score(ms, 500.0) for ms in (0.0, 250.0, 500.0, 1000.0)] == [100.0, 75.0, 50.0, 0.0]


def test_a_very_slow_deployment_scores_no_less_than_zero_for_its_latency() -> None:
    """C2: unclamped, 10 s would be −900 points, and the penalty would raise the score."""
    assert latency_score(10_000.0, 500.0) == 0.0
    assert score_of(85.0, 0.99, 10_000.0) == pytest.approx((51.0 + 24.75) * 0.8)
    assert score_of(0.0, 0.0, 1e9) == 0.0


def test_the_table_of_the_source_is_not_what_its_formula_gives() -> None:
    """C3: the formula's own numbers for the source's four pairs."""
    assert score_of(92.0, 0.99, 120.0) == pytest.approx(93.15)
    assert score_of(88.0, 0.99, 120.0) == pytest.approx(90.75)
    assert score_of(85.0, 0.97, 110.0) == pytest.approx(88.6)
    assert score_of(78.2, 0.98, 95.0) == pytest.approx(85.0, abs=0.01)


def test_step_mode_has_the_cliffs_of_the_source() -> None:
    """C4: .900 → 86.70 and .899 → 43.34; 500 ms → 83.25 and 500.1 ms → 66.60."""
    assert score_of(85.0, 0.900, 120.0) == pytest.approx(86.70)
    assert score_of(85.0, 0.899, 120.0) == pytest.approx(43.34, abs=0.005)
    assert score_of(85.0, 0.99, 500.0) == pytest.approx(83.25)
    assert score_of(85.0, 0.99, 500.1) == pytest.approx(66.60, abs=0.005)


def test_fewer_than_ten_runs_leave_the_capability_alone() -> None:
    """S3.6: nine failures change nothing, the tenth counts them all."""
    [place] = ranked(AdaptiveRanker(), ran("llama3-70b", 9, n_ok=0), LLAMA)
    assert place.score == 85.0
    record = record_of(place)
    assert (record.has_performance_data, record.success_rate, record.avg_latency_ms) == (False, None, None)
    assert record.performance_score == record.capability_score == 85.0
    assert "9 of the 10 runs that it needs" in place.reason
    [place] = ranked(AdaptiveRanker(), ran("llama3-70b", 10, n_ok=0), LLAMA)
    assert record_of(place).has_performance_data
    assert place.score < 40.0


def test_an_assignment_is_rendered_as_in_the_source() -> None:
    """S3.7, S3.8, C1: the record's fields, rounded at the API only."""
    [place] = ranked(AdaptiveRanker(), ran("llama3-70b", 100, n_ok=99, latency_ms=120.0), LLAMA)
    assert record_of(place).as_json("agent_gpu_1", place.deployment) == {
        "agent_id": "agent_gpu_1",
        "model_id": "llama3-70b",
        "capability_score": 85.0,
        "performance_score": 88.95,
        "performance_adjustment": 3.95,
        "has_performance_data": True,
        "success_rate": 0.99,
        "avg_latency_ms": 120.0,
    }


def test_an_assignment_without_data_leaves_out_what_is_not_known() -> None:
    """S3.7: success_rate and avg_latency_ms are optional."""
    [place] = ranked(AdaptiveRanker(), [], LLAMA)
    answer = record_of(place).as_json("agent", place.deployment)
    assert answer["has_performance_data"] is False
    assert not {"success_rate", "avg_latency_ms"} & set(answer)


def test_the_record_says_the_same_as_the_parts_of_the_place() -> None:
    """S3.13: what decides can be read from the answer."""
    [place] = ranked(AdaptiveRanker(), ran("llama3-70b", 50, n_ok=40, latency_ms=700.0), LLAMA)
    p = place.parts
    assert (p["capability"] + p["success"] + p["latency"]) * p["penalties"] == pytest.approx(place.score)
    assert record_of(place).parts().items() <= p.items()
    assert p["final"] == p["performance_score"] == place.score


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"capability_weight": 0.7}, "= 1.1; expected a sum of 1 within 0.01"),
        ({"capability_weight": 0.588}, "expected a sum of 1 within 0.01"),
        ({"latency_weight": -0.15, "capability_weight": 0.9}, "latency_weight is -0.15"),
        ({"success_rate_weight": nan}, "success_rate_weight is nan"),
        ({"min_acceptable_success_rate": 0.0}, "min_acceptable_success_rate is 0.0"),
        ({"min_acceptable_success_rate": 1.1}, "min_acceptable_success_rate is 1.1"),
        ({"max_acceptable_latency_ms": -1.0}, "max_acceptable_latency_ms is -1.0"),
        ({"max_acceptable_latency_ms": inf}, "max_acceptable_latency_ms is inf"),
        ({"min_requests_for_performance": 0}, "min_requests_for_performance is 0"),
        ({"shrinkage": -1.0}, "shrinkage is -1.0"),
        ({"mode": "steep"}, "mode is 'steep'"),
    ],
)
def test_wrong_options_are_refused_by_name_and_value(wrong: dict[str, Any], named: str) -> None:
    """S3.5: weights sum to 1 ± 0.01 and are not negative, thresholds are positive."""
    with pytest.raises(InvalidInputError) as told:
        replace(AdaptiveOptions(), **wrong)
    assert named in str(told.value)


def test_weights_may_miss_their_sum_by_a_hundredth() -> None:
    """S3.5: ± 0.01 is inside; the score stays within 100."""
    for capability_weight in (0.59, 0.61):
        options = AdaptiveOptions(capability_weight=capability_weight)
        assert score_of(100.0, 1.0, 0.0, options=options) <= 100.0


def test_a_user_sets_the_options_through_the_registry() -> None:
    """S3.4: configuration by plugin options; a wrong one names the plugin."""
    registry = Registry(is_inline=True, options={"adaptive": {"min_requests_for_performance": 3}})
    registry.load_entry_points(allow=["adaptive"])
    [place] = ranked(registry.rankers["adaptive"], ran("llama3-70b", 3), LLAMA)
    assert place.parts["has_performance_data"] == 1.0
    registry = Registry(is_inline=True, options={"adaptive": {"latency_weight": 0.5}})
    with pytest.raises(ConfigurationError, match=r"adaptive.*latency_weight 0\.5"):
        registry.load_entry_points(allow=["adaptive"])


def test_statistics_stay_with_the_deployment_when_its_model_is_renamed() -> None:
    """C27: a new name for the model does not evade a penalty."""
    seen = ran("worker", 100, n_ok=60, latency_ms=450.0)
    [before] = ranked(AdaptiveRanker(), seen, Deployment("worker", model="mistral-7b", capability=88.0))
    [after] = ranked(AdaptiveRanker(), seen, Deployment("worker", model="acme/mistral-ünïcode", capability=88.0))
    assert after == before


def test_capability_alone_favours_the_unknown_and_shrinkage_does_not() -> None:
    """C27: .25 S + .15 L < .40 C for the proven one, so the unknown one wins unless it is shrunk."""
    proven, unknown = Deployment("proven", capability=85.0), Deployment("unknown", capability=85.0)
    seen = ran("proven", 200, n_ok=184, latency_ms=400.0)
    step = ranked(AdaptiveRanker(), seen, proven, unknown)
    assert [place.deployment for place in step] == ["unknown", "proven"]
    shrunk = ranked(AdaptiveRanker(AdaptiveOptions(shrinkage=20.0)), seen, proven, unknown)
    assert [place.deployment for place in shrunk] == ["proven", "unknown"]
    assert shrunk[0].score == pytest.approx(shrunk[1].score)
    assert not record_of(shrunk[1]).has_performance_data


def test_shrinkage_lets_a_short_record_weigh_little() -> None:
    """C27: twenty common runs outweigh five own failures; two hundred failures outweigh them."""
    options = AdaptiveOptions(shrinkage=20.0)
    fleet = ran("fleet", 1000, n_ok=970)
    few = ranked(AdaptiveRanker(options), [*fleet, *ran("new", 5, n_ok=4)], Deployment("new"), Deployment("fleet"))
    many = ranked(AdaptiveRanker(options), [*fleet, *ran("new", 200, n_ok=20)], Deployment("new"), Deployment("fleet"))
    assert next(p for p in few if p.deployment == "new").parts["penalties"] == 1.0
    assert next(p for p in many if p.deployment == "new").parts["penalties"] == 0.5


def test_shrinkage_without_any_runs_leaves_the_capability() -> None:
    """C27: nothing to draw to."""
    [place] = ranked(AdaptiveRanker(AdaptiveOptions(shrinkage=20.0)), [], LLAMA)
    assert place.score == 85.0


def chance_of_a_penalty(options: AdaptiveOptions, rate: float, n: int) -> float:
    """Probability that n runs of a deployment with this true rate lose a fifth of their score or more."""
    chance = 0.0
    for k in range(n + 1):
        seen = Performance(n_runs=n, n_succeeded=k, latency_ms=120.0, n_latency=n)
        [place] = AdaptiveRanker(options).place([Contender(deployment="a", performance=seen)])
        if place.parts["penalties"] < 0.8:
            chance += comb(n, k) * rate**k * (1 - rate) ** (n - k)
    return chance


def test_smooth_mode_does_not_halve_sound_deployments_at_ten_runs() -> None:
    """C4: step halves a true 95 % in 8.6 % and a true 92 % in 18.8 % of the cases; smooth hardly ever."""
    step, smooth = AdaptiveOptions(), AdaptiveOptions(mode="smooth")
    assert chance_of_a_penalty(step, 0.95, 10) == pytest.approx(0.086, abs=0.001)
    assert chance_of_a_penalty(step, 0.92, 10) == pytest.approx(0.188, abs=0.001)
    assert chance_of_a_penalty(smooth, 0.95, 10) < 0.002
    assert chance_of_a_penalty(smooth, 0.92, 10) < 0.01


def test_smooth_mode_has_no_cliffs() -> None:
    """C4: a small step in success or latency is a small step in the score."""
    smooth = AdaptiveOptions(mode="smooth")
    rates = [score_of(85.0, 0.80 + i / 1000, 120.0, options=smooth) for i in range(150)]
    times = [score_of(85.0, 0.99, 400.0 + i, options=smooth) for i in range(300)]
    assert max(abs(b - a) for a, b in itertools.pairwise(rates)) < 1.5
    assert max(abs(b - a) for a, b in itertools.pairwise(times)) < 0.5
    assert rates == sorted(rates)
    assert times == sorted(times, reverse=True)


def test_smooth_mode_still_charges_what_is_beyond_doubt() -> None:
    """S3.2, C4: far beyond the limits the penalties are the source's."""
    smooth = AdaptiveOptions(mode="smooth")
    assert score_of(88.0, 0.60, 450.0, options=smooth) == pytest.approx(38.025)
    assert score_of(85.0, 0.99, 900.0, options=smooth) == pytest.approx(score_of(85.0, 0.99, 900.0))


def test_smooth_mode_keeps_a_penalty_until_the_evidence_lifts_it() -> None:
    """C4: hysteresis; near the limit the charge depends on where the deployment comes from."""
    ranker = AdaptiveRanker(AdaptiveOptions(mode="smooth"))

    def penalty(n_ok: int, n: int, name: str = "a") -> float:
        seen = Performance(n_runs=n, n_succeeded=n_ok, latency_ms=120.0, n_latency=n)
        return ranker.place([Contender(deployment=name, performance=seen)])[0].parts["penalties"]

    assert penalty(800, 1000) == 0.5
    assert penalty(88, 100) < 1.0  # fallen before: stays charged while the rate is below the limit
    assert penalty(88, 100, "b") == 1.0  # never fallen: 88 of 100 does not prove less than 90 %
    assert penalty(95, 100) == 1.0
    assert penalty(88, 100) == 1.0


def test_smooth_mode_forgets_the_oldest_of_very_many() -> None:
    """C4: the memory of hysteresis is bounded."""
    ranker = AdaptiveRanker(AdaptiveOptions(mode="smooth"))
    bad = Performance(n_runs=1000, n_succeeded=100, latency_ms=10.0, n_latency=100)
    ranker.place([Contender(deployment=f"d{i}", performance=bad) for i in range(10_050)])
    fair = Performance(n_runs=100, n_succeeded=88, latency_ms=10.0, n_latency=88)
    places = {
        p.deployment: p for p in ranker.place([Contender(deployment=f"d{i}", performance=fair) for i in (0, 9999)])
    }
    assert places["d0"].parts["penalties"] == 1.0
    assert places["d9999"].parts["penalties"] < 1.0


def test_an_unknown_latency_takes_no_points_away() -> None:
    """Bad input: runs without a duration; the weight of latency is spread over what is known."""
    [place] = ranked(AdaptiveRanker(), ran("llama3-70b", 100, n_ok=99, latency_ms=None)[:99], LLAMA)
    assert place.score == pytest.approx((51.0 + 25.0) / 0.85)
    assert "latency unknown" in place.reason
    assert "avg_latency_ms" not in place.parts
    only_latency = AdaptiveOptions(capability_weight=0.0, success_rate_weight=0.0, latency_weight=1.0)
    assert score_of(85.0, 0.99, None, options=only_latency) == 0.0


def test_latency_is_that_of_ok_runs() -> None:
    """C9: what fails at once does not look fast; where nothing was ok, failures are what is known."""
    [place] = ranked(AdaptiveRanker(), ran("llama3-70b", 100, n_ok=95, latency_ms=400.0), LLAMA)
    assert place.parts["avg_latency_ms"] == pytest.approx(400.0)
    [place] = ranked(AdaptiveRanker(), ran("llama3-70b", 20, n_ok=0), LLAMA)
    assert place.parts["avg_latency_ms"] == pytest.approx(1.0)


def test_equal_scores_go_to_more_runs_and_then_to_the_name() -> None:
    """S3.13: the order is always the same."""
    deployments = [Deployment("b"), Deployment("a"), Deployment("c")]
    assert [p.deployment for p in ranked(AdaptiveRanker(), ran("c", 3), *deployments)] == ["c", "a", "b"]


def test_only_runs_of_the_operation_and_below_it_count() -> None:
    """S3.6: chat does not answer for chatter."""
    seen = [
        *ran("a", 6, operation="chat"),
        *ran("a", 6, operation="chat/de"),
        *ran("a", 50, n_ok=0, operation="chatter"),
    ]
    [place] = ranked(AdaptiveRanker(), seen, Deployment("a"), operation="chat")
    assert (place.parts["n_runs"], place.parts["success_rate"]) == (12.0, 1.0)
    [place] = ranked(AdaptiveRanker(), seen, Deployment("a"))
    assert place.parts["n_runs"] == 62.0


def test_another_minimum_of_runs_keeps_everything_else() -> None:
    """S3.4, S5.4: ``requiring`` is what min_runs of a question becomes."""
    ranker = AdaptiveRanker(AdaptiveOptions(capability_weight=0.5, latency_weight=0.25)).requiring(2)
    [place] = ranked(ranker, ran("llama3-70b", 2, latency_ms=0.0), LLAMA)
    assert place.score == pytest.approx(0.5 * 85.0 + 25.0 + 25.0)

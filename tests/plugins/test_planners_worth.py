"""Plans of all kinds are weighed alike: priority = impact × urgency, with what they need."""

from __future__ import annotations

from collections.abc import Iterator
from math import comb

import pytest

from hivefeedback.model import Configuration, Deployment, Finding, Interval, Mutation, Route, Run
from hivefeedback.testing import Seen, view_of
from hivefeedback_planners import ModelSwapPlanner, RouteChangePlanner
from hivefeedback_planners.limit import Limit, above_rate_p, below_rate_p
from hivefeedback_planners.traffic import resources_of_other, traffic_of
from hivefeedback_planners.worth import Weight

T0_S = 1_700_000_040.0


def _runs(deployment: str, n: int, rate: float, *, operation: str, cost_usd: float) -> Iterator[Seen]:
    for i in range(n):
        good = int((i + 1) * rate) > int(i * rate)
        run = Run(
            deployment,
            operation,
            run_id=f"{deployment}-{operation}-{i}",
            started_at_s=T0_S + 30 * i,
            cost_usd=cost_usd,
            tokens_out=100 if deployment == "a" else 150,
        )
        yield Seen(run=run, reward=float(good))


FALL = Finding(
    finding_id="f-1",
    analyzer="x",
    kind="degradation",
    message="a fell",
    deployment="a",
    operation="x/qa",
    severity=0.8,
    before=Interval(estimate=0.95, low=0.9, high=1.0),
    after=Interval(estimate=0.3, low=0.2, high=0.4),
)
DEPLOYMENTS = {"a": Deployment("a", model="m-a"), "b": Deployment("b", model="m-b", vram_gb=24.0)}


def _planned(kind: str) -> Mutation:
    """120 runs of ``a`` an hour on x/qa, of 240 together; ``b`` does better at three times the cost."""
    seen = [
        *_runs("a", 120, 0.3, operation="x/qa", cost_usd=0.01),
        *_runs("b", 120, 0.9, operation="x/other", cost_usd=0.03),
    ]
    routes = {"x/qa": Route(candidates=("a",))} if kind == "route" else {}
    config = Configuration(version=1, deployments=DEPLOYMENTS, routes=routes)
    planner = RouteChangePlanner() if kind == "route" else ModelSwapPlanner()
    (mutation,) = planner.hive_plan([FALL], view_of(seen), config, T0_S + 3600)
    return mutation


@pytest.mark.parametrize("kind", ["route", "swap"])
def test_a_swap_and_a_route_say_their_impact_and_urgency(kind: str) -> None:
    """S4.4: priority = impact × urgency with the reason."""
    mutation = _planned(kind)
    gain = mutation.expected_effect.change
    assert mutation.priority == pytest.approx(gain * 0.5 * 0.8)
    assert f"(gain {gain:.1%} on 50.0% of all runs) × urgency 0.8" in mutation.reason


@pytest.mark.parametrize("kind", ["route", "swap"])
def test_a_swap_and_a_route_say_what_they_need_a_day(kind: str) -> None:
    """S4.4: resources. 120 runs an hour at 0.02 USD and 50 tokens more, on a model that needs 24 GB."""
    resources = _planned(kind).resources
    assert resources["cost_usd_per_day"] == pytest.approx(120 * 24 * 0.02, rel=0.05)
    assert resources["tokens_out_per_day"] == pytest.approx(120 * 24 * 50, rel=0.05)
    assert resources["vram_gb"] == 24.0


def test_from_less_than_an_hour_nothing_is_told_about_a_day() -> None:
    """Half a minute of a burst would be told as thousands of USD a day; what a run needs is known all the same."""
    burst = [
        *_runs("a", 10, 0.3, operation="x/qa", cost_usd=0.01),
        *_runs("b", 10, 0.9, operation="x/o", cost_usd=0.03),
    ]
    config = Configuration(version=1, deployments=DEPLOYMENTS)
    found = resources_of_other(traffic_of(view_of(burst)), config, "a", "b", ["x/qa"])
    assert found == pytest.approx({"cost_usd_per_run": 0.02, "tokens_out_per_run": 50.0, "vram_gb": 24.0})


def test_a_weight_is_kept_between_0_and_1() -> None:
    weight = Weight.of(gain=-0.3, share=7.0, urgency=2.0)
    assert weight == Weight(0.0, 1.0, 1.0)
    assert weight.priority == 0.0


@pytest.mark.parametrize("n", [1, 10, 60, 200])
@pytest.mark.parametrize("rate", [0.01, 0.05, 0.2, 0.5])
def test_the_bound_of_a_rates_chance_is_never_below_the_exact_one(n: int, rate: float) -> None:
    for k in range(n + 1):
        above = sum(comb(n, i) * rate**i * (1 - rate) ** (n - i) for i in range(k, n + 1))
        below = sum(comb(n, i) * rate**i * (1 - rate) ** (n - i) for i in range(k + 1))
        assert above_rate_p(k, n, rate) >= above * (1 - 1e-9)
        assert below_rate_p(k, n, rate) >= below * (1 - 1e-9)


def test_nothing_seen_says_nothing_of_a_rate() -> None:
    assert above_rate_p(0, 0, 0.1) == below_rate_p(0, 0, 0.1) == 1.0


@pytest.mark.parametrize(
    ("value", "is_whole", "to"),
    [(768.4, True, 768), (10.0, True, 129), (9999.0, True, 2047), (700.123456, False, 700.123)],
)
def test_a_new_limit_lies_inside_the_bounds_and_stays_whole(value: float, is_whole: bool, to: float) -> None:
    limit = Limit(name="max_tokens", value=512.0, low=128.5, high=2047.5, is_whole=is_whole)
    assert limit.at(value) == to

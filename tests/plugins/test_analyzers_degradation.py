"""The degradation analyzer finds what fell, and nothing where nothing did."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import numpy as np
import pytest

from hivefeedback.model import Configuration, Deployment, Finding, Route, Run
from hivefeedback.stats import Judged, adjusted_p_values
from hivefeedback.testing import Seen, view_of
from hivefeedback_analyzers import DegradationAnalyzer, DegradationOptions
from hivefeedback_analyzers.changes import Pair, change_of, pooled, significant_falls

T0_S = 1_700_000_040.0
"""The start of a minute."""
CONFIG = Configuration(version=1, deployments={n: Deployment(n) for n in ("a", "b", "c")})


def _runs(
    n: int,
    rate: float,
    *,
    from_s: float = 0.0,
    every_s: float = 1.0,
    deployment: str = "a",
    operation: str = "qa",
    by_outcome: bool = False,
    seed: int = 0,
    arm: str = "",
) -> Iterator[Seen]:
    """Runs of which ``rate`` go well: failed by outcome, or answered badly."""
    rng = np.random.default_rng(seed)
    for i in range(n):
        is_good = bool(rng.random() < rate)
        outcome = "ok" if is_good or not by_outcome else "model_error"
        at_s = T0_S + from_s + i * every_s
        run = Run(deployment, operation, outcome, 0.5, run_id=f"{deployment}-{operation}-{at_s}", started_at_s=at_s)
        yield Seen(run=run, reward=float(is_good), arm=arm)


def _findings(
    *parts: Iterator[Seen],
    now_s: float | None = None,
    config: Configuration = CONFIG,
    options: DegradationOptions | None = None,
) -> list[Finding]:
    seen = sorted((s for part in parts for s in part), key=lambda s: s.run.started_at_s or 0.0)
    analyzer = DegradationAnalyzer()
    if options is not None:
        analyzer.configure(options)
    last_s = seen[-1].run.started_at_s if seen else T0_S
    return list(analyzer.hive_analyze(view_of(seen), config, now_s or (last_s or 0.0) + 1))


@pytest.mark.parametrize("by_outcome", [True, False])
def test_a_fall_within_a_single_minute_is_found(by_outcome: bool) -> None:
    good = _runs(40, 0.95, every_s=0.5, by_outcome=by_outcome)
    bad = _runs(20, 0.3, from_s=25, every_s=0.5, by_outcome=by_outcome, seed=1)
    (finding,) = _findings(good, bad)
    assert (finding.kind, finding.deployment, finding.operation) == ("degradation", "a", "qa")
    assert finding.before is not None
    assert finding.after is not None
    assert finding.after.high < finding.before.low
    assert finding.p_value is not None
    assert finding.p_value < 0.001
    assert finding.severity == 1.0
    assert "fell from 9" in finding.message


def test_a_fall_is_found_by_its_first_runs_after_a_long_good_day() -> None:
    (finding,) = _findings(_runs(5000, 0.9, every_s=10), _runs(20, 0.3, from_s=50_001, seed=1))
    assert finding.n_runs == 20


def test_a_slow_fall_of_the_last_hour_is_found_in_the_window() -> None:
    (finding,) = _findings(_runs(4000, 0.9, every_s=3), _runs(1200, 0.8, from_s=12_001, every_s=3, seed=1))
    assert finding.n_runs > 1000
    assert finding.before is not None
    assert finding.before.estimate == pytest.approx(0.9, abs=0.02)


def test_a_few_minutes_of_history_are_compared_by_thirds() -> None:
    options = DegradationOptions(newest=())
    (finding,) = _findings(_runs(240, 0.9), _runs(120, 0.6, from_s=240, seed=1), options=options)
    assert finding.n_runs == 120


def test_nothing_is_found_where_nothing_changed() -> None:
    found = [
        _findings(_runs(600, 0.8, every_s=0.3, seed=seed), _runs(300, 0.5, operation="x", seed=seed))
        for seed in range(60)
    ]
    assert sum(bool(f) for f in found) <= 1


def test_an_improvement_is_no_finding() -> None:
    assert not _findings(_runs(200, 0.5), _runs(100, 0.95, from_s=200, seed=1))


def test_a_fall_too_small_to_matter_is_no_finding() -> None:
    parts = [_runs(40_000, 0.95, every_s=1), _runs(20_000, 0.93, from_s=40_000, every_s=0.1, seed=1)]
    assert not _findings(*parts)


def test_too_few_runs_say_nothing() -> None:
    assert not _findings(_runs(19, 1.0), _runs(9, 0.0, from_s=30))
    assert not _findings()


def test_each_operation_that_fell_is_named_and_the_deployment_too() -> None:
    parts = [
        part
        for i, operation in enumerate(("x/1", "x/2", "x/3"))
        for part in (
            _runs(60, 0.95, operation=operation, seed=i),
            _runs(25, 0.3, from_s=60, operation=operation, seed=i + 9),
        )
    ]
    found = {(f.deployment, f.operation) for f in _findings(*parts)}
    assert found == {("a", "x/1"), ("a", "x/2"), ("a", "x/3"), ("a", "")}


def test_a_fall_too_thin_for_any_operation_shows_on_the_deployment() -> None:
    """Ten operations with six recent runs each."""
    parts = [
        part
        for i in range(10)
        for part in (
            _runs(40, 0.95, operation=f"x/{i}", seed=i),
            _runs(6, 0.3, from_s=3700, operation=f"x/{i}", seed=i + 50),
        )
    ]
    found = {(f.deployment, f.operation) for f in _findings(*parts)}
    assert found == {("a", "")}


def test_harder_work_is_not_taken_for_a_fall() -> None:
    """The deployment does as well as ever on both, but is given more of the hard one."""
    parts = [
        _runs(900, 0.95, operation="easy", every_s=2),
        _runs(100, 0.4, operation="hard", every_s=18),
        _runs(100, 0.95, operation="easy", from_s=5400, every_s=18, seed=3),
        _runs(900, 0.4, operation="hard", from_s=5400, every_s=2, seed=4),
    ]
    assert not _findings(*parts)


def test_what_a_canary_does_is_not_the_deployments_fall() -> None:
    good = _runs(300, 0.95)
    canary = _runs(60, 0.1, from_s=200, seed=2, arm="m-1:canary")
    assert not _findings(good, canary)


def test_the_control_arm_of_a_rollout_counts() -> None:
    (finding,) = _findings(_runs(100, 0.95), _runs(40, 0.2, from_s=100, seed=2, arm="m-1:control"))
    assert finding.n_runs in (20, 50)


def test_the_evidence_are_the_newest_runs_that_went_badly() -> None:
    (finding,) = _findings(_runs(40, 1.0, every_s=0.5), _runs(20, 0.0, from_s=25, every_s=0.5))
    assert len(finding.evidence) == 16
    assert finding.evidence[0] == f"a-qa-{T0_S + 25 + 19 * 0.5}"


def test_a_judgement_that_came_later_replaces_the_unjudged_run() -> None:
    runs = [Run("a", "qa", "ok", run_id=f"r{i}", started_at_s=T0_S + i * 0.5) for i in range(60)]
    judged = [Seen(run=run, reward=float(i < 40)) for i, run in enumerate(runs)]
    (finding,) = _findings(iter([*judged, *(Seen(run=r, reward=0.0) for r in runs[45:])]))
    assert finding.n_runs == 20


# --- better alternatives ------------------------------------------------------------------------


def _bound(route: Route) -> Configuration:
    return Configuration(version=1, deployments=CONFIG.deployments, routes={"qa": route})


@pytest.mark.parametrize(
    ("route", "is_found"),
    [
        (Route(candidates=("a",)), True),
        (Route(candidates=("a", "b"), weights={"a": 0.9, "b": 0.1}), True),
        (Route(candidates=("a", "b")), False),
        (Route(candidates=("c",)), False),
    ],
)
def test_a_better_deployment_is_named_where_a_route_keeps_it_out(route: Route, is_found: bool) -> None:
    found = _findings(_runs(80, 0.5), _runs(80, 0.95, deployment="b"), config=_bound(route))
    assert [f.kind for f in found] == (["better_alternative"] if is_found else [])
    if is_found:
        assert found[0].deployment == "a"
        assert found[0].message.startswith("'b' does")


def test_where_the_policy_is_free_nothing_is_said_about_alternatives() -> None:
    assert not _findings(_runs(80, 0.5), _runs(80, 0.95, deployment="b"))


def test_an_alternative_must_be_better_beyond_chance() -> None:
    config = _bound(Route(candidates=("a",)))
    assert not _findings(_runs(30, 0.8), _runs(30, 0.9, deployment="b"), config=config)


def test_the_plugin_takes_its_options() -> None:
    parts = [_runs(40, 1.0, every_s=0.5), _runs(20, 0.0, from_s=25, every_s=0.5)]
    assert not _findings(*parts, options=DegradationOptions(min_before=1000))


# --- the tests of a turn, all at once -------------------------------------------------------------


def _random_pairs(rng: Random) -> list[Pair]:
    def judged(n: int, mean: float) -> Judged:
        values = [rng.choice((0, 5000, 10_000)) if rng.random() > mean else 10_000 for _ in range(n)]
        return Judged(n, sum(values), sum(v * v for v in values))

    return [
        Pair((d, o), "window", measure, judged(rng.randrange(20, 90), 0.8), judged(rng.randrange(1, 60), rng.random()))
        for d in "abc"
        for o in "xyz"
        for measure in ("success", "quality")
    ]


@pytest.mark.parametrize("seed", range(5))
def test_differences_tested_at_once_are_those_tested_one_by_one(seed: int) -> None:
    pairs = _random_pairs(Random(seed))
    falls = significant_falls(pairs, min_after=10, min_drop=0.05, alpha=0.2)
    one_by_one = [(p.key, change_of(p.measure, p.before, p.after)) for p in pairs]
    groups = {
        (d, m): [c for k, c in one_by_one if k[0] == d and c.measure == m]
        for d in "abc"
        for m in ("success", "quality")
    }
    tested = [(key, change) for key, change in one_by_one if change.n_after >= 10]
    tested += [((d, ""), pooled(changes)) for (d, _), changes in groups.items()]
    adjusted = adjusted_p_values([c.difference.p_value for _, c in tested])
    expected = [
        (key, change, p)
        for (key, change), p in zip(tested, adjusted, strict=True)
        if p <= 0.2 and change.difference.interval.high < 0 and change.difference.interval.estimate <= -0.05
    ]
    assert expected
    named = [(key, change.measure, change.n_after) for key, change, _ in expected]
    assert named == [(t.key, t.pairs[0].measure, t.n_after) for t, _ in falls]
    assert [p for _, _, p in expected] == pytest.approx([p for _, p in falls])
    for t, _ in falls:
        exact = t.change().difference
        assert t.difference.estimate == pytest.approx(exact.interval.estimate)
        assert (t.difference.low, t.difference.high) == pytest.approx((exact.interval.low, exact.interval.high))


def test_nothing_to_test_is_no_fall() -> None:
    assert significant_falls([], min_after=10, min_drop=0.05, alpha=0.2) == []

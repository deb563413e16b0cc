"""Limits are broken and targets missed only where that is more than chance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hivefeedback import FeedbackLoop, Run
from hivefeedback.model import Finding
from hivefeedback.testing import FakeClock, Seen
from hivefeedback_analyzers import TargetsAnalyzer, TargetsOptions
from tests.plugins.analyzed import HOUR, findings, runs


def _found(*parts: Any, now_s: float = HOUR, **options: Any) -> dict[str, Finding]:
    return findings(TargetsAnalyzer(), *parts, now_s=now_s, options=TargetsOptions(**options))


def test_nothing_is_said_of_nothing_and_of_all_that_is_well() -> None:
    assert _found() == {}
    assert _found(runs(500)) == {}


@pytest.mark.parametrize(("seconds", "severity"), [(1.0, None), (1.8, 0.4), (4.0, 0.7)])
def test_the_mean_response_is_held_against_1500_and_3000_ms(seconds: float, severity: float | None) -> None:
    """S4.17 C29 The documented ladder: warn at 1500 ms, critical at 3000 ms; the highest rung is told."""
    found = _found(runs(100, seconds=seconds))
    assert [(f.deployment, f.severity) for f in found.values()] == ([] if severity is None else [("a", severity)])
    if severity == 0.4:
        assert "more than 1500 ms" in found["targets:response:a:"].message


def test_a_mean_near_the_limit_or_of_few_runs_is_no_finding() -> None:
    assert _found(runs(30, seconds=1.53)) == {}
    assert _found(runs(19, seconds=5.0)) == {}


@pytest.mark.parametrize(("bad", "severity"), [(0.05, None), (0.09, 0.6), (0.14, 0.8), (0.22, 1.0)])
def test_failures_are_held_against_5_10_and_15_percent(bad: float, severity: float | None) -> None:
    """S4.13 C29 The ladder 5/10/15 %; the last asks for action."""
    found = _found(runs(2000, bad=bad))
    severities = {name: round(f.severity, 6) for name, f in found.items()}
    assert severities == ({} if severity is None else {"targets:errors:a:qa": severity})


def test_more_than_15_percent_of_few_runs_may_be_chance() -> None:
    """C18 Errors above 15 % have a minimum of runs and a test: 5 of 25 is 20 %, and no finding at 15 %."""
    assert not _found(runs(25, bad=0.2), error_rates=(0.15,))
    found = _found(runs(400, bad=0.25), error_rates=(0.15,))["targets:errors:a:qa"]
    assert found.p_value is not None
    assert found.p_value <= 0.001
    assert found.after is not None
    assert found.after.low > 0.15


def test_failures_spread_over_operations_are_seen_of_the_deployment() -> None:
    parts = [runs(30, operation=f"qa/{i}", bad=0.3) for i in range(10)]
    assert "targets:errors:a:" in _found(*parts)


def test_a_response_above_10_s_is_about_the_95_percent_quantile() -> None:
    """S4.13 C19 10 s is a limit of the p95 over a window: 4 % of slow runs break it not, 15 % do."""
    fast = list(runs(400, seconds=0.3))
    assert "targets:response_p95:a:" not in _found(fast, runs(16, seconds=12.0, seed=2))
    found = _found(fast, runs(70, seconds=14.0, seed=2))["targets:response_p95:a:"]
    assert found.severity == 1.0


def test_timeouts_count_for_the_slowest_too() -> None:
    assert "targets:response_p95:a:" in _found(runs(400, bad=0.15, outcome="timeout", seconds=30.0))


def _complaining(n: int, n_complaints: int, *, from_s: float = 0.0, over_s: float = 600.0) -> list[Seen]:
    seen = list(runs(n, from_s=from_s, over_s=over_s))
    step = n / n_complaints if n_complaints else 0
    at = {int(i * step) for i in range(n_complaints)}
    return [Seen(run=s.run, judged={"complaint": 1.0} if i in at else {}) for i, s in enumerate(seen)]


@pytest.mark.parametrize(("n_complaints", "is_found"), [(5, False), (6, True)])
def test_more_than_5_complaints_in_10_minutes_are_a_finding_by_number_alone_if_asked_for(
    n_complaints: int, is_found: bool
) -> None:
    """S4.13 The rule as it was written."""
    found = _found(
        _complaining(1000, 10, from_s=-HOUR, over_s=HOUR),
        _complaining(600, n_complaints),
        now_s=600.0,
        is_count_enough=True,
    )
    assert ("targets:complaints::" in found) == is_found


def test_a_busy_system_with_as_many_complaints_per_run_as_ever_is_no_finding() -> None:
    """C19 The number grows with the traffic; 20 in 10 minutes are nothing new where 2 % always complain."""
    before = _complaining(6000, 120, from_s=-HOUR, over_s=HOUR)
    assert _found(before, _complaining(1000, 20), now_s=600.0) == {}
    found = _found(before, _complaining(1000, 70), now_s=600.0)["targets:complaints::"]
    assert "70 complaints in 10 minutes" in found.message
    assert found.severity == 0.9


def test_without_a_past_the_number_of_complaints_counts() -> None:
    assert "targets:complaints::" in _found(_complaining(100, 8), now_s=600.0)


def test_targets_that_nobody_set_are_not_missed() -> None:
    assert _found(runs(900, bad=0.04, judged={"rating": 0.6})) == {}


def test_success_below_its_target_is_told() -> None:
    """S4.10 95 %+ success."""
    found = _found(runs(1000, bad=0.09), success_rate=0.95, error_rates=())
    assert set(found) == {"targets:success_rate:a:qa"}
    assert "the target is 95.0%" in found["targets:success_rate:a:qa"].message
    assert _found(runs(1000, bad=0.055), success_rate=0.95, error_rates=()) == {}


def test_a_target_of_100_percent_is_missed_by_any_failure() -> None:
    assert set(_found(runs(100, bad=0.01), success_rate=1.0)) == {"targets:success_rate:a:qa"}


def test_sections_of_the_policy_file_reach_the_analyzer(tmp_path: Path) -> None:
    """S4.17 S4.10 thresholds and targets in hivefeedback.yaml."""
    path = tmp_path / "hivefeedback.yaml"
    path.write_text(
        "thresholds:\n  performance: {response_time: {warning_threshold_ms: 900, critical_threshold_ms: 20000}}\n"
        "targets: {success_rate: 1.0}\n"
    )
    clock = FakeClock()
    with FeedbackLoop(
        "memory://", ["a"], clock=clock, config=path, plugins_allow=["stores", "policies", "targets"]
    ) as loop:
        for i in range(50):
            loop.record(Run("a", "qa", "ok" if i else "model_error", 1.0 + 0.001 * i))
        found = {f.finding_id for f in loop.turn().findings}
        assert found == {"targets:response:a:", "targets:success_rate:a:qa"}


def test_ratings_below_their_target_are_told() -> None:
    """S4.10 4.5 of 5."""
    good, fair = list(runs(60, judged={"rating": 1.0})), list(runs(60, judged={"rating": 0.5}, seed=2))
    assert set(_found(good, fair, rating=4.5)) == {"targets:rating:a:qa"}
    assert _found(good, rating=4.5) == {}
    assert _found(runs(9, judged={"rating": 0.0}), rating=4.5) == {}


def test_a_response_time_that_did_not_fall_by_a_fifth_is_told() -> None:
    """S4.10 Latency -20 %: the last hour against what came before."""
    before = list(runs(300, seconds=1.0, from_s=-3 * HOUR, over_s=3 * HOUR))
    found = _found(before, runs(200, seconds=1.0), response_time_change=-0.2)
    assert set(found) == {"targets:response_time:a:"}
    assert "the target is -20%" in found["targets:response_time:a:"].message
    assert _found(before, runs(200, seconds=0.7), response_time_change=-0.2) == {}


def test_a_cost_that_did_not_fall_as_it_should_is_told() -> None:
    """S4.10 Cost up to -20 %."""
    before = list(runs(300, usd=0.01, from_s=-3 * HOUR, over_s=3 * HOUR))
    assert set(_found(before, runs(200, usd=0.0095), cost_change=-0.2)) == {"targets:cost:a:"}
    assert _found(before, runs(200, usd=0.006), cost_change=-0.2) == {}
    assert _found(runs(300), cost_change=-0.2) == {}


@pytest.mark.parametrize(
    "options",
    [{"warn_response_ms": 0.0}, {"warn_response_ms": 4000.0}, {"error_rates": (0.1, 0.05)}, {"error_rates": (1.5,)},
     {"success_rate": 95.0}, {"rating": 0.0}, {"rating": 6.0}, {"response_time_change": -1.0}, {"cost_change": -20.0},
     {"min_runs": 0}, {"alpha": 0.0}, {"complaints": -1}, {"complaints_window_s": 0.0}],
)  # fmt: skip
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        TargetsOptions(**options)

"""``loop.trend()``: one metric over time, with gaps as gaps."""

from __future__ import annotations

import pytest

from hivefeedback import Run
from hivefeedback.errors import InvalidInputError, UnknownNameError
from hivefeedback.model import Feedback
from hivefeedback.queries import METRICS, Basis, trend
from hivefeedback.stats import Cell, CellKey, Slice, View
from hivefeedback.testing import FakeClock
from tests.core.asking import NOW_S, basis_of, runs
from tests.core.loops import sync_loop

HOUR_S = 3600.0
THIS_HOUR_S = NOW_S // HOUR_S * HOUR_S


def test_points_are_aligned_and_without_gaps() -> None:
    """S5.6: get_model_performance_trend(metric, hours, bucket_size_minutes)."""
    basis = basis_of(
        runs("a", 4, failed=1, at_s=THIS_HOUR_S - 2 * HOUR_S + 60.0), runs("a", 2, at_s=THIS_HOUR_S + 60.0)
    )
    found = trend(basis, metric="success_rate", bucket_s=HOUR_S, deployment="a")
    assert (found.metric, found.unit, found.deployment, found.bucket_s, found.remark) == (
        "success_rate", "0-1", "a", 3600, "",
    )  # fmt: skip
    assert len(found) == 25
    assert all(p.from_s % HOUR_S == 0 and p.to_s - p.from_s == HOUR_S for p in found)
    assert all(b.from_s == a.to_s for a, b in zip(found.points, found.points[1:], strict=False))
    assert found[-1].from_s == THIS_HOUR_S
    assert [p.value for p in found][-3:] == [0.75, None, 1.0]
    assert [p.n for p in found][-3:] == [4, 0, 2]
    assert found.coverage.n_runs == 6


def test_an_empty_bucket_has_no_value_and_never_zero() -> None:
    found = trend(basis_of(), metric="n_runs", bucket_s=HOUR_S)
    assert {p.value for p in found} == {None}
    assert (found.coverage.n_runs, {p.interval for p in found}) == (0, {None})


def test_a_bucket_finer_than_what_is_stored_is_told() -> None:
    """C26: never a resolution that is not there."""
    cell = Cell()
    cell.add_run(Run("a", "x", "ok", 0.5))
    view = View(
        asked_from_s=NOW_S - 86400.0,
        asked_to_s=NOW_S,
        slices=(Slice(int(THIS_HOUR_S - 5 * HOUR_S), 3600, CellKey("a", "x"), cell),),
    )
    found = trend(Basis(view=view, config=basis_of().config, now_s=NOW_S), metric="n_runs", bucket_s=300.0)
    assert (found.asked_bucket_s, found.bucket_s) == (300.0, 3600)
    assert found.remark.startswith("buckets of 300 s were asked for; what is stored of this window has 3600 s")
    odd = trend(Basis(view=view, config=basis_of().config, now_s=NOW_S), metric="n_runs", bucket_s=5000.0)
    assert odd.bucket_s == 7200
    assert odd.remark


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_has_a_trend(metric: str) -> None:
    with sync_loop("a", clock=FakeClock(NOW_S)) as loop:
        run_id = loop.record(
            Run("a", "x", "ok", 2.0, ttft_s=0.5, tokens_in=10, tokens_out=40, cost_usd=0.02, memory_mb=512.0)
        )
        loop.feedback(Feedback(run_id=run_id, rating=4))
        value = next((p.value for p in loop.trend(metric) if p.value is not None), None)
    expected = {
        "success_rate": 1.0, "mean_duration_s": 2.0, "ttft_s": 0.5, "mean_cost_usd": 0.02, "memory_mb": 512.0,
        "tokens_in": 10.0, "tokens_out": 40.0, "p50_s": 2.0, "p95_s": 2.0, "quality": 0.75, "reward": 0.75,
        "accuracy": 1.0, "rating": 4.0, "tokens_per_s": 20.0, "mean_tokens": 50.0, "cost_usd": 0.02, "n_runs": 1.0,
        "failures": 0.0,
    }[metric]  # fmt: skip
    assert value == (None if expected is None else pytest.approx(expected, rel=0.011))


def test_feedback_and_scores_are_metrics_by_their_names() -> None:
    basis = basis_of(runs("a", 3, judged={"accuracy": 0.25, "house_rule": 0.5, "query": 1.0}))
    found = {name: [p.value for p in trend(basis, metric=name) if p.value is not None]
             for name in ("house_rule", "judged:accuracy", "accuracy", "relevance")}  # fmt: skip
    assert found == {"house_rule": [0.5], "judged:accuracy": [0.25], "accuracy": [1.0], "relevance": []}


def test_without_a_deployment_all_are_taken_together() -> None:
    basis = basis_of(runs("a", 4), runs("b", 4, failed=4), runs("a", 8, failed=8, operation="y"))
    assert [p.value for p in trend(basis, metric="success_rate", operation="x") if p.n] == [0.5]
    assert [p.value for p in trend(basis, metric="success_rate") if p.n] == [0.25]


def test_the_interval_of_a_point_is_that_of_its_runs() -> None:
    (point,) = [p for p in trend(basis_of(runs("a", 10, failed=2)), metric="success_rate") if p.n]
    assert point.interval is not None
    assert (round(point.interval.low, 3), round(point.interval.high, 3)) == (0.490, 0.943)


def test_a_window_of_days_lies_in_days() -> None:
    clock = FakeClock(NOW_S)
    with sync_loop("a", clock=clock) as loop:
        loop.record(Run("a", "x"))
        clock.advance(3 * 86400.0)
        loop.record(Run("a", "x"))
        found = loop.trend("n_runs", window_s=4 * 86400.0, bucket_s=86400.0)
        assert [p.value for p in found] == [None, 1.0, None, None, 1.0]


@pytest.mark.parametrize("bucket_s", [0, -1.0, float("nan"), float("inf"), True, "1h", None])
def test_a_width_that_is_none_is_refused(bucket_s: float) -> None:
    with pytest.raises(InvalidInputError, match="bucket_s"):
        trend(basis_of(), metric="n_runs", bucket_s=bucket_s)


@pytest.mark.parametrize("metric", ["", "success", "nope", "judged:", 7, None, ["n_runs"]])
def test_an_unknown_metric_is_told_with_all_that_are_known(metric: str) -> None:
    if metric == "success":  # the name of a feedback
        assert trend(basis_of(), metric=metric).unit == "0-1"
        return
    with pytest.raises(InvalidInputError, match=r"metric .* is not known; known: success_rate, .*failures, complaint"):
        trend(basis_of(), metric=metric)


def test_an_unknown_deployment_is_told() -> None:
    with pytest.raises(UnknownNameError, match="deployment 'nobody'"):
        trend(basis_of(), metric="n_runs", deployment="nobody")


def test_more_points_than_anybody_can_look_at_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="at most 10000"):
        trend(basis_of(window_s=400 * 86400.0), metric="n_runs", bucket_s=60.0)

"""A view answers for exactly what it covers, each run once."""

from __future__ import annotations

import pytest

from hivefeedback.model import Run
from hivefeedback.stats import Exemplar, Judged, View, newest_runs, sample_of, samples
from hivefeedback.testing import Seen, view_of

EMPTY = View(asked_from_s=10.0, asked_to_s=20.0)


def _run(at_s: float, outcome: str = "ok", deployment: str = "a", operation: str = "x/1", trace_id: str = "") -> Run:
    return Run(deployment, operation, outcome, 0.5, run_id=f"{deployment}{at_s}", started_at_s=at_s, trace_id=trace_id)


def test_an_empty_view_covers_nothing_and_says_so() -> None:
    assert (EMPTY.coverage.from_s, EMPTY.coverage.to_s, EMPTY.coverage.n_runs) == (10.0, 20.0, 0)
    assert EMPTY.coverage.resolution_s == 0
    assert EMPTY.totals("deployment") == {}


def test_coverage_is_aligned_to_the_buckets_that_were_read() -> None:
    coverage = view_of([_run(65.0), _run(200.0, "timeout"), _run(201.0, "cancelled")]).coverage
    assert (coverage.from_s, coverage.to_s, coverage.n_runs, coverage.resolution_s) == (60, 240, 2, 60)


def test_totals_merge_by_any_part_of_the_key() -> None:
    view = view_of([_run(1.0), _run(70.0, operation="x/2"), _run(2.0, deployment="b")])
    assert {k: c.n_runs for k, c in view.totals("deployment").items()} == {("a",): 2, ("b",): 1}
    assert len(view.totals("deployment", "operation")) == 3
    assert view.totals()[()].n_runs == 3
    assert view.totals("deployment", where=lambda k: k.operation == "x/2").keys() == {("a",)}


def test_a_run_in_a_rollout_counts_once_in_totals_and_once_in_its_arm() -> None:
    view = view_of([Seen(run=_run(1.0), arm="m-1:canary"), Seen(run=_run(2.0), arm="m-1:control"), _run(3.0)])
    assert view.coverage.n_runs == 3
    assert view.totals()[()].n_runs == 3
    assert {arm: cell.n_runs for arm, cell in view.arms("m-1").items()} == {"canary": 1, "control": 1}
    assert view.arms("m-11") == {}


def test_a_part_holds_the_buckets_that_begin_in_it() -> None:
    view = view_of([_run(1.0), _run(61.0), _run(121.0)])
    assert view.between(60, 120).coverage.n_runs == 1
    assert view.between(0, 121).coverage.n_runs == 3
    assert view.between(200, 300).coverage.n_runs == 0


def test_evidence_is_newest_first_by_trace_where_there_is_one() -> None:
    view = view_of([_run(1.0, "timeout", trace_id="t1"), _run(2.0), _run(3.0, "refused", operation="x/2")])
    assert view.evidence("a") == ("a3.0", "a2.0", "t1")
    assert view.evidence("a", "x/1", failed_only=True) == ("t1",)
    assert view.evidence("a", limit=1) == ("a3.0",)
    assert view.evidence("b") == ()


# --- samples ------------------------------------------------------------------------------------


def test_a_sample_has_outcomes_and_rewards() -> None:
    view = view_of([Seen(run=_run(1.0), reward=0.5), _run(2.0, "timeout"), _run(3.0, "cancelled"), _run(4.0)])
    (sample,) = samples(view, "deployment").values()
    assert sample.outcomes.mean == pytest.approx(2 / 3)
    assert sample.rewards == Judged(1, 5000, 25_000_000)


def test_samples_leave_out_what_canaries_served_and_keep_the_control() -> None:
    seen = [Seen(run=_run(float(i)), reward=1.0, arm="m-1:control") for i in range(5)]
    seen += [Seen(run=_run(10.0 + i, "model_error"), reward=0.0, arm="m-1:canary") for i in range(5)]
    (sample,) = samples(view_of(seen), "deployment", "operation").values()
    assert (sample.outcomes.n, sample.outcomes.mean) == (5, 1.0)
    assert (sample.rewards.n, sample.rewards.mean) == (5, 1.0)


def test_a_part_can_be_taken_from_a_sample_and_given_back() -> None:
    part, rest = sample_of([Exemplar(1.0, "r1", reward=0.25)]), sample_of([Exemplar(2.0, "r2", outcome="timeout")])
    both = part.plus(rest)
    assert both.minus(part) == rest
    assert (both.outcomes.n, both.outcomes.mean) == (2, 0.5)


def test_the_sample_of_single_runs_equals_that_of_their_cells() -> None:
    seen = [
        Seen(run=_run(float(i), "timeout" if i % 3 == 0 else "ok"), reward=0.0 if i % 3 == 0 else 0.8) for i in range(9)
    ]
    view = view_of(seen)
    assert samples(view, "deployment", "operation")["a", "x/1"] == sample_of(newest_runs(view, "a", "x/1"))


def test_newest_runs_are_counted_ones_each_once_in_order_of_time_without_canaries() -> None:
    again = Seen(run=_run(2.0), reward=0.5)
    view = view_of([_run(3.0), _run(2.0), _run(4.0, "cancelled"), Seen(run=_run(5.0), arm="m:canary"), again])
    runs = newest_runs(view, "a", "x/1")
    assert [(e.started_at_s, e.reward) for e in runs] == [(2.0, 0.5), (3.0, None)]
    assert newest_runs(view, "b", "x/1") == []

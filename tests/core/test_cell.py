"""Cells count runs and judgements exactly, and merge in any order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hivefeedback.model import OUTCOMES, Run
from hivefeedback.stats import MAX_EXEMPLARS, Cell, CellKey, Delta, Exemplar, Judged, bucket_of

RUNS = st.builds(
    Run,
    st.just("a"),
    st.just("x"),
    st.sampled_from(OUTCOMES),
    st.one_of(st.none(), st.floats(0, 1e5)),
    tokens_in=st.one_of(st.none(), st.integers(0, 10**9)),
    cost_usd=st.one_of(st.none(), st.floats(0, 1e3)),
)


def _cell(runs: list[Run], judged: dict[str, float] | None = None) -> Cell:
    cell = Cell()
    for run in runs:
        cell.add_run(run)
    for name, value in (judged or {}).items():
        cell.add_judged(name, value)
    return cell


@given(st.lists(RUNS, max_size=12), st.lists(RUNS, max_size=12))
def test_merging_is_commutative_and_equals_counting_all_at_once(a: list[Run], b: list[Run]) -> None:
    left, right = _cell(a, {"rating": 0.3}), _cell(b, {"rating": 0.7})
    left.merge(_cell(b, {"rating": 0.7}))
    right.merge(_cell(a, {"rating": 0.3}))
    both = _cell(a + b)
    both.add_judged("rating", 0.3)
    both.add_judged("rating", 0.7)
    assert left == right == both


def test_a_merge_leaves_the_other_cell_as_it_was() -> None:
    other = _cell([Run("a", "x", "ok", 1.0)], {"rating": 1.0})
    mine = Cell()
    mine.merge(other)
    mine.add_judged("rating", 0.0)
    mine.add_run(Run("a", "x", "ok", 1.0))
    assert other == _cell([Run("a", "x", "ok", 1.0)], {"rating": 1.0})


def test_only_counted_outcomes_enter_success() -> None:
    cell = _cell([Run("a", "x", outcome) for outcome in OUTCOMES])
    assert cell.n_all == 11
    assert cell.n_runs == 6
    assert cell.failures == 3


def test_latency_of_successes_leaves_failures_out() -> None:
    cell = _cell([Run("a", "x", "ok", 1.0), Run("a", "x", "timeout", 30.0), Run("a", "x", "cancelled", 9.0)])
    assert cell.mean("duration_us") == 1_000_000
    assert cell.mean("all_us") == 15_500_000
    assert cell.quantile("all_us", 1.0) == pytest.approx(30.0, rel=0.01)


def test_sums_are_exact_integers() -> None:
    cell = _cell([Run("a", "x", cost_usd=0.1, tokens_out=3, memory_mb=0.5) for _ in range(10)])
    assert cell.sums["cost_nusd"] == 1_000_000_000
    assert cell.mean("tokens_out") == 3
    assert cell.sums["memory_kb"] == 5120
    assert cell.mean("ttft_us") is None
    assert cell.quantile("ttft_us", 0.5) is None


def test_a_judgement_can_be_taken_back() -> None:
    cell = Cell()
    cell.add_judged("reward", 0.25)
    cell.add_judged("reward", 0.75)
    cell.add_judged("reward", 0.25, -1)
    assert cell.judged["reward"] == Judged(1, 7500, 56_250_000)
    assert cell.judged["reward"].mean == 0.75
    assert Judged().mean is None


def test_a_delta_merges_cells_by_key_and_minute() -> None:
    one, two = Delta(), Delta()
    key = CellKey("a", "x")
    one.cell(key, 60).add_run(Run("a", "x"))
    two.cell(key, 60).add_run(Run("a", "x"))
    two.cell(key, 120).add_run(Run("a", "x"))
    one.merge(two)
    assert {k[1]: c.n_runs for k, c in one.cells.items()} == {60: 2, 120: 1}
    assert one
    assert not Delta()


def test_a_delta_keeps_a_bounded_number_of_newest_runs() -> None:
    delta = Delta()
    for i in range(1000):
        delta.add_exemplar("a", "x", Exemplar(float(i), f"r{i}"))
    kept = delta.exemplars["a", "x"]
    assert MAX_EXEMPLARS <= len(kept) <= 2 * MAX_EXEMPLARS
    assert kept[-1].run_id == "r999"


def test_a_bucket_is_the_minute_that_a_time_lies_in() -> None:
    assert (bucket_of(59.9), bucket_of(60.0), bucket_of(-0.1)) == (0, 60, -60)


def test_a_success_is_a_counted_run_that_did_not_fail() -> None:
    cell = _cell([Run("a", "x", outcome) for outcome in OUTCOMES])
    assert cell.outcomes == dict.fromkeys(OUTCOMES, 1)
    assert (cell.successes, cell.failures, cell.n_runs) == (3, 3, 6)  # ok, refused and truncated are answers

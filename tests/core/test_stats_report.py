"""``loop.stats()``: rows, what the window really covers, and nothing where nothing is known."""

from __future__ import annotations

import pytest

from hivefeedback import FeedbackLoop
from hivefeedback.errors import InvalidInputError
from hivefeedback.model import Feedback, Run
from hivefeedback.testing import FakeClock
from tests.core.loops import live_loop, sync_loop


@pytest.fixture
def loop() -> FeedbackLoop:
    return sync_loop("a", "b", "c")


def test_a_row_has_every_number_of_its_runs(loop: FeedbackLoop) -> None:
    for i in range(1, 11):
        loop.record(Run("a", "x", "ok", i / 10, ttft_s=0.1, tokens_in=100, tokens_out=20, cost_usd=0.01))
    loop.record(Run("a", "x", "timeout", 9.0))
    loop.record(Run("a", "x", "cancelled", 9.0))
    (row,) = loop.stats()
    assert (row.deployment, row.n_runs, row.failures) == ("a", 11, 1)
    assert row.success_rate == pytest.approx(10 / 11)
    assert row.mean_duration_s == pytest.approx(0.55)
    assert row.p50_s == pytest.approx(0.5, rel=0.02)
    assert row.p95_s is not None
    assert 0.88 < row.p95_s < 1.02
    assert row.ttft_s == pytest.approx(0.1)
    assert row.mean_tokens == 120
    assert row.cost_usd == pytest.approx(0.1)
    assert row.outcomes == {"ok": 10, "timeout": 1, "cancelled": 1}
    assert row.reward == pytest.approx(10 / 11)
    assert (row.quality, row.n_judged) == (None, 0)


def test_nothing_known_is_none_and_never_zero(loop: FeedbackLoop) -> None:
    loop.record(Run("a", "x", "cancelled"))
    (row,) = loop.stats()
    for value in (row.success_rate, row.quality, row.reward, row.mean_duration_s, row.p95_s, row.ttft_s, row.cost_usd):
        assert value is None
    assert row.mean_tokens is None


def test_rows_are_made_by_the_parts_that_are_asked_for_most_runs_first(loop: FeedbackLoop) -> None:
    for name, operation, agent, n in (("a", "x", "g", 1), ("b", "x", "h", 3), ("a", "y/z", "g", 4)):
        for _ in range(n):
            loop.record(Run(name, operation, agent_id=agent))
    assert [(r.deployment, r.n_runs) for r in loop.stats()] == [("a", 5), ("b", 3)]
    assert [(r.operation, r.n_runs) for r in loop.stats(by=("operation",))] == [("x", 4), ("y/z", 4)]
    assert [(r.agent, r.deployment) for r in loop.stats(by=("agent", "deployment"))] == [("g", "a"), ("h", "b")]
    assert loop.stats(by=())[0].n_runs == 8
    assert len(loop.stats(operation="y")) == 1
    assert list(loop.stats(operation="y/zz")) == []


def test_an_unknown_part_is_refused_with_the_known_ones(loop: FeedbackLoop) -> None:
    with pytest.raises(InvalidInputError, match="deployment, operation, agent"):
        loop.stats(by=("model",))


def test_an_answer_says_what_it_covers() -> None:
    clock = FakeClock(1_700_000_000.0)
    with sync_loop(clock=clock, judgements={"x": []}) as loop:
        loop.record(Run("a", "x"))
        clock.advance(600)
        loop.record(Run("a", "y"))
        coverage = loop.stats(window_s=86_400.0).coverage
        assert (coverage.n_runs, coverage.n_awaiting, coverage.resolution_s) == (2, 1, 60)
        assert coverage.from_s == 1_700_000_000 // 60 * 60
        assert coverage.to_s == (1_700_000_000 + 600) // 60 * 60 + 60
        assert loop.stats(window_s=60.0).coverage.n_runs == 1
        assert loop.stats()[0].n_awaiting == 1
        empty = loop.stats(operation="nothing")
        assert list(empty) == []


def test_a_run_counts_in_the_minute_in_which_it_began_and_its_feedback_too() -> None:
    clock = FakeClock()
    with sync_loop(clock=clock) as loop:
        run_id = loop.record(Run("a", "x", started_at_s=clock() - 3000))
        loop.feedback(Feedback("helpful", 0.5, run_id=run_id))
        assert list(loop.stats(window_s=1200)) == []
        assert loop.stats(window_s=3600)[0].quality == 0.5


def test_agents_beyond_the_bound_are_pooled_and_counted() -> None:
    with sync_loop(agents_tracked=2) as loop:
        for i in range(5):
            loop.record(Run("a", "x", agent_id=f"g{i}"))
        assert {r.agent: r.n_runs for r in loop.stats(by=("agent",))} == {"g0": 1, "g1": 1, "~other": 3}
        assert loop.counters["agents_pooled"] == 3


def test_several_processes_add_up() -> None:
    with live_loop(store="memory://adds-up") as one, live_loop(store="memory://adds-up") as two:
        for loop in (one, two):
            for _ in range(100):
                loop.record(Run("a", "x"))
        one.flush()
        two.flush()
        assert one.stats()[0].n_runs == two.stats()[0].n_runs == 200

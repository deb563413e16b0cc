"""What ``loop.stats()`` tells beyond counts: ratings, accuracy of queries, latencies, memory, blacklist."""

from __future__ import annotations

import pytest

from hivefeedback import Run
from hivefeedback.errors import InvalidInputError
from hivefeedback.model import Feedback
from hivefeedback.queries import stats_of
from hivefeedback.stats import Exemplar, View
from hivefeedback.testing import FakeClock
from tests.core.asking import NOW_S, RANKERS, basis_of, runs
from tests.core.loops import sync_loop


def test_the_mean_latency_is_that_of_the_last_hundred_runs() -> None:
    """S1.7, S1.17: a moving average over the last 100 latencies: 99 of 1244.95 and one of 1250 are 1245."""
    clock = FakeClock(NOW_S)
    with sync_loop("a", clock=clock) as loop:
        for duration_ms in [9000.0] * 50 + [1250.0] + [(1245.0 * 100 - 1250.0) / 99] * 99:
            loop.record(Run("a", "text-to-text/medical", "ok", duration_ms / 1000))
            clock.advance(1.0)
        (row,) = loop.stats()
        assert row.mean_last_100_s == pytest.approx(1.245)
        assert row.mean_duration_s == pytest.approx((50 * 9.0 + 124.5) / 150)


def test_the_newest_hundred_are_taken_over_all_operations_of_a_row() -> None:
    def newest(started_at_s: float, duration_s: float) -> tuple[Exemplar, ...]:
        return tuple(Exemplar(started_at_s + i, f"{started_at_s}-{i}", duration_s) for i in range(100))

    made = basis_of(runs("a", 1), runs("a", 1, operation="y")).view
    view = View(
        asked_from_s=made.asked_from_s,
        asked_to_s=made.asked_to_s,
        slices=made.slices,
        exemplars={("a", "x"): newest(1000.0, 1.0), ("a", "y"): newest(1050.0, 2.0), ("", "x"): newest(0.0, 9.0)},
    )
    (row,) = stats_of(view, operation=None, by=("deployment",))
    assert row.mean_last_100_s == pytest.approx((25 * 1.0 + 75 * 2.0) / 100)
    assert {r.operation: r.mean_last_100_s for r in stats_of(view, operation=None, by=("operation",))} == {
        "x": pytest.approx(1.0), "y": pytest.approx(2.0),
    }  # fmt: skip
    assert {r.mean_last_100_s for r in stats_of(view, operation=None, by=("agent",))} == {None}
    (only,) = stats_of(view, operation="x", by=("deployment",))
    assert only.mean_last_100_s == pytest.approx(1.0)


def test_uncounted_runs_and_repeated_exemplars_do_not_enter_the_mean() -> None:
    with sync_loop("a") as loop:
        run_id = loop.record(Run("a", "x", "ok", 1.0))
        loop.record(Run("a", "x", "timeout", 3.0))
        loop.record(Run("a", "x", "cancelled", 50.0))
        loop.record(Run("a", "x", "ok"))
        loop.feedback(Feedback(run_id=run_id, rating=5))
        (row,) = loop.stats()
        assert row.mean_last_100_s == pytest.approx(2.0)


def test_accuracy_of_queries_stands_beside_the_success_of_calls() -> None:
    """S1.6, S1.10, S1.17: 86 of 101 queries are 0.851; all calls may have worked."""
    view = basis_of(runs("a", 86, judged={"query": 1.0}), runs("a", 15, operation="y", judged={"query": 0.0})).view
    (row,) = stats_of(view, operation=None, by=("deployment",))
    assert (row.total_queries, row.successful_queries) == (101, 86)
    assert row.accuracy == pytest.approx(0.851, abs=0.0005)
    assert (row.success_rate, row.quality, row.n_judged) == (1.0, None, 0)
    before = basis_of(runs("a", 85, judged={"query": 1.0}), runs("a", 15, judged={"query": 0.0}, at_s=NOW_S)).view
    (row,) = stats_of(before, operation=None, by=("deployment",))
    assert (row.total_queries, row.successful_queries, row.accuracy) == (100, 85, 0.85)


def test_the_five_ratings_come_back_on_their_scale() -> None:
    """S2.6, S2.11: relevance, accuracy, helpfulness, creativity, overall from 1 to 5."""
    given = {"relevance": 5, "accuracy": 4, "helpfulness": 3, "creativity": 2, "overall": 1}
    with sync_loop("a") as loop:
        run_id = loop.record(Run("a", "x"))
        for name, rating in given.items():
            loop.feedback(Feedback(name=name, run_id=run_id, rating=rating))
        loop.feedback(Feedback(run_id=run_id, rating=4.5))
        (row,) = loop.stats()
        assert row.ratings == given
        assert row.rating == 4.5
        assert row.accuracy == 1.0  # of its one query; not the rating of that name


def test_tokens_per_second_and_memory_are_means() -> None:
    """S5.1: memory in MB, tokens and seconds."""
    with sync_loop("a") as loop:
        loop.record(Run("a", "x", "ok", 2.0, tokens_out=100, memory_mb=100.0))
        loop.record(Run("a", "x", "timeout", 3.0, tokens_out=0, memory_mb=300.0))
        (row,) = loop.stats()
        assert row.tokens_per_s == pytest.approx(20.0)
        assert row.memory_mb == pytest.approx(200.0)


def test_what_is_not_known_is_none() -> None:
    with sync_loop("a") as loop:
        loop.record(Run("a", "x", "cancelled"))
        (row,) = loop.stats()
        unknown = (row.mean_last_100_s, row.tokens_per_s, row.memory_mb, row.rating, row.total_queries,
                   row.successful_queries, row.accuracy, row.blacklisted_until_s)  # fmt: skip
        assert unknown == (None,) * 8
        assert row.ratings == {}


def test_a_blacklisted_deployment_says_until_when() -> None:
    """S2.9: three failures, one hour; four, two."""
    clock = FakeClock(NOW_S)
    with sync_loop("a", "b", clock=clock) as loop:
        for _ in range(3):
            loop.record(Run("a", "x", "model_error"))
        loop.record(Run("b", "x"))
        until = {row.deployment: row.blacklisted_until_s for row in loop.stats()}
        assert until == {"a": NOW_S + 3600.0, "b": None}
        assert {row.blacklisted_until_s for row in loop.stats(by=("operation",))} == {None}
        (shut,) = loop.blacklist()
        assert (shut.deployment, shut.failures, shut.left_s, shut.state) == ("a", 3, 3600.0, "open")
        clock.advance(3600.0)
        loop.decide("x")
        (shut,) = loop.blacklist()
        assert (shut.left_s, shut.state) == (0.0, "half_open")
        loop.record(Run("a", "x", "model_error"))
        (shut,) = loop.blacklist()
        assert (shut.failures, shut.left_s) == (4, 7200.0)
        loop.record(Run("a", "x"))  # whatever served it: a success
        assert loop.blacklist() == ()


@pytest.mark.parametrize("window_s", [0, -1.0, float("nan"), float("inf"), True, "24h", None])
def test_a_window_that_is_none_is_refused_by_every_question(window_s: float) -> None:
    with sync_loop("a") as loop:
        questions = (
            lambda: loop.stats(window_s),
            lambda: loop.compare(window_s=window_s),
            lambda: loop.rank(window_s=window_s),
            lambda: loop.recommend(window_s=window_s),
            lambda: loop.trend("n_runs", window_s),
            lambda: loop.insights(window_s),
            lambda: loop.assign(["a1"], window_s=window_s),
        )
        for ask in questions:
            with pytest.raises(InvalidInputError, match="window_s"):
                ask()


def test_every_answer_about_a_window_says_what_it_really_covers() -> None:
    """C26: a day of which one second is known is told as such."""
    clock = FakeClock(NOW_S)
    with sync_loop("a", clock=clock, allow=RANKERS, judgements={"x": []}) as loop:
        for _ in range(12):
            loop.record(Run("a", "x", "ok", 0.1))
        clock.advance(1.0)
        minute_s = NOW_S // 60 * 60
        for answer in (
            loop.stats(),
            loop.compare(),
            loop.rank(),
            loop.recommend(),
            loop.trend("n_runs"),
            loop.insights(),
            loop.assign(["a1"]),
        ):
            c = answer.coverage
            told = (c.from_s, c.to_s, c.n_runs, c.n_awaiting, c.resolution_s)
            assert told == (minute_s, minute_s + 60.0, 12, 12, 60), type(answer)
        assert loop.rank(operation="other").coverage.n_runs == 0


def test_an_operation_that_is_no_text_is_refused() -> None:
    with sync_loop("a") as loop, pytest.raises(InvalidInputError, match="operation 5 is int; expected a text"):
        loop.stats(operation=5)  # type: ignore[arg-type]  # wrong on purpose

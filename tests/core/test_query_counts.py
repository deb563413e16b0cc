"""Queries are counted once for each deployment below their root, whatever comes late, again or elsewhere."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from hivefeedback import FeedbackLoop
from hivefeedback.model import Feedback, Run
from hivefeedback.testing import FakeClock
from tests.core.loops import live_loop, sync_loop
from tests.core.recount import assert_queries

Counts = dict[str, tuple[int | None, int | None]]
Open = Callable[..., FeedbackLoop]


def queries(loop: FeedbackLoop) -> Counts:
    """Total and successful queries by deployment."""
    return {row.deployment: (row.total_queries, row.successful_queries) for row in loop.stats(window_s=30 * 86400.0)}


def query(name: str, *deployments: str, outcome: str = "ok", first: str = "below", **more: Any) -> list[Run]:
    """The runs of a query: an agent run at the root, and an llm run below it for each deployment."""
    root = Run("agent", "x", outcome, kind="agent", run_id=name, trace_id=name, **more)
    below = [
        Run(d, "x", run_id=f"{name}.{i}", trace_id=name, parent_id=name, **more) for i, d in enumerate(deployments)
    ]
    return [*below, root] if first == "below" else [root, *below]


def record(loop: FeedbackLoop, runs: Sequence[Run]) -> None:
    for run in runs:
        loop.record(run)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def opened(tmp_path: Path, clock: FakeClock) -> Open:
    """Opens one more process on the same store."""

    def start(**more: Any) -> FeedbackLoop:
        return sync_loop("a", "b", store=f"sqlite:///{tmp_path / 'hive.db'}", clock=clock, **more)

    return start


def look(clock: FakeClock, *loops: FeedbackLoop) -> None:
    """Time goes on, and each process looks at the store."""
    clock.advance(1.0)
    for loop in loops:
        loop.decide("other")


@pytest.mark.parametrize("first", ["below", "root"])
def test_every_deployment_below_a_root_has_one_query(first: str) -> None:
    """S1.6, S1.8, S1.10, C25: a failed call and the success of its query are two things."""
    with sync_loop("a", "b") as loop:
        runs = query("q", "a", "a", "b", first=first)
        runs.append(Run("b", "x", "timeout", trace_id="q", parent_id="q"))
        record(loop, runs)
        assert queries(loop) == {"a": (1, 1), "b": (1, 1)}
        (row,) = (row for row in loop.stats() if row.deployment == "b")
        assert (row.success_rate, row.accuracy) == (0.5, 1.0)
        assert_queries(loop)


@pytest.mark.parametrize("when", ["before", "between", "after"])
def test_a_fact_check_goes_before_feedback_and_that_before_the_outcome(when: str) -> None:
    """S1.13: truth of a query, whenever it is told."""
    with sync_loop("a", "b") as loop:
        runs = query("q", "a", "b", outcome="timeout")
        said = [Feedback("helpful", 1.0, trace_id="q"), Feedback("fact_check", False, trace_id="q")]
        if when == "before":
            loop.feedback(said[0])
        record(loop, runs[:1])
        record(loop, runs[1:])
        if when == "between":
            loop.feedback(said[0])
        if when != "after":
            assert queries(loop) == {"a": (1, 1), "b": (1, 1)}
            loop.feedback(said[1])
        assert queries(loop) == {"a": (1, 0), "b": (1, 0)}
        assert_queries(loop)


def test_a_check_that_is_told_again_replaces_the_one_before() -> None:
    with sync_loop("a", "b") as loop:
        record(loop, query("q", "a", "b"))
        for is_right in (False, True, False, False):
            loop.feedback(Feedback("fact_check", is_right, trace_id="q", idempotency_key="k"))
            assert queries(loop)["b"] == (1, int(is_right))
        assert_queries(loop)


def test_quality_and_reward_know_nothing_of_queries() -> None:
    with sync_loop("a") as loop:
        record(loop, query("q", "a", outcome="timeout"))
        (row,) = loop.stats()
        assert (row.accuracy, row.quality, row.n_judged, row.reward) == (0.0, None, 0, 1.0)


def test_from_where_a_query_succeeds_is_a_setting() -> None:
    with sync_loop("a", query_success_from=0.8) as loop:
        loop.feedback(Feedback(run_id=loop.record(Run("a", "x")), rating=4.0))
        assert queries(loop) == {"a": (1, 0)}


def test_log_run_gives_each_model_one_query() -> None:
    """S1.8, C25: models_used, success_flag, latency_ms, domain."""
    with sync_loop("a", "b") as loop:
        loop.log_run(["a", "b"], True, 1250.0, "medical")
        loop.log_run(["a"], False, 800.0, "medical")
        assert queries(loop) == {"a": (2, 1), "b": (1, 1)}
        assert {row.success_rate for row in loop.stats()} == {1.0}
        assert_queries(loop)


def test_a_call_that_was_tried_again_is_one_query() -> None:
    """C25: two attempts, one decision."""
    with sync_loop("a", "b") as loop:
        decision = loop.decide("x")
        first = decision.deployment or ""
        other = "b" if first == "a" else "a"
        loop.record(Run(first, "x", "timeout", decision_id=decision.decision_id))
        assert queries(loop) == {first: (1, 0)}
        loop.record(Run(other, "x", decision_id=decision.decision_id, attempt=2))
        assert queries(loop) == {first: (1, 1), other: (1, 1)}
        loop.feedback(Feedback("helpful", 0.0, decision_id=decision.decision_id))
        assert queries(loop) == {first: (1, 0), other: (1, 0)}
        assert_queries(loop)


def test_what_is_said_after_a_restart_corrects_the_whole_query(opened: Open) -> None:
    with opened() as loop:
        record(loop, query("q", "a", "b"))
        record(loop, query("p", "a", "b"))
    with opened() as loop:
        loop.feedback(Feedback("fact_check", False, trace_id="q"))
        assert queries(loop) == {"a": (2, 1), "b": (2, 1)}
        loop.feedback(Feedback("fact_check", True, trace_id="q"))
        loop.feedback(Feedback("rating", rating=1, trace_id="q"))
        assert queries(loop) == {"a": (2, 2), "b": (2, 2)}
        assert_queries(loop)


def test_what_is_said_in_another_process_corrects_the_query_once(opened: Open, clock: FakeClock) -> None:
    with opened() as owner, opened() as other:
        record(owner, query("q", "a", "b"))
        other.feedback(Feedback("fact_check", False, trace_id="q"))
        look(clock, owner, other, owner)
        assert queries(owner) == queries(other) == {"a": (1, 0), "b": (1, 0)}
        owner.feedback(Feedback("fact_check", True, trace_id="q"))
        owner.feedback(Feedback("fact_check", True, trace_id="q"))
        look(clock, owner, other)
        assert queries(other) == {"a": (1, 1), "b": (1, 1)}
        assert_queries(other)


def test_a_query_that_another_process_recorded_before_does_not_count_again(opened: Open, clock: FakeClock) -> None:
    with opened() as first:
        record(first, query("q", "a", "b"))
    with opened() as second:
        record(second, query("q", "a", "b", outcome="timeout"))
        look(clock, second)
        assert queries(second) == {"a": (1, 1), "b": (1, 1)}
        assert_queries(second)


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
@pytest.mark.parametrize(
    ("selector", "left"),
    [
        ({"session": "s"}, {"a": (1, 1), "b": (1, 1)}),
        ({"deployment": "b"}, {"a": (2, 1)}),
        ({"agent": "g"}, {"a": (1, 1), "b": (1, 1)}),
    ],
    ids=["session", "deployment", "agent"],
)
def test_what_is_erased_is_taken_back(opened: Open, kind: str, selector: dict[str, Any], left: Counts) -> None:
    with opened() if kind == "sqlite" else sync_loop("a", "b") as loop:
        record(loop, query("q", "a", "b"))
        record(loop, query("p", "a", "b", session_id="s", agent_id="g"))
        loop.feedback(Feedback("fact_check", False, trace_id="p"))
        loop.erase(**selector)
        assert {name: n for name, n in queries(loop).items() if n[0]} == left
        assert_queries(loop)
        loop.feedback(Feedback("fact_check", False, trace_id="q"))
        assert_queries(loop)


def test_a_root_that_is_gone_leaves_no_query_behind() -> None:
    with sync_loop("a", "b") as loop:
        below, root = query("q", "a")
        record(loop, [below, Run("agent", "x", kind="agent", run_id="q", trace_id="q", agent_id="g")])
        assert queries(loop) == {"a": (1, 1)}
        loop.erase(agent="g")
        assert queries(loop) == {"a": (None, None)}
        assert root.run_id == "q"


def test_memory_stays_bounded_when_roots_never_come() -> None:
    with sync_loop("a", join_memory=100) as loop:
        for i in range(1000):
            loop.record(Run("a", "x", trace_id=f"t{i}", parent_id="nobody"))
        assert loop._engine is not None
        known = loop._engine.recorder._judge.queries
        assert (len(known._traces), known._n_held) == (100, 100)
        assert queries(loop) == {"a": (None, None)}


def _story(rng: random.Random, i: int) -> list[Run | Feedback]:
    """A query, shuffled, and what is said of it."""
    name, deployments = f"q{i}", rng.choices("abc", k=rng.randrange(1, 5))
    runs: list[Run | Feedback] = list(
        query(name, *deployments, outcome=rng.choice(["ok", "ok", "timeout", "cancelled"]))
    )
    runs += [
        Run(rng.choice("ab"), "x", rng.choice(["ok", "model_error"]), trace_id=name) for _ in range(rng.randrange(2))
    ]
    rng.shuffle(runs)
    runs += [
        Feedback(rng.choice(["fact_check", "helpful", "complaint"]), float(rng.random() < 0.5), trace_id=name)
        for _ in range(rng.randrange(3))
    ]
    return runs


@pytest.mark.parametrize("seed", range(6))
def test_totals_are_those_of_the_log_whatever_comes_when(opened: Open, clock: FakeClock, seed: int) -> None:
    """S1.10: any order, restarts between, feedback in another process."""
    rng = random.Random(seed)
    loops = [opened(join_memory=rng.choice([100, 50_000])), opened()]
    told: list[Feedback] = []
    for i in range(40):
        loop = rng.choice(loops)
        for thing in _story(rng, i):
            if isinstance(thing, Run):
                loop.record(thing)
            elif rng.random() < 0.5:
                loop.feedback(thing)
            else:
                told.append(thing)
        if rng.random() < 0.1:
            loops[loops.index(loop)].close()
            loops[loops.index(loop)] = opened()
        while told and rng.random() < 0.5:
            rng.choice(loops).feedback(told.pop(rng.randrange(len(told))))
        look(clock, *loops)
    for said in told:
        rng.choice(loops).feedback(said)
    look(clock, *loops, *loops)
    assert_queries(loops[0])
    for loop in loops:
        loop.close()


def test_threads_count_each_query_once(tmp_path: Path) -> None:
    """S1.3."""
    with live_loop("a", "b", store=f"sqlite:///{tmp_path / 'hive.db'}") as loop:
        for i in range(300):
            record(loop, query(f"q{i}", "a", "b"))
        assert loop.flush(20.0)
        assert queries(loop) == {"a": (300, 300), "b": (300, 300)}

"""Plain runs learnt group by group count, teach, open breakers and are found like any other run."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest

from hivefeedback import FeedbackLoop
from hivefeedback.hooks import Collected, Observation, Plugin, hookimpl
from hivefeedback.model import OUTCOMES, Event, Feedback, Run
from hivefeedback.stats import Cell
from hivefeedback.testing import EvenPolicy
from hivefeedback_policies.hierarchical import HierarchicalPolicy
from tests.core.loops import bodies, sync_loop
from tests.core.recount import assert_recount


def batch(loop: FeedbackLoop, runs: Sequence[Run]) -> list[str]:
    """Have the recorder learn runs as one slice, as its thread does; answers their ids."""
    engine = loop._engine
    assert engine is not None
    items = [(next(engine.numbers), loop._clock(), run) for run in runs]
    engine.recorder.process(items)
    return [f"{engine.run_prefix}{seq}" for seq, _, _ in items]


def story(seed: int, n: int = 200, outcomes: Sequence[str] = OUTCOMES) -> list[Run]:
    rng = random.Random(seed)
    return [
        Run(
            rng.choice("abc"),
            rng.choice("xyz"),
            rng.choice(outcomes) if rng.random() < 0.3 else "ok",
            rng.choice([None, rng.uniform(0.01, 90.0)]),
            tokens_in=rng.choice([None, rng.randrange(5000)]),
            cost_usd=rng.choice([None, rng.random()]),
            ttft_s=rng.choice([None, rng.random()]),
        )
        for _ in range(n)
    ]


def cells(loop: FeedbackLoop) -> dict[tuple[str, ...], Cell]:
    return loop.view(86400.0).totals("deployment", "operation")


def in_slices(loop: FeedbackLoop, runs: Sequence[Run], size: int) -> None:
    for start in range(0, len(runs), size):
        batch(loop, runs[start : start + size])


@pytest.mark.parametrize("seed", range(4))
def test_slices_count_as_single_runs_do(seed: int) -> None:
    runs = story(seed)
    with sync_loop("a", "b") as one, sync_loop("a", "b") as many:
        for run in runs:
            one.record(run)
        in_slices(many, runs, 20)
        assert cells(many) == cells(one)
        assert_recount(many)
        assert bodies(many, Run) == runs
        assert many.observed() == one.observed() == {"c": ["x", "y", "z"]}
        newest = [{k: {e.run_id: e for e in v} for k, v in loop.view().exemplars.items()} for loop in (one, many)]
        assert {k: {e.outcome for e in v.values()} for k, v in newest[0].items()} == {
            k: {e.outcome for e in v.values()} for k, v in newest[1].items()
        }


@pytest.mark.parametrize("seed", range(4))
def test_breakers_see_every_run_in_its_order(seed: int) -> None:
    runs = story(seed, outcomes=("timeout",))
    with sync_loop() as one, sync_loop() as many:
        for run in runs:
            one.record(run)
        in_slices(many, runs, 20)
        assert one._engine is not None
        assert many._engine is not None
        assert many._engine.breakers.dump() == one._engine.breakers.dump()


@pytest.mark.parametrize("seed", range(4))
def test_the_default_policy_learns_the_same_and_a_deployments_rewards_in_their_order(seed: int) -> None:
    runs = [run for run in story(seed, 400, outcomes=("timeout",)) if run.operation == "x"]
    with sync_loop(policy=HierarchicalPolicy()) as one, sync_loop(policy=HierarchicalPolicy()) as many:
        for run in runs:
            one.record(run)
        in_slices(many, runs, 20)
        learnt = [loop._engine.policy for loop in (one, many) if loop._engine is not None]
        assert all(isinstance(policy, HierarchicalPolicy) for policy in learnt)
        sums = [(p._total, p._estimates.counts.sum(), p._estimates.sums.sum()) for p in learnt]  # type: ignore[attr-defined]  # as was just said
        assert sums[0] == sums[1]

    class Order(EvenPolicy):
        def learn(self, observations: Sequence[Observation]) -> None:
            super().learn(observations)

    orders = []
    for size in (1, 20):
        policy = Order()
        with sync_loop(policy=policy) as loop:
            in_slices(loop, runs, size)
        orders.append({d: [o.reward for o in policy.observations if o.deployment == d] for d in "abc"})
    assert orders[0] == orders[1]


def test_feedback_finds_a_run_that_was_learnt_in_a_group() -> None:
    policy = EvenPolicy()
    with sync_loop("a", policy=policy) as loop:
        ids = batch(loop, [Run("a", "x", "ok", 0.5, cost_usd=0.1) for _ in range(10)])
        loop.feedback(Feedback("helpful", 0.25, run_id=ids[3]))
        assert [(o.reward, o.previous, o.cost_usd) for o in policy.observations[-1:]] == [(0.25, 1.0, 0.1)]
        assert loop.stats()[0].reward == pytest.approx(9.25 / 10)
        assert_recount(loop)
        loop.record(Run("a", "x", run_id=ids[4]))
        assert loop.counters["duplicate_run"] == 1


def test_where_a_judgement_is_awaited_runs_of_a_slice_wait_for_it() -> None:
    policy = EvenPolicy()
    with sync_loop("a", policy=policy, judgements={"x": []}) as loop:
        ids = batch(loop, [Run("a", "x") for _ in range(10)])
        assert policy.observations == []
        assert loop.stats()[0].n_awaiting == 10
        loop.feedback(Feedback("helpful", 1.0, run_id=ids[0]))
        assert loop.stats()[0].n_awaiting == 9


@pytest.mark.parametrize(
    "odd",
    [
        {"trace_id": None},
        {"attributes": None},
        {"tokens_in": True},
        {"tokens_in": 1.0},
        {"duration_s": -1.0},
        {"duration_s": float("nan")},
        {"cost_usd": "much"},
        {"started_at_s": 0.0},
        {"attempt": True},
        {"operation": "ü"},
        {"operation": ["x"]},
        {"outcome": "fine"},
        {"output": "yes"},
        {"session_id": "s"},
    ],
    ids=str,
)
def test_a_slice_with_one_run_that_is_not_plain_is_looked_at_run_by_run(odd: dict[str, Any]) -> None:
    plain = [Run("a", "x", "ok", 0.5) for _ in range(5)]
    other = Run(**{"deployment": "a", "operation": "x", **odd})
    with sync_loop("a") as one, sync_loop("a") as many:
        for run in (*plain, other):
            one.record(run)
        batch(many, [*plain, other])
        assert bodies(many, Run) == bodies(one, Run)
        assert cells(many) == cells(one)
        assert dict(many.counters) == dict(one.counters)


def test_collect_hooks_see_the_events_of_a_slice_and_what_they_say_counts() -> None:
    class Tags(Plugin):
        name = "tags"
        seen: int = 0

        @hookimpl
        def hive_collect(self, events: Sequence[Event]) -> Collected | None:
            from hivefeedback.hooks import Tag

            self.seen += len(events)
            runs = [e for e in events if isinstance(e.body, Run) and e.body.deployment == "b"]
            return Collected(tags=[Tag(run_id=e.event_id, name="t", value=1) for e in runs])

    tags = Tags()
    with sync_loop("a", "b", plugins=[tags], allow=None) as loop:
        batch(loop, [Run("a", "x") for _ in range(5)])
        batch(loop, [Run(name, "x") for name in "aabaa"])
        assert tags.seen == 10
        assert [dict(run.attributes) for run in bodies(loop, Run) if run.deployment == "b"] == [{"t": 1}]
        assert sum(row.n_runs for row in loop.stats()) == 10


def test_what_waits_in_groups_is_learnt_before_a_commit_and_within_a_moment() -> None:
    from tests.core.loops import live_loop, until

    policy = EvenPolicy()
    with live_loop("a", policy=policy) as loop:
        for _ in range(500):
            loop.record(Run("a", "x"))
        until(lambda: len(policy.observations) == 500)
        for _ in range(500):
            loop.record(Run("a", "x"))
        assert loop.flush()
        assert loop.stats()[0].n_runs == 1000
        assert len(policy.observations) == 1000

"""Runs with a decision, a trace or a session wait in groups too; whoever asks finds them as if they had not."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from hivefeedback import FeedbackLoop
from hivefeedback.model import Feedback, Run
from hivefeedback.recording.learning.plain import PlainRuns
from hivefeedback.stats import Cell
from hivefeedback.testing import EvenPolicy, FakeClock
from tests.core.loops import sync_loop
from tests.core.recount import assert_queries, assert_recount
from tests.core.test_plain import batch

ONE_KIND = {
    "trace": {"trace_id": "t"},
    "decision": {},
    "response": {"response_id": "p"},
    "session": {"session_id": "s"},
    "given id": {"run_id": "given"},
}


def plain(loop: FeedbackLoop) -> PlainRuns:
    assert loop._engine is not None
    return loop._engine.recorder._plain


def learn_each_by_itself(loop: FeedbackLoop) -> None:
    def take(*_: object) -> bool:
        return False

    plain(loop).take = take  # type: ignore[assignment,method-assign]  # the other way of learning, to compare with


def known_runs(loop: FeedbackLoop) -> int:
    """Runs that were learnt by themselves or asked for."""
    assert loop._engine is not None
    return len(loop._engine.recorder._p.joins._runs)


def decided(loop: FeedbackLoop, operation: str = "x", **more: Any) -> Run:
    decision = loop.decide(operation)
    return Run(decision.deployment or "", operation, decision_id=decision.decision_id, **more)


@pytest.mark.parametrize("more", ONE_KIND.values(), ids=ONE_KIND)
def test_a_run_that_did_what_was_decided_waits_in_a_group_and_feedback_finds_it(more: dict[str, Any]) -> None:
    policy = EvenPolicy()
    with sync_loop("a", policy=policy) as loop:
        run = decided(loop, cost_usd=0.25, **more)
        run_id = loop.record(run)
        assert known_runs(loop) == 0
        names: list[dict[str, str]] = [{"run_id": run_id}, {"decision_id": run.decision_id}]
        names += [{name: value} for name, value in more.items()]
        for i, name in enumerate(names):
            loop.feedback(Feedback("helpful", 0.5, idempotency_key="k", **name))  # type: ignore[arg-type]  # ids
            assert known_runs(loop) == 1
            assert loop.stats()[0].n_judged == 1, name
            if not i:
                assert [(o.reward, o.previous, o.cost_usd) for o in policy.observations] == [
                    (1.0, None, 0.25),
                    (0.5, 1.0, 0.25),
                ]
        assert_recount(loop)


@pytest.mark.parametrize(
    "more",
    [{"attempt": 2}, {"parent_id": "above"}, {"agent_id": "g"}, {"kind": "tool"}, {"prompts": ("p",)}, {"input": "hi"}],
    ids=str,
)
def test_runs_about_which_something_is_special_are_learnt_by_themselves(more: dict[str, Any]) -> None:
    with sync_loop("a") as loop:
        loop.record(decided(loop, **more))
        assert known_runs(loop) == 1
        assert_recount(loop)


def test_a_run_of_another_deployment_than_decided_is_learnt_by_itself() -> None:
    with sync_loop("a", "b") as loop:
        run = decided(loop)
        loop.record(Run("b" if run.deployment == "a" else "a", "x", decision_id=run.decision_id))
        loop.record(Run("a", "x", decision_id="unknown"))
        assert known_runs(loop) == 2


def test_another_run_of_the_trace_finds_the_one_in_the_group() -> None:
    with sync_loop("a", "b") as loop:
        loop.record(Run("a", "x", "timeout", trace_id="t"))
        loop.record(Run("b", "x", trace_id="t", attempt=2))
        loop.record(Run("a", "x", trace_id="t", parent_id="q"))
        rows = {row.deployment: (row.total_queries, row.successful_queries) for row in loop.stats()}
        assert rows == {"a": (1, 1), "b": (1, 1)}
        assert known_runs(loop) == 3
        assert_queries(loop)


def test_feedback_that_came_first_joins_a_run_that_could_wait_in_a_group() -> None:
    with sync_loop("a") as loop:
        run = decided(loop)
        loop.feedback(Feedback("helpful", 0.0, decision_id=run.decision_id))
        loop.record(run)
        assert loop.stats()[0].reward == 0.0
        assert_recount(loop)


def test_of_a_session_the_newest_run_is_found_whichever_was_asked_for_before() -> None:
    with sync_loop("a") as loop:
        first, second = (loop.record(decided(loop, session_id="s")) for _ in range(2))
        loop.feedback(Feedback("helpful", 1.0, run_id=first))
        loop.feedback(Feedback("helpful", 0.0, session_id="s"))
        assert {str(e.run_id): e.reward for e in loop.view().exemplars["a", "x"]}[second] == 0.0
        third = loop.record(decided(loop, session_id="s", agent_id="g"))
        loop.feedback(Feedback("helpful", 0.0, session_id="s"))
        assert {str(e.run_id): e.reward for e in loop.view().exemplars["a", "x"]}[third] == 0.0


def test_a_given_id_counts_once_whichever_way_the_runs_are_learnt() -> None:
    with sync_loop("a") as loop:
        for _ in range(2):
            loop.record(decided(loop, run_id="given"))
        loop.record(Run("a", "x", run_id="given", agent_id="g"))
        assert loop.counters["duplicate_run"] == 2
        assert loop.stats()[0].n_runs == 1


def test_what_was_erased_is_not_found_in_a_group() -> None:
    with sync_loop("a") as loop:
        loop.record(decided(loop, session_id="s", trace_id="t"))
        loop.erase(session="s")
        loop.feedback(Feedback("helpful", 0.0, trace_id="t"))
        assert sum(row.n_judged or 0 for row in loop.stats()) == 0
        assert_queries(loop)


@dataclass
class Told:
    """What a loop knows after a story."""

    cells: dict[tuple[str, ...], Cell]
    observations: list[str]
    breakers: bytes
    exemplars: dict[tuple[str, str], list[str]]
    queries: list[tuple[str, int | None, int | None]]


def tell(seed: int, prepare: Callable[[FeedbackLoop], None]) -> Told:
    """Play a story of decisions, runs and feedback in slices, and say what was learnt."""
    rng, policy, clock = random.Random(seed), EvenPolicy(), FakeClock()
    with sync_loop("a", "b", policy=policy, clock=clock, seed=7, join_memory=rng.choice([100, 5000])) as loop:
        prepare(loop)
        ids: list[tuple[str, str]] = []
        for i in range(60):
            things: list[object] = []
            for k in range(rng.randrange(1, 6)):
                run = _run(loop, rng, f"{i}.{k}")
                things.append(run)
                kinds = {"trace_id": run.trace_id, "decision_id": run.decision_id, "session_id": run.session_id}
                ids += [(name, value) for name, value in kinds.items() if value]
            while ids and rng.random() < 0.5:
                said = dict([rng.choice(ids[-20:])])
                things.append(Feedback(rng.choice(["helpful", "complaint", "fact_check"]), rng.random(), **said))  # type: ignore[arg-type]  # ids
            batch(loop, things)  # type: ignore[arg-type]  # runs and feedback
            clock.advance(7.0)
        assert loop._engine is not None
        return Told(
            loop.view(86400.0).totals("deployment", "operation", "fingerprint"),
            sorted(map(repr, policy.observations)),
            loop._engine.breakers.dump(),
            {
                k: sorted({e.run_id: repr((e.started_at_s, e.reward, e.outcome)) for e in v}.values())
                for k, v in loop.view().exemplars.items()
            },
            [(row.deployment, row.total_queries, row.successful_queries) for row in loop.stats()],
        )


def _run(loop: FeedbackLoop, rng: random.Random, name: str) -> Run:
    more: dict[str, Any] = {"session_id": rng.choice(["", "", "s1", "s2"])}
    if rng.random() < 0.5:
        more["trace_id"] = rng.choice([f"t{name}", f"t{name.partition('.')[0]}"])
    if rng.random() < 0.1:
        more["agent_id"] = "g"
    if rng.random() < 0.1:
        more["parent_id"] = "above"
    outcome = rng.choice(["ok", "ok", "ok", "ok", "timeout", "refused", "cancelled"])
    operation = rng.choice("xy")
    if rng.random() < 0.2:
        return Run(rng.choice("ab"), operation, outcome, rng.random(), **more)
    return decided(loop, operation, outcome=outcome, duration_s=rng.random(), **more)


@pytest.mark.parametrize("seed", range(8))
def test_groups_learn_what_each_run_by_itself_would_teach(seed: int) -> None:
    assert tell(seed, lambda _: None) == tell(seed, learn_each_by_itself)

"""What a policy learns from a run, sentence by sentence of the noun table."""

from __future__ import annotations

from typing import Any

import pytest

from hivefeedback import FeedbackLoop
from hivefeedback.hooks import Collected, Observation, Plugin, hookimpl
from hivefeedback.model import BLAMED, INVERTED, OUTCOMES, UNCOUNTED, Event, Feedback, Run, Score
from hivefeedback.recording import RewardRule
from hivefeedback.testing import EvenPolicy, FakeClock
from tests.core.loops import bodies, sync_loop


def learner(**more: Any) -> tuple[FeedbackLoop, EvenPolicy, FakeClock]:
    policy, clock = EvenPolicy(), FakeClock()
    return sync_loop(policy=policy, clock=clock, **more), policy, clock


def rewards(policy: EvenPolicy) -> list[tuple[float, float | None]]:
    return [(o.reward, o.previous) for o in policy.observations]


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_each_outcome_earns_what_the_table_says(outcome: str) -> None:
    loop, policy, _ = learner()
    with loop:
        loop.record(Run("a", "x", outcome))
        row = loop.stats()[0]
    expected = [0.0] if outcome in BLAMED else [1.0] if outcome == "ok" else []
    assert [o.reward for o in policy.observations] == expected
    assert row.failures == (outcome in BLAMED)
    assert row.n_runs == (outcome not in UNCOUNTED)
    assert row.outcomes == {outcome: 1}


def test_only_three_outcomes_count_against_a_deployment_and_five_never_count() -> None:
    assert {"model_error", "rate_limited", "timeout"} == BLAMED
    assert {"cancelled", "abandoned", "control_flow", "cache_hit", "internal"} == UNCOUNTED


@pytest.mark.parametrize("outcome", ["refused", "truncated"])
def test_refused_and_truncated_earn_nothing_unless_judged(outcome: str) -> None:
    loop, policy, _ = learner()
    with loop:
        run_id = loop.record(Run("a", "x", outcome))
        assert policy.observations == []
        loop.feedback(Feedback("helpful", 0.75, run_id=run_id))
        assert rewards(policy) == [(0.75, None)]
        assert loop.stats()[0].n_awaiting == 0


@pytest.mark.parametrize("outcome", sorted(UNCOUNTED))
def test_uncounted_outcomes_never_earn_even_if_judged(outcome: str) -> None:
    loop, policy, _ = learner()
    with loop:
        loop.feedback(Feedback("helpful", 1.0, run_id=loop.record(Run("a", "x", outcome))))
        assert policy.observations == []
        assert loop.stats()[0].quality == 1.0


@pytest.mark.parametrize("outcome", sorted(BLAMED))
def test_a_failure_earns_zero_however_it_is_judged(outcome: str) -> None:
    loop, policy, _ = learner()
    with loop:
        loop.feedback(Feedback("helpful", 1.0, run_id=loop.record(Run("a", "x", outcome))))
        assert rewards(policy) == [(0.0, None)]


def test_the_reward_is_the_mean_of_feedback_and_scores_and_a_change_corrects_once() -> None:
    loop, policy, _ = learner()
    with loop:
        run_id = loop.record(Run("a", "x"))
        for value in (0.0, 1.0, 0.5):
            loop.feedback(Feedback("helpful", value, run_id=run_id))
        assert rewards(policy) == [(1.0, None), (0.0, 1.0), (0.5, 0.0)]  # the third changes nothing
        assert loop.stats()[0].reward == 0.5


@pytest.mark.parametrize("name", sorted(INVERTED))
def test_complaints_corrections_and_repetitions_enter_inverted(name: str) -> None:
    loop, policy, _ = learner()
    with loop:
        loop.feedback(Feedback(name, 0.75, run_id=loop.record(Run("a", "x"))))
        assert policy.observations[-1].reward == 0.25
        assert loop.stats()[0].quality == 0.25


@pytest.mark.parametrize(("name", "correction"), [("complaint", ""), ("correction", "it is 5")])
def test_the_fact_of_a_complaint_or_correction_counts_without_a_value(name: str, correction: str) -> None:
    loop, policy, _ = learner()
    with loop:
        loop.feedback(Feedback(name, correction=correction, run_id=loop.record(Run("a", "x"))))
        assert policy.observations[-1].reward == 0.0


def test_a_declared_judgement_is_awaited_and_the_run_is_not_learnt_before() -> None:
    loop, policy, clock = learner(judgements={"x": ["helpful"]})
    with loop:
        run_id = loop.record(Run("a", "x/deep"))
        loop.record(Run("a", "y"))
        assert [o.operation for o in policy.observations] == ["y"]
        assert loop.stats(operation="x")[0].n_awaiting == 1
        clock.advance(60)
        loop.feedback(Feedback("helpful", 0.25, run_id=run_id))
        assert rewards(policy) == [(1.0, None), (0.25, None)]
        assert loop.stats(operation="x")[0].n_awaiting == 0


def test_only_the_declared_names_judge_the_others_are_counted() -> None:
    loop, policy, _ = learner(judgements={"x": ["helpful"]})
    with loop:
        run_id = loop.record(Run("a", "x"))
        loop.feedback(Feedback("creativity", 0.0, run_id=run_id))
        assert policy.observations == []
        loop.feedback(Feedback("helpful", 1.0, run_id=run_id))
        assert rewards(policy) == [(1.0, None)]
        assert (loop.stats()[0].n_judged, loop.stats()[0].quality) == (2, 0.5)


def test_after_the_first_judgement_of_an_operation_further_ones_are_awaited() -> None:
    loop, policy, _ = learner()
    with loop:
        first = loop.record(Run("a", "x"))
        loop.feedback(Feedback("helpful", 0.5, run_id=first))
        loop.record(Run("a", "x"))
        loop.record(Run("a", "z"))
        assert [(o.operation, o.reward) for o in policy.observations] == [("x", 1.0), ("x", 0.5), ("z", 1.0)]
        assert loop.stats(operation="x")[0].n_awaiting == 1


def test_after_the_horizon_an_unjudged_run_stays_unlearnt_and_awaits_nothing() -> None:
    loop, policy, clock = learner(judgements={"x": []}, judgement_horizon_s=100.0)
    with loop:
        run_id = loop.record(Run("a", "x"))
        clock.advance(101)
        loop.record(Run("a", "other"))
        assert [o.operation for o in policy.observations] == ["other"]
        assert loop.stats(operation="x")[0].n_awaiting == 0
        loop.feedback(Feedback("helpful", 0.5, run_id=run_id))  # later than late, but true
        assert policy.observations[-1].reward == 0.5
        assert loop.stats(operation="x")[0].n_awaiting == 0


def test_unjudged_ok_earns_one_after_the_horizon_and_a_later_judgement_corrects_it() -> None:
    loop, policy, clock = learner(judgements={"x": []}, judgement_horizon_s=100.0, unjudged="ok")
    with loop:
        run_id = loop.record(Run("a", "x"))
        assert policy.observations == []
        clock.advance(101)
        loop.decide("x")
        assert rewards(policy) == [(1.0, None)]
        loop.feedback(Feedback("helpful", 0.0, run_id=run_id))
        assert rewards(policy) == [(1.0, None), (0.0, 1.0)]


def test_scores_of_scorers_and_hooks_judge_like_feedback() -> None:
    class Judge(Plugin):
        name = "judge"

        @hookimpl
        def hive_collect(self, events: Any) -> Collected:
            runs = [e for e in events if isinstance(e, Event) and isinstance(e.body, Run)]
            return Collected(scores=[Score(e.event_id, "brief", 0.5, "judge") for e in runs])

    loop, policy, _ = learner(plugins=[Judge()])
    with loop:
        loop.record(Run("a", "x"))
        assert policy.observations[-1].reward == 0.5
        assert [s.name for s in bodies(loop, Score)] == ["brief"]


def test_only_llm_runs_teach_the_policy_and_count_for_deployments() -> None:
    loop, policy, _ = learner()
    with loop:
        for kind in ("agent", "tool", "chain", "retriever", "evaluation"):
            loop.record(Run("a", "x", "model_error", kind=kind))
        assert policy.observations == []
        assert list(loop.stats()) == []
        assert {loop.decide("x").deployment for _ in range(40)} == {"a", "b"}
        assert loop.view().coverage.n_runs == 5


def test_later_attempts_and_other_servers_feed_the_breaker_but_not_the_policy() -> None:
    loop, policy, _ = learner()
    with loop:
        d = loop.decide("x")
        other = d.fallbacks[0]
        for _ in range(3):
            loop.record(Run(str(d.deployment), "x", "timeout", attempt=2, decision_id=d.decision_id))
        assert loop.decide("x").deployment == other
        loop.record(Run(other, "x", "ok", decision_id=d.decision_id))
        loop.record(Run("b", "x", "ok", decision_id="of another process", decided_deployment="a"))
        assert policy.observations == []
        assert sum(r.n_runs for r in loop.stats()) == 5


def test_an_observation_says_when_how_long_how_dear_and_how_likely() -> None:
    loop, policy, clock = learner()
    with loop:
        d = loop.decide("x")
        start = clock()
        loop.record(Run(str(d.deployment), "x", "ok", 2.0, started_at_s=start, cost_usd=0.5, decision_id=d.decision_id))
    assert policy.observations == [Observation("x", str(d.deployment), 1.0, start + 2.0, None, 2.0, 0.5, 0.5)]


def test_the_longest_declared_prefix_judges() -> None:
    rule = RewardRule({"a": ["x"], "a/b": [], "": ["z"]})
    assert rule.names_of("a/c") == frozenset({"x"})
    assert rule.names_of("a/b/d") == frozenset()
    assert rule.names_of("ab") == frozenset({"z"})
    assert (rule.enters("a/c", "y"), rule.enters("a/b", "y")) == (False, True)

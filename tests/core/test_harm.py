"""Canaries are judged as assigned: per unit, in the step in which it was first seen."""

from __future__ import annotations

from typing import Any

import pytest

from hivefeedback import FeedbackLoop
from hivefeedback.control import decode_counts, read_counts
from hivefeedback.model import Alarm, Decision, Feedback, Run, StepCounts
from hivefeedback.recording.rollouts.harm import HarmTests
from hivefeedback.stats import FAILED_SESSIONS, SEEN_SESSIONS, guardrail_alpha, with_failed_sessions
from hivefeedback.testing import EvenPolicy, FakeClock
from tests.core.loops import end_rollout, live_loop, open_rollout, sync_loop, told


def counts(loop: FeedbackLoop, rollout_id: str = "m-1") -> StepCounts:
    (step,) = read_counts(loop.store, rollout_id)
    return step


def serve(loop: FeedbackLoop, outcome: str, session_id: str | None = None, **more: Any) -> Decision:
    d = loop.decide("x", ["a"], session_id)
    loop.record(Run("a", "x", outcome, 0.1, decision_id=d.decision_id, session_id=session_id or "", **more))
    return d


def variant(d: Decision) -> str:
    return d.assignments[0].variant if d.assignments else ""


def test_a_harmful_canary_is_stopped_here_at_once_and_said_so() -> None:
    with sync_loop("a") as loop:
        rollout = open_rollout(loop, share=0.25)
        n = 0
        while "m-1" not in (loop._engine.live.snapshot.stopped if loop._engine else ()):
            d = loop.decide("x", ["a"], f"s{n}")
            outcome = "model_error" if variant(d) == "canary" else "ok"
            loop.record(Run("a", "x", outcome, 0.1, decision_id=d.decision_id))
            n += 1
            assert n < 400
        for i in range(n, n + 100):
            after = loop.decide("x", ["a"], f"s{i}")
            assert (after.model, after.assignments) == ("a", ())
        alarm = next(a for a in told(loop, Alarm) if a.name == "harm")
        assert (alarm.subject, alarm.numbers["is_error"]) == ("m-1", 1.0)
        assert loop.configuration.rollouts == {"m-1": rollout}  # the turn writes the rollback
        end_rollout(loop, rollout, "rolled_back")
        assert loop.decide("x", ["a"], "s0").assignments == ()


def test_a_harmless_canary_goes_on_whatever_both_arms_suffer() -> None:
    with sync_loop("a") as loop:
        open_rollout(loop, share=0.5)
        for i in range(400):
            serve(loop, "ok" if i % 3 else "refused", f"s{i}")
        d = loop.decide("x", ["a"], "new")
        assert variant(d) in ("canary", "control")


def test_a_session_counts_once_in_its_arm_however_often_it_fails() -> None:
    with sync_loop("a") as loop:
        open_rollout(loop, share=0.5)
        for _ in range(5):
            serve(loop, "ok", "s")
            serve(loop, "truncated", "s")
            serve(loop, "timeout", "s")
            serve(loop, "ok", "s")
        step = counts(loop)
        assert step.control.units + step.canary.units == 1
        assert step.control.failed("error") + step.canary.failed("error") == 1


def test_a_request_without_session_is_a_unit_of_its_own() -> None:
    with sync_loop("a") as loop:
        open_rollout(loop, share=0.5)
        arms = [variant(serve(loop, "ok")) for _ in range(60)]
        step = counts(loop)
        assert (step.canary.units, step.control.units) == (arms.count("canary"), arms.count("control"))


def test_a_failed_first_attempt_counts_although_the_rescue_succeeds_and_stays_in_its_arm() -> None:
    with sync_loop("a", "b") as loop:
        open_rollout(loop, share=1.0)
        d = loop.decide("x", ["a", "b"])
        loop.record(Run(str(d.deployment), "x", "model_error", decision_id=d.decision_id))
        loop.record(Run(d.fallbacks[0], "x", "ok", decision_id=d.decision_id, attempt=2))
        step = counts(loop)
        assert (step.canary.units, step.canary.failed("error"), step.control.units) == (1, 1, 0)


def test_a_request_that_another_deployment_served_stays_in_its_arm() -> None:
    with sync_loop("a", "b") as loop:
        open_rollout(loop, share=1.0)
        d = loop.decide("x", ["a"])
        loop.record(Run("b", "x", "timeout", decision_id=d.decision_id))
        assert counts(loop).canary.failed("error") == 1


@pytest.mark.parametrize("outcome", ["cancelled", "abandoned", "control_flow", "cache_hit", "internal"])
def test_uncounted_outcomes_are_no_units(outcome: str) -> None:
    with sync_loop("a") as loop:
        open_rollout(loop, share=1.0)
        serve(loop, outcome)
        assert read_counts(loop.store, "m-1") == ()


def test_a_judgement_that_comes_late_fails_the_unit_by_quality_once() -> None:
    with sync_loop("a") as loop:
        open_rollout(loop, share=1.0)
        first = serve(loop, "ok")
        assert counts(loop).canary.failed("quality") == 0
        for value in (0.0, 1.0, 0.0):
            loop.feedback(Feedback("helpful", value, decision_id=first.decision_id, idempotency_key="k"))
        second = serve(loop, "ok")
        assert counts(loop).canary.units == 1  # the second still awaits its judgement
        loop.feedback(Feedback("helpful", 1.0, decision_id=second.decision_id))
        step = counts(loop)
        assert (step.canary.units, step.canary.failed("quality"), step.canary.failed("error")) == (2, 1, 0)


def test_a_unit_that_nobody_judged_in_time_did_not_fail() -> None:
    clock = FakeClock()
    with sync_loop("a", clock=clock, judgements={"x": []}, judgement_horizon_s=100.0) as loop:
        open_rollout(loop, share=1.0)
        serve(loop, "ok")
        assert read_counts(loop.store, "m-1") == ()
        clock.advance(101)
        loop.decide("x")
        loop.flush()
        step = counts(loop)
        assert (step.canary.units, step.canary.failed("quality")) == (1, 0)


def test_latency_and_cost_fail_above_the_bounds_that_were_fixed_before() -> None:
    with sync_loop("a") as loop:
        open_rollout(loop, share=1.0, limits={"latency": 1.0, "cost": 0.5})
        for duration_s, cost_usd in ((0.5, 0.1), (1.5, 0.1), (0.5, 0.9)):
            d = loop.decide("x", ["a"])
            loop.record(Run("a", "x", "ok", duration_s, cost_usd=cost_usd, decision_id=d.decision_id))
        step = counts(loop)
        assert (step.canary.units, step.canary.failed("latency"), step.canary.failed("cost")) == (3, 1, 1)


def test_counts_of_two_processes_arrive_merged_in_the_store() -> None:
    store = "memory://two-processes"
    with sync_loop("a", store=store) as one, sync_loop("a", store=store) as two:
        open_rollout(one, share=1.0)
        two.refresh()
        for loop in (one, two):
            serve(loop, "ok")
            serve(loop, "timeout")
        step = counts(one)
        assert (step.canary.units, step.canary.failed("error")) == (4, 2)
        records = one.store.state.list("rollout", prefix="m-1/")
        assert len(records) == 2
        assert all(decode_counts(r.value)[0].canary.units == 2 for r in records)


def test_counts_arrive_from_a_loop_with_threads_too() -> None:
    with live_loop("a") as loop:
        open_rollout(loop, share=1.0)
        for _ in range(20):
            serve(loop, "ok")
        assert loop.flush(20.0)
        assert counts(loop).canary.units == 20


def test_runs_of_a_canary_are_counted_in_the_total_once_and_in_its_arm() -> None:
    with sync_loop("a") as loop:
        open_rollout(loop, share=0.5)
        arms = [variant(serve(loop, "ok", f"s{i}")) for i in range(40)]
        cells = loop.view().arms("m-1")
        assert {v: c.n_runs for v, c in cells.items()} == {v: arms.count(v) for v in ("canary", "control")}
        assert loop.stats()[0].n_runs == 40
        newest = loop.view().exemplars[("a", "x")]
        assert sum(e.is_canary for e in newest) == arms.count("canary")


def test_units_that_come_back_count_in_the_step_in_which_they_were_first_seen() -> None:
    from dataclasses import replace

    tests = HarmTests(alpha=0.01, unit_memory=100)
    with sync_loop("a", policy=EvenPolicy()) as loop:
        rollout = open_rollout(loop, share=0.5)
        early = next(d for d in (loop.decide("x", ["a"], f"s{i}") for i in range(50)) if variant(d) == "canary")
    tests.follow({"m-1": rollout})
    tests.settle(early, is_blamed=False, reward=1.0, duration_s=None, cost_usd=None)
    tests.follow({"m-1": replace(rollout, share=1.0, step=1)})
    late = early.of_session(str(early.session_id))
    tests.settle(late, is_blamed=True, reward=0.0, duration_s=None, cost_usd=None)
    records = tests.records("p", 1)
    seen = [(r.key, r.value) for r in records if r.namespace == SEEN_SESSIONS]
    failed = [(r.key, r.value) for r in records if r.namespace == FAILED_SESSIONS]
    (step,) = with_failed_sessions((), failed, seen)
    assert (step.share, step.control.units, step.canary.units, step.canary.failed("error")) == (0.5, 0, 1, 1)
    assert tests.records("p", 1) == []


def test_half_of_alpha_goes_to_errors_and_the_rest_is_shared() -> None:
    rails = ("error", "quality", "latency", "cost")
    assert guardrail_alpha("error", 0.01, rails) == 0.005
    assert sum(guardrail_alpha(rail, 0.01, rails) for rail in rails) == pytest.approx(0.01)

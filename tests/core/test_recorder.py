"""The recorder goes on whatever its policy or an item does, and says what it did."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from hivefeedback import FeedbackLoop
from hivefeedback.hooks import Observation
from hivefeedback.model import Alarm, Feedback, Run
from hivefeedback.testing import EvenPolicy, FakeClock
from tests.core.loops import bodies, live_loop, open_rollout, sync_loop, told

METHODS = ("learn", "shares", "index", "declare", "due", "alarms", "dump", "load", "adopt", "forget")


@pytest.mark.parametrize(
    "answer",
    [5, None, "raise", [("a",)], [5], object()],
    ids=["number", "none", "raise", "tuple", "list", "object"],
)
@pytest.mark.parametrize("method", METHODS)
def test_a_policy_that_fails_or_answers_nonsense_costs_only_its_own_answer(
    method: str, answer: Any, tmp_path: Path
) -> None:
    def wrong(*args: object, **named: object) -> Any:
        if answer == "raise":
            raise RuntimeError("no idea")
        return answer

    policy = EvenPolicy()
    setattr(policy, method, wrong)
    store = f"memory://{tmp_path.name}"
    for _ in range(2):
        with sync_loop(policy=policy, store=store) as loop:
            for _ in range(3):
                d = loop.decide("x")
                assert d.deployment in ("a", "b", "c")  # the second start knows what was added in the first
                assert d.reason != "failed"
                loop.record(Run(str(d.deployment), "x", decision_id=d.decision_id))
            loop.add_deployment("c")
            assert loop.flush()
            assert len(bodies(loop, Run)) % 3 == 0
            assert loop.counters["decide_failed"] == loop.counters["record_failed"] == 0
            assert loop.counters["store_errors"] == loop.counters["commits_refused"] == 0


def test_alarms_of_the_policy_are_logged_with_their_numbers() -> None:
    class Alarmed(EvenPolicy):
        def alarms(self) -> Sequence[tuple[str, str, dict[str, float]]]:
            return [("a", "x", {"log_lr": 5.0})]

    with sync_loop(policy=Alarmed()) as loop:
        loop.record(Run("a", "x"))
        (alarm,) = told(loop, Alarm)
    assert (alarm.name, alarm.subject, alarm.operation, alarm.numbers) == ("change", "a", "x", {"log_lr": 5.0})


def test_breakers_that_open_and_close_are_logged() -> None:
    clock = FakeClock()
    with sync_loop(clock=clock) as loop:
        for _ in range(3):
            loop.record(Run("a", "x", "timeout"))
        loop.record(Run("a", "x", "ok"))
        assert [(a.name, a.subject) for a in told(loop, Alarm)] == [("breaker_open", "a"), ("breaker_closed", "a")]


def test_a_run_without_operation_or_decision_is_counted_and_learnt() -> None:
    policy = EvenPolicy()
    with sync_loop(policy=policy) as loop:
        loop.record(Run("a"))
        assert loop.counters["run_without_operation"] == 1
        assert policy.observations == [Observation("", "a", 1.0, policy.observations[0].at_s)]
        d = loop.decide("x")
        loop.record(Run(str(d.deployment), decision_id=d.decision_id))
        assert policy.observations[-1].operation == "x"


def test_what_was_learnt_and_which_breakers_are_open_outlives_a_restart() -> None:
    store, clock = "memory://outlives", FakeClock()

    class Remembers(EvenPolicy):
        loaded = b""

        def dump(self) -> bytes:
            return b'{"n": %d}' % len(self.observations)

        def load(self, data: bytes) -> None:
            self.loaded = data

    with sync_loop(store=store, clock=clock, policy=Remembers()) as loop:
        for _ in range(3):
            loop.record(Run("a", "x", "timeout"))
    again = Remembers()
    with sync_loop(store=store, clock=clock, policy=again) as loop:
        assert again.loaded == b'{"n": 3}'
        assert {loop.decide("x").deployment for _ in range(20)} == {"b"}


def test_learning_and_breakers_do_not_wait_for_a_flush() -> None:
    from tests.core.loops import until

    policy = EvenPolicy()
    with live_loop(policy=policy) as loop:
        loop.record(Run("a", "x"))
        until(lambda: policy.observations)
        loop.feedback(Feedback("helpful", 0.0, run_id=loop.record(Run("a", "x"))))
        until(lambda: policy.observations[-1].reward == 0.0)
        for _ in range(3):
            loop.record(Run("a", "x", "timeout"))
        until(lambda: [e.deployment for e in loop.decide("x").excluded] == ["a"])
        assert loop.decide("x").deployment == "b"


def test_a_process_that_learnt_nothing_does_not_overwrite_what_another_learnt(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/hive.db"
    with FeedbackLoop(store=url, deployments=["a"], clock=FakeClock()) as idle:
        with FeedbackLoop(store=url, deployments=["a"], clock=FakeClock()) as busy:
            for _ in range(3):
                busy.record(Run("a", "x", "timeout"))
        learnt = {r.namespace: r.value for r in (*idle.store.state.list("policy"), *idle.store.state.list("breaker"))}
    with FeedbackLoop(store=url, deployments=["a"], clock=FakeClock()) as again:
        kept = {r.namespace: r.value for r in (*again.store.state.list("policy"), *again.store.state.list("breaker"))}
        assert kept == learnt
        assert len(kept) == 2


def test_a_run_whose_decision_is_forgotten_teaches_nobody_while_a_rollout_is_open() -> None:
    policy = EvenPolicy()
    with sync_loop("a", policy=policy) as loop:
        open_rollout(loop, share=0.5)
        loop.record(Run("a", "x", decision_id="d-of-another-process"))
        assert policy.observations == []
        loop.record(Run("a", "x"))
        assert [o.deployment for o in policy.observations] == ["a"]


def test_a_deployment_that_only_the_host_named_is_observed_too() -> None:
    with sync_loop("a") as loop:
        d = loop.decide("x", ["b"])
        loop.record(Run("b", "x", decision_id=d.decision_id))
        assert loop.observed() == {"b": ["x"]}

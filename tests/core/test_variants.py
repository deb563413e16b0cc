"""Who learns from a canary: its variant, both variants of two, and at its end the deployment or nobody."""

from __future__ import annotations

from pathlib import Path

import pytest

from hivefeedback.hooks import Observation
from hivefeedback.model import Deployment, Feedback, PutPrompt, Run, UsePrompt, variant_id
from hivefeedback.recording.rollouts.variants import Variants, together
from hivefeedback.testing import EvenPolicy, FakeClock
from tests.core.loops import end_rollout, open_rollout, sync_loop


@pytest.mark.parametrize(("state", "learners"), [("promoted", ["a"]), ("rolled_back", [])])
def test_runs_in_flight_at_the_end_teach_the_deployment_after_a_promotion_else_nobody(
    state: str, learners: list[str]
) -> None:
    policy = EvenPolicy()
    with sync_loop("a", policy=policy) as loop:
        rollout = open_rollout(loop, share=1.0)
        in_flight = loop.decide("x", ["a"])
        end_rollout(loop, rollout, state)
        loop.record(Run("a", "x", decision_id=in_flight.decision_id))
        assert [o.deployment for o in policy.observations] == learners


@pytest.mark.parametrize(("state", "learners"), [("promoted", ["a@m-1", "a"]), ("rolled_back", ["a@m-1"])])
def test_feedback_after_the_end_corrects_the_deployment_after_a_promotion_else_nobody(
    state: str, learners: list[str]
) -> None:
    policy = EvenPolicy()
    with sync_loop("a", policy=policy) as loop:
        rollout = open_rollout(loop, share=1.0)
        d = loop.decide("x", ["a"])
        loop.record(Run("a", "x", decision_id=d.decision_id))
        end_rollout(loop, rollout, state)
        loop.feedback(Feedback("helpful", 0.0, decision_id=d.decision_id))
        assert [o.deployment for o in policy.observations] == learners


def test_failures_in_flight_shut_no_breaker_of_a_variant_that_is_gone() -> None:
    with sync_loop("a", breaker_failures=1) as loop:
        rollout = open_rollout(loop, share=1.0)
        in_flight = loop.decide("x", ["a"])
        end_rollout(loop, rollout, "rolled_back")
        loop.record(Run("a", "x", "model_error", decision_id=in_flight.decision_id))
        assert loop.decide("x", ["a"]).excluded == ()
        assert loop._engine is not None
        assert loop._engine.live.snapshot.open_breakers == frozenset()


def test_after_a_restart_variants_of_rollouts_that_are_over_are_forgotten_and_their_last_runs_taught_to_nobody(
    tmp_path: Path,
) -> None:
    url, clock = f"sqlite:///{tmp_path / 'hive.db'}", FakeClock()
    with sync_loop("a", store=url, clock=clock) as loop:
        ended = open_rollout(loop, share=1.0)
        d = loop.decide("x", ["a"])
        run_id = loop.record(Run("a", "x", decision_id=d.decision_id))
        end_rollout(loop, ended, "rolled_back")
        open_rollout(loop, share=1.0, rollout_id="m-2")
    policy = EvenPolicy()
    with sync_loop("a", store=url, clock=clock, policy=policy) as loop:
        assert policy.forgotten == ["a@m-1"]  # the one that is open stays
        loop.feedback(Feedback("helpful", 0.0, run_id=run_id))
        assert policy.observations == []


def test_a_unit_in_two_canaries_learns_under_both_names_and_is_forgotten_with_either() -> None:
    policy = EvenPolicy()
    with sync_loop("a", policy=policy, prompts={"p": "old"}) as loop:
        first = open_rollout(loop, share=1.0)
        patch = (PutPrompt("p", 2, loop.store.journal.put_body("new")), UsePrompt("p", 2))
        second = open_rollout(loop, patch, share=1.0, rollout_id="m-2")
        d = loop.decide("x", ["a"])
        d.prompt("p")
        loop.record(Run("a", "x", decision_id=d.decision_id))
        late = loop.decide("x", ["a"])
        late.prompt("p")
        assert [o.deployment for o in policy.observations] == ["a@m-1+m-2"]
        end_rollout(loop, first, "promoted")
        assert policy.adopted == [("a", "a@m-1")]
        assert policy.forgotten == ["a@m-1", "a@m-1+m-2"]
        loop.record(Run("a", "x", decision_id=late.decision_id))
        assert policy.observations[-1].deployment == "a@m-2"
        end_rollout(loop, second, "rolled_back")
        assert policy.forgotten[2:] == ["a@m-2"]


def test_a_promotion_that_is_taken_back_teaches_the_deployment_no_longer() -> None:
    variants = Variants()
    variants.end("m-1", is_promoted=True)
    assert variants.learner("a@m-1") == "a"
    variants.follow(frozenset())
    assert variants.learner("a@m-1") == ""


def test_names_that_only_look_like_variants_are_left_alone() -> None:
    variants = Variants()
    observation = Observation("x", "a@m-2", 1.0, 0.0)
    assert variants.of_now([observation]) == [observation]
    variants.end("m-1", is_promoted=False)
    kept = [Observation("x", name, 1.0, 0.0) for name in ("a", "team@host", "a@m-2")]
    assert variants.of_now([*kept, Observation("x", "a@m-1", 1.0, 0.0)]) == kept


def test_variants_of_several_canaries_name_them_in_their_order() -> None:
    assert variant_id("a") == Deployment("a").id
    assert list(together("a", "m-2", ["m-1", "m-2", "m-3"])) == ["a@m-1+m-2", "a@m-2+m-3", "a@m-1+m-2+m-3"]
    assert list(together("a", "m-1", ["m-1"])) == []

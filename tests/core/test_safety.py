"""What core holds to, whatever the monitors say."""

from __future__ import annotations

import pytest

from hivefeedback.control import Control, counts_key, encode_counts
from hivefeedback.control.safety import proven_harm, restrained
from hivefeedback.hooks import Record
from hivefeedback.model import (
    ArmCounts,
    Decided,
    Mutation,
    MutationKind,
    Outcome,
    Outlook,
    Rollout,
    Run,
    StepCounts,
)
from hivefeedback.stats import guardrails_of
from hivefeedback.testing.control import Rig, swap
from tests.core.loops import sync_loop
from tests.core.rigs import opened


def decided(control: Control) -> tuple[Decided, str]:
    (outcome,) = control.turn().outcomes
    return outcome.decided, outcome.reason


# --- harm -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("answers", [{}, {"sequential": "continue"}, {"sequential": "promote"}])
def test_proven_harm_is_taken_back_whatever_the_monitors_say(rig: Rig, answers: dict[str, Decided]) -> None:
    control, mutation_id = opened(rig)
    rig.stages.outlooks = answers
    rig.count(mutation_id, canary=8, failures=(10, 8))
    what, why = decided(control)
    assert what == "roll_back"
    assert "proven worse by error: 8 of 8 settled units against 10 of 152" in why
    assert rig.states(mutation_id)[-1] == "rolled_back"
    numbers = control.why(mutation_id).steps[-1].numbers
    assert numbers["log_e_harm_error"] >= numbers["log_e_needed_error"]


def test_a_loop_whose_monitor_is_denied_still_takes_a_broken_canary_back() -> None:
    with sync_loop("a", allow=("stores", "model_swap"), canary_steps=[0.5, 1.0]) as loop:
        mutation_id = loop.propose(Mutation(kind=MutationKind.MODEL_SWAP, target="a", to="broken"))
        loop.turn()
        assert mutation_id in loop.configuration.rollouts
        for _ in range(60):
            decision = loop.decide("x")
            outcome: Outcome = "model_error" if decision.model == "broken" else "ok"
            loop.record(Run("a", "x", outcome, decision_id=decision.decision_id))
        (outcome_of_turn,) = loop.turn().outcomes
        assert (outcome_of_turn.decided, outcome_of_turn.monitor) == ("roll_back", "core")
        assert not loop.configuration.rollouts
        assert loop.configuration.deployments["a"].model == "a"


def test_failures_that_chance_explains_are_left_to_the_monitors(rig: Rig) -> None:
    control, mutation_id = opened(rig)
    rig.count(mutation_id, canary=8, failures=(40, 2))
    assert decided(control)[0] == "continue"


def test_bounds_of_latency_and_cost_are_guardrails_where_they_are_known(rig: Rig) -> None:
    control, mutation_id = opened(rig)
    rollout = control.configuration.rollouts[mutation_id]
    assert guardrails_of(rollout) == ("error", "quality")
    assert proven_harm(rollout, (), control._ctx.options) is None


# --- promotion ------------------------------------------------------------------------------------


def test_a_canary_of_which_no_unit_has_ended_is_not_promoted_however_bad_the_control_is(rig: Rig) -> None:
    control, mutation_id = opened(rig, canary_min_units=20)
    rig.stages.outlooks = {"sequential": "promote"}
    rig.store.state.put(_units(mutation_id, control=209, failing=143, canary=0))
    what, why = decided(control)
    assert what == "continue"
    assert "0 of 10 units of the canary have ended" in why
    assert rig.states(mutation_id)[-1] == "canary"


def test_a_proven_improvement_needs_ten_units_and_any_other_reason_as_many_as_a_step(rig: Rig) -> None:
    control, mutation_id = opened(rig, canary_min_units=20)
    rig.stages.outlooks = {"sequential": "promote"}
    rig.count(mutation_id, canary=19)
    assert "19 of 20 units" in decided(control)[1]
    rig.count(mutation_id, share=0.25, canary=9, failures=(27, 0))
    assert "9 of 10 units" in decided(control)[1]
    rig.count(mutation_id, share=0.25, canary=10, failures=(30, 0))
    assert decided(control)[0] == "promote"


def test_a_small_minimum_holds_for_a_proven_improvement_too(rig: Rig) -> None:
    control, mutation_id = opened(rig, canary_min_units=3)
    rig.stages.outlooks = {"sequential": "promote"}
    rig.count(mutation_id, canary=3)
    assert decided(control)[0] == "promote"


@pytest.mark.parametrize(("n_control", "n_canary", "arm"), [(2000, 50, "canary"), (400, 50, "control")])
def test_an_arm_whose_units_do_not_end_keeps_the_canary_from_being_promoted(
    rig: Rig, n_control: int, n_canary: int, arm: str
) -> None:
    control, mutation_id = opened(rig)
    rig.stages.outlooks = {"sequential": "promote"}
    rig.store.state.put(_units(mutation_id, control=n_control, failing=0, canary=n_canary))
    what, why = decided(control)
    assert what == "continue"
    assert f"units of the {arm} have ended where the other arm makes one expect" in why


def test_without_a_control_there_is_nothing_to_compare_with(rig: Rig) -> None:
    control = rig.control(canary_steps=(1.0,))
    mutation_id = control.propose(swap())
    control.turn()
    rig.stages.outlooks = {"other": "promote"}
    rig.count(mutation_id, share=1.0, canary=50)
    assert decided(control)[0] == "promote"


def test_what_may_not_be_promoted_is_still_paused_at_its_largest_age(rig: Rig) -> None:
    control, _ = opened(rig)
    rig.stages.outlooks = {"sequential": "promote"}
    rig.clock.advance(7 * 86400)
    what, why = decided(control)
    assert what == "pause"
    assert "0 of 50 units of the canary have ended" in why


def test_a_person_may_promote_what_was_paused_without_any_unit(rig: Rig) -> None:
    control, mutation_id = opened(rig)
    rig.stages.outlooks = {"sequential": "pause"}
    control.turn()
    control.approve(mutation_id, by="ann")
    assert decided(control)[0] == "promote"


def test_answers_that_stop_are_never_softened(rig: Rig) -> None:
    control, mutation_id = opened(rig)
    rollout: Rollout = control.configuration.rollouts[mutation_id]
    answers: tuple[Decided, ...] = ("roll_back", "pause", "inconclusive")
    for answer in answers:
        given = Outlook(rollout_id=mutation_id, decided=answer, reason="x")
        assert restrained(rollout, given, (), control._ctx.options, 1e12) == given


def _units(rollout_id: str, *, control: int, failing: int, canary: int) -> Record:
    step = StepCounts(
        share=0.05, control=ArmCounts(units=control, failures={"error": failing}), canary=ArmCounts(units=canary)
    )
    return Record("rollout", counts_key(rollout_id, "p", 1), encode_counts([step]))

"""A person's yes and no, and taking back: open to any process, once, never by surprise."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hivefeedback.control import Control
from hivefeedback.errors import InvalidInputError, RefusedError, UnknownNameError
from hivefeedback.model import Deployment, Mutation, MutationKind
from hivefeedback.testing.control import Rig, swap


def waiting(rig: Rig, mutation: Mutation | None = None) -> tuple[Control, str]:
    """A mutation that awaits a person."""
    rig.stages.answers = {"risk": "ask"}
    control = rig.control()
    return control, control.propose(mutation or swap())


def in_canary(rig: Rig, mutation: Mutation | None = None) -> tuple[Control, str]:
    """A mutation that is served to the first share."""
    control = rig.control()
    mutation_id = control.propose(mutation or swap())
    control.turn()
    assert rig.states(mutation_id)[-1] == "canary"
    return control, mutation_id


def promoted(rig: Rig, mutation: Mutation | None = None) -> tuple[Control, str]:
    """A mutation that is served to all."""
    rig.stages.outlooks = {"m": "promote"}
    control = rig.control()
    mutation_id = control.propose(mutation or swap())
    rig.count(mutation_id)
    control.turn()
    rig.stages.outlooks = {}
    assert rig.states(mutation_id)[-1] == "promoted"
    return control, mutation_id


def model_of_a(rig: Rig) -> str:
    return rig.control().configuration.deployments["a"].model


# --- approve --------------------------------------------------------------------------------------


def test_what_a_gate_asks_about_waits_until_a_person_says_yes(rig: Rig) -> None:
    control, mutation_id = waiting(rig)
    control.turn()
    assert rig.states(mutation_id) == ["proposed", "awaiting_approval"]
    rig.control("command line").approve(mutation_id, by="ann", why="looks right")
    control.turn()
    assert rig.states(mutation_id) == ["proposed", "awaiting_approval", "approved", "canary"]
    assert "approved by ann: looks right" in control.why(mutation_id).text()


def test_a_high_risk_waits_for_a_person_though_no_gate_asks(rig: Rig) -> None:
    control = rig.control()
    mutation_id = control.propose(swap(risk="high"))
    assert rig.states(mutation_id)[-1] == "awaiting_approval"


def test_approving_twice_changes_nothing_even_when_it_is_served_already(rig: Rig) -> None:
    control, mutation_id = waiting(rig)
    control.approve(mutation_id, by="ann")
    rig.control("other").approve(mutation_id, by="bob")
    control.turn()
    control.approve(mutation_id, by="ann")
    assert rig.states(mutation_id).count("approved") == 1


def test_an_unknown_mutation_is_named_with_those_that_are_open(rig: Rig) -> None:
    control, mutation_id = waiting(rig)
    with pytest.raises(UnknownNameError, match=f"'m-999' is not known; known: '{mutation_id}'"):
        control.approve("m-999", by="ann")


def test_who_decides_must_be_named(rig: Rig) -> None:
    control, mutation_id = waiting(rig)
    with pytest.raises(InvalidInputError, match="who decides"):
        control.approve(mutation_id, by=" ")
    with pytest.raises(InvalidInputError, match="who decides"):
        control.reject(mutation_id, by="")


def test_a_rejected_mutation_cannot_be_approved(rig: Rig) -> None:
    control, mutation_id = waiting(rig)
    control.reject(mutation_id, by="ann", why="no")
    with pytest.raises(RefusedError, match=r"it is rejected already \(by ann\)"):
        control.approve(mutation_id, by="bob")


def test_an_expired_mutation_cannot_be_approved_and_is_rejected_by_the_next_turn(rig: Rig) -> None:
    control, mutation_id = waiting(rig)
    rig.clock.advance(7 * 86400 + 1)
    with pytest.raises(RefusedError, match="waited longer than 7 days"):
        control.approve(mutation_id, by="ann")
    control.turn()
    assert rig.states(mutation_id)[-1] == "rejected"


def test_a_mutation_whose_target_was_changed_cannot_be_approved(rig: Rig) -> None:
    control, mutation_id = waiting(rig)
    control.add_deployment(Deployment("a", model="by hand"))
    with pytest.raises(RefusedError, match="changed since it was proposed"):
        control.approve(mutation_id, by="ann")
    control.remove_deployment("a")
    with pytest.raises(RefusedError, match="'a' is not known"):
        control.approve(mutation_id, by="ann")


def test_a_mutation_that_the_gates_have_not_seen_cannot_be_approved(rig: Rig) -> None:
    control = rig.control()
    control.propose(swap())
    entries = rig.store.journal.read()
    proposed = next(e for e in entries if e.state == "proposed")
    control.keeper.append(lambda c, x: type(proposed)(at_s=0.0, state="proposed", mutation_id="m-x", mutation=swap()))
    with pytest.raises(RefusedError, match="have not judged it yet"):
        control.approve("m-x", by="ann")


def test_a_canary_needs_no_approval(rig: Rig) -> None:
    control, mutation_id = in_canary(rig)
    with pytest.raises(RefusedError, match="it is canary already"):
        control.approve(mutation_id, by="ann")


def test_an_approval_races_with_a_rejection_and_one_of_them_wins(rig: Rig) -> None:
    control, mutation_id = waiting(rig)
    other = rig.control("other")
    other.refresh()
    control.reject(mutation_id, by="ann")
    with pytest.raises(RefusedError):
        other.approve(mutation_id, by="bob")
    assert rig.states(mutation_id) == ["proposed", "awaiting_approval", "rejected"]


# --- reject ---------------------------------------------------------------------------------------


def test_an_approved_mutation_can_still_be_rejected_and_twice_is_once(rig: Rig) -> None:
    control, mutation_id = waiting(rig)
    control.approve(mutation_id, by="ann")
    control.reject(mutation_id, by="bob", why="wait")
    control.reject(mutation_id, by="bob")
    control.turn()
    assert rig.states(mutation_id)[-2:] == ["approved", "rejected"]


@pytest.mark.parametrize("served", [in_canary, promoted])
def test_what_is_served_cannot_be_rejected_but_rolled_back(
    rig: Rig, served: Callable[[Rig], tuple[Control, str]]
) -> None:
    control, mutation_id = served(rig)
    with pytest.raises(RefusedError, match="roll it back instead"):
        control.reject(mutation_id, by="ann")


def test_what_is_over_cannot_be_rejected(rig: Rig) -> None:
    control, mutation_id = in_canary(rig)
    control.rollback(mutation_id)
    with pytest.raises(RefusedError, match="nothing is left to reject"):
        control.reject(mutation_id, by="ann")


# --- roll back ------------------------------------------------------------------------------------


def test_rolling_back_a_canary_ends_it_and_twice_is_once(rig: Rig) -> None:
    control, mutation_id = in_canary(rig)
    other = rig.control("command line")
    other.rollback(mutation_id, by="ann", why="complaints", numbers={"complaints": 5.0})
    other.rollback(mutation_id, by="ann")
    control.refresh()
    assert not control.configuration.rollouts
    assert rig.states(mutation_id).count("rolled_back") == 1
    last = control.why(mutation_id).steps[-1]
    assert (last.by, last.reason, last.numbers) == ("ann", "complaints", {"complaints": 5.0})


def test_rolling_back_a_promotion_serves_what_was_served_before(rig: Rig) -> None:
    control, mutation_id = promoted(rig)
    assert model_of_a(rig) == "better"
    control.rollback(mutation_id)
    control.rollback(mutation_id)
    assert model_of_a(rig) == "a"
    assert rig.states(mutation_id).count("rolled_back") == 1


def test_a_rolled_back_prompt_keeps_its_versions_and_serves_the_old_text(rig: Rig) -> None:
    control, mutation_id = promoted(rig, Mutation(kind=MutationKind.PROMPT_PATCH, target="p", to="new text"))
    assert "new text" in control.bodies().values()
    control.rollback(mutation_id)
    assert list(control.bodies().values()) == ["text"]
    assert len(control.configuration.prompts["p"].bodies) == 2


def test_a_promotion_that_a_later_one_built_on_names_it_and_can_be_taken_back_after_it(rig: Rig) -> None:
    control, first = promoted(rig, swap(to="x"))
    _, second = promoted(rig, swap(to="y"))
    with pytest.raises(RefusedError, match=f"mutation {second} changed deployment 'a' since; take that back first"):
        control.rollback(first)
    control.rollback(second)
    assert model_of_a(rig) == "x"
    control.rollback(first)
    assert model_of_a(rig) == "a"


def test_a_promotion_whose_target_was_edited_by_hand_names_the_entry(rig: Rig) -> None:
    control, mutation_id = promoted(rig)
    control.add_deployment(Deployment("a", model="by hand"))
    with pytest.raises(RefusedError, match=r"entry \d+ \(edited\) changed deployment 'a' since"):
        control.rollback(mutation_id)
    assert model_of_a(rig) == "by hand"


def test_taking_back_a_promotion_ends_the_canary_that_was_built_on_it(rig: Rig) -> None:
    control, first = promoted(rig, swap(to="x"))
    _, second = in_canary(rig, swap(to="y"))
    control.rollback(first, by="ann")
    assert rig.states(second)[-1] == "rolled_back"
    assert model_of_a(rig) == "a"
    assert f"{first}, which it built on, was taken back" in control.why(second).text()


def test_changes_of_other_targets_do_not_stand_in_the_way(rig: Rig) -> None:
    control, first = promoted(rig, swap("a"))
    promoted(rig, swap("b"))
    control.rollback(first)
    assert model_of_a(rig) == "a"


def test_what_nobody_is_served_is_not_rolled_back(rig: Rig) -> None:
    control, mutation_id = waiting(rig)
    with pytest.raises(RefusedError, match="awaiting approval, so nobody is served it; reject it instead"):
        control.rollback(mutation_id)
    control.reject(mutation_id, by="ann")
    with pytest.raises(RefusedError, match="nothing is left to take back"):
        control.rollback(mutation_id)


def test_everything_is_taken_back_the_newest_first(rig: Rig) -> None:
    control, first = promoted(rig, swap("a", to="x"))
    _, second = promoted(rig, swap("a", to="y"))
    _, third = in_canary(rig, swap("b"))
    assert control.rollback_all(by="ann", why="emergency") == (third, second, first)
    assert model_of_a(rig) == "a"
    assert control.rollback_all() == ()


def test_what_was_changed_by_hand_stays_when_everything_is_taken_back(rig: Rig) -> None:
    control, on_a = promoted(rig, swap("a"))
    _, on_b = promoted(rig, swap("b"))
    control.add_deployment(Deployment("a", model="by hand"))
    assert control.rollback_all() == (on_b,)
    assert model_of_a(rig) == "by hand"
    assert control.ledger.lives[on_a].state == "promoted"


def test_a_promotion_after_a_rollback_by_another_process_is_not_written(rig: Rig) -> None:
    control, mutation_id = in_canary(rig)
    rig.stages.outlooks = {"m": "promote"}
    rig.stages.during = {"monitor": lambda: rig.control("command line").rollback(mutation_id, by="ann")}
    control.turn()
    assert rig.states(mutation_id)[-1] == "rolled_back"
    assert model_of_a(rig) == "a"


def test_a_mutation_can_be_proposed_again_after_it_was_taken_back(rig: Rig) -> None:
    control, first = promoted(rig)
    control.rollback(first)
    _, second = promoted(rig)
    assert model_of_a(rig) == "better"
    with pytest.raises(RefusedError, match=r"."):
        control.reject(second, by="ann")
    control.rollback(first)  # undone already: the second promotion is not its business
    assert model_of_a(rig) == "better"

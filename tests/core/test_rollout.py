"""How an open rollout moves on."""

from __future__ import annotations

import pytest

from hivefeedback.control import Control, counts_key, decode_counts, encode_counts, read_counts
from hivefeedback.control.limits import limits_of
from hivefeedback.control.rollout import combined
from hivefeedback.errors import StoreCorruptError
from hivefeedback.hooks import Commit, Record
from hivefeedback.model import (
    ArmCounts,
    Decided,
    Mutation,
    MutationKind,
    Outlook,
    Rollout,
    Run,
    StepCounts,
)
from hivefeedback.stats import Cell, CellKey, Delta, Slice, View, bucket_of
from hivefeedback.testing.control import Rig, swap
from tests.core.rigs import opened


def count(rig: Rig, rollout_id: str, share: float, units: int, *, producer: str = "p", failures: int = 0) -> None:
    """Units of both arms, as a recorder writes them."""
    arm = ArmCounts(units=units, failures={"error": failures})
    value = encode_counts([StepCounts(share=share, control=ArmCounts(units=units), canary=arm)])
    rig.store.state.put(Record("rollout", counts_key(rollout_id, producer, 1), value))


def rollout_of(control: Control, mutation_id: str) -> Rollout:
    return control.configuration.rollouts[mutation_id]


# --- counts ---------------------------------------------------------------------------------------


def test_counts_of_all_processes_are_summed_by_share(rig: Rig) -> None:
    count(rig, "m-1", 0.25, 10, producer="p/1", failures=1)
    count(rig, "m-1", 0.05, 20, producer="p/2", failures=2)
    count(rig, "m-1", 0.25, 30, producer="p/3", failures=3)
    count(rig, "m-11", 0.05, 999)
    first, second = read_counts(rig.store, "m-1")
    assert (first.share, first.canary.units, first.canary.failed("error")) == (0.05, 20, 2)
    assert (second.share, second.canary.units, second.canary.failed("error")) == (0.25, 40, 4)
    assert second.control.failed("error") == 0
    assert read_counts(rig.store, "m-2") == ()


def test_counts_that_cannot_be_read_are_named_as_such() -> None:
    with pytest.raises(StoreCorruptError, match="unit counts"):
        decode_counts(b'[{"share": "x"}]')


def test_the_monitors_get_the_counts(rig: Rig) -> None:
    control, mutation_id = opened(rig)
    count(rig, mutation_id, 0.05, 7)
    control.turn()
    assert rig.stages.counts[0] == ()
    assert rig.stages.counts[-1][0].canary.units == 7


# --- the most careful answer ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answers", "wins"),
    [
        (["promote", "roll_back"], "roll_back"),
        (["inconclusive", "continue"], "inconclusive"),
        (["pause", "inconclusive"], "pause"),
        (["widen", "continue"], "continue"),
        (["promote", "widen"], "widen"),
        (["promote"], "promote"),
        ([], "continue"),
    ],
)
def test_the_most_careful_monitor_counts(rig: Rig, answers: list[Decided], wins: str) -> None:
    control, mutation_id = opened(rig)
    outlooks = [Outlook(rollout_id=mutation_id, decided=d, reason="") for d in answers]
    stray = Outlook(rollout_id="another", decided="roll_back", reason="")
    assert combined(rollout_of(control, mutation_id), [*outlooks, stray]).decided == wins


# --- transitions ----------------------------------------------------------------------------------


def test_a_rollout_widens_step_by_step_and_stays_at_the_last(rig: Rig) -> None:
    control, mutation_id = opened(rig)
    salt = rollout_of(control, mutation_id).salt
    rig.stages.outlooks = {"m": "widen"}
    shares = []
    for share in (0.05, 0.25, 0.5, 1.0):
        count(rig, mutation_id, share, 50, producer=str(share))
        rig.clock.advance(10)
        shares.append(control.turn() and rollout_of(control, mutation_id).share)
    assert shares == [0.25, 0.5, 1.0, 1.0]
    rollout = rollout_of(control, mutation_id)
    assert (rollout.step, rollout.salt) == (3, salt)
    assert rollout.step_started_at_s - rollout.started_at_s == 30
    assert rig.states(mutation_id).count("canary") == 4
    assert "last step" in control.turn().outcomes[0].reason


def test_a_step_is_not_widened_before_both_arms_have_enough_units(rig: Rig) -> None:
    control, mutation_id = opened(rig)
    rig.stages.outlooks = {"m": "widen"}
    count(rig, mutation_id, 0.05, 49)
    (outcome,) = control.turn().outcomes
    assert (outcome.decided, outcome.reason) == ("continue", "49 of 50 units per arm in this step")
    count(rig, mutation_id, 0.25, 500, producer="r")
    assert control.turn().outcomes[0].decided == "continue"
    count(rig, mutation_id, 0.05, 1, producer="q")
    assert control.turn().outcomes[0].decided == "widen"


def test_a_promotion_changes_what_is_served_and_ends_the_rollout(rig: Rig) -> None:
    control, mutation_id = opened(rig)
    rig.stages.outlooks, rig.stages.numbers = {"sequential": "promote"}, {"e_value": 250.0}
    rig.count(mutation_id)
    control.turn()
    assert control.configuration.deployments["a"].model == "better"
    assert not control.configuration.rollouts
    last = control.why(mutation_id).steps[-1]
    assert (last.state, last.reason, last.numbers) == ("promoted", "sequential says so", {"e_value": 250.0})


def test_a_harmful_rollout_is_taken_back_and_nothing_is_left(rig: Rig) -> None:
    control, mutation_id = opened(rig)
    before = control.configuration
    rig.stages.outlooks = {"sequential": "roll_back"}
    control.turn()
    assert rig.states(mutation_id)[-1] == "rolled_back"
    assert control.configuration.deployments == before.deployments
    assert not control.configuration.rollouts


def test_a_harmful_rollout_waits_unserved_for_a_person_where_rollback_is_left_to_people(rig: Rig) -> None:
    """S4.9, S4.16."""
    control, mutation_id = opened(rig, is_rolled_back=False)
    rig.stages.outlooks = {"sequential": "roll_back"}
    (outlook,) = control.turn().outcomes
    assert (outlook.decided, rig.states(mutation_id)[-1]) == ("pause", "paused")
    assert rollout_of(control, mutation_id).is_paused
    control.rollback(mutation_id, why="it does harm")
    assert rig.states(mutation_id)[-1] == "rolled_back"


@pytest.mark.parametrize("answer", ["pause", "inconclusive"])
def test_a_paused_rollout_waits_for_a_person_and_a_yes_promotes_it(rig: Rig, answer: Decided) -> None:
    control, mutation_id = opened(rig)
    rig.stages.outlooks = {"m": answer}
    control.turn()
    assert rollout_of(control, mutation_id).is_paused
    rig.stages.outlooks = {"m": "roll_back"}
    assert control.turn().outcomes == ()
    rig.control("command line").approve(mutation_id, by="ann", why="it is fine")
    control.turn()
    assert rig.states(mutation_id)[-3:] == ["paused", "approved", "promoted"]
    assert control.configuration.deployments["a"].model == "better"


def test_a_paused_rollout_can_be_taken_back_even_after_a_yes_but_not_rejected(rig: Rig) -> None:
    control, mutation_id = opened(rig)
    rig.stages.outlooks = {"m": "pause"}
    control.turn()
    control.approve(mutation_id, by="ann")
    with pytest.raises(Exception, match="roll it back instead"):
        control.reject(mutation_id, by="ann")
    control.rollback(mutation_id, by="ann")
    control.turn()
    assert rig.states(mutation_id)[-1] == "rolled_back"


def test_a_rollout_that_is_undecided_for_too_long_is_paused(rig: Rig) -> None:
    control, mutation_id = opened(rig)
    rig.clock.advance(7 * 86400)
    (outcome,) = control.turn().outcomes
    assert outcome.decided == "pause"
    assert "undecided after 7 days" in outcome.reason
    assert rollout_of(control, mutation_id).is_paused


def test_an_old_rollout_is_still_promoted_where_the_monitors_say_so(rig: Rig) -> None:
    control, mutation_id = opened(rig)
    rig.clock.advance(7 * 86400)
    rig.stages.outlooks = {"m": "promote"}
    rig.count(mutation_id)
    control.turn()
    assert rig.states(mutation_id)[-1] == "promoted"


def test_each_rollout_has_a_salt_of_its_own(rig: Rig) -> None:
    control = rig.control()
    one, two = control.propose(swap("a")), control.propose(swap("b"))
    control.turn()
    assert rollout_of(control, one).salt != rollout_of(control, two).salt


def test_a_rollout_begins_at_the_share_that_is_set_and_notes_its_rules(rig: Rig) -> None:
    control, mutation_id = opened(rig, canary_steps=(0.1, 1.0), canary_alpha=0.02)
    assert rollout_of(control, mutation_id).share == 0.1
    assert dict(control.why(mutation_id).steps[-1].numbers) == {"alpha": 0.02, "margin": 0.02, "share": 0.1}


# --- bounds of latency and cost -------------------------------------------------------------------


def cell(duration_s: float, cost_usd: float | None, n: int = 50) -> Cell:
    made = Cell()
    for _ in range(n):
        made.add_run(Run("any", "any", "ok", duration_s, cost_usd=cost_usd))
    return made


def view_of(*cells: tuple[str, str, Cell]) -> View:
    slices = tuple(Slice(0, 60, CellKey(deployment, operation), made) for deployment, operation, made in cells)
    return View(asked_from_s=0.0, asked_to_s=60.0, slices=slices)


def test_a_bound_is_twice_the_slowest_deployment_on_the_operations_of_the_change() -> None:
    view = view_of(
        ("a", "chat", cell(1.0, 0.01)),
        ("b", "chat", cell(3.0, None)),
        ("c", "draw", cell(60.0, 0.5)),
        ("d", "chat", cell(99.0, 9.0, n=49)),  # too few runs to say anything
    )
    of_a = limits_of(swap("a"), view)
    assert of_a == pytest.approx({"latency": 6.0, "cost": 0.02}, rel=0.02)
    route = Mutation(kind=MutationKind.ROUTE_CHANGE, target="draw", to=["c"])
    assert limits_of(route, view) == pytest.approx({"latency": 120.0, "cost": 1.0}, rel=0.02)
    prompt = Mutation(kind=MutationKind.PROMPT_PATCH, target="p", to=1)
    assert limits_of(prompt, view) == pytest.approx({"latency": 120.0, "cost": 1.0}, rel=0.02)
    assert limits_of(swap("nobody"), view) is None


def test_a_rollout_carries_the_bounds_that_were_known_when_it_began(rig: Rig) -> None:
    delta = Delta(cells={(CellKey("a", "chat"), bucket_of(rig.clock() - 60)): cell(1.0, None)})
    rig.store.commit(Commit("p", 1, 1, (), delta))
    control, mutation_id = opened(rig)
    assert rollout_of(control, mutation_id).limits == pytest.approx({"latency": 2.0}, rel=0.02)

"""Gates refuse what is too much, in the way, or without a way back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hivefeedback.hooks import Gate, Plugin
from hivefeedback.model import (
    Configuration,
    Deployment,
    EntryState,
    JournalEntry,
    JsonValue,
    Ledger,
    Mutation,
    MutationKind,
    Plan,
    PromptVersions,
    PutDeployment,
    Rollout,
    Route,
    UsePrompt,
    Verdict,
)
from hivefeedback.stats import View
from hivefeedback.testing import GateContract
from hivefeedback_gates import (
    Conflict,
    ConflictGate,
    ConflictOptions,
    Limits,
    LimitsGate,
    LimitsOptions,
    Undo,
    UndoGate,
    UndoOptions,
)

NOW_S = 1_700_000_000.0
CONFIG = Configuration(
    version=1,
    deployments={"a": Deployment("a"), "b": Deployment("b")},
    routes={"qa": Route(candidates=("a",), weights={"a": 1.0})},
    prompts={"p": PromptVersions(bodies=("x", "y"), current=1)},
)
VIEW = View(asked_from_s=0.0, asked_to_s=1.0)


class TestLimitsKeepsTheContract(GateContract):
    def make_gate(self) -> Gate:
        return Limits()


class TestConflictKeepsTheContract(GateContract):
    def make_gate(self) -> Gate:
        return Conflict()


class TestUndoKeepsTheContract(GateContract):
    def make_gate(self) -> Gate:
        return Undo()


def _mutation(
    target: str = "a",
    *,
    kind: MutationKind = MutationKind.MODEL_SWAP,
    to: JsonValue = "m",
    from_: JsonValue = "a",
    name: str = "m-9",
    confidence: float = 1.0,
    planner: str = "",
    undo: str = "back",
) -> Mutation:
    return Mutation(
        kind=kind,
        target=target,
        to=to,
        from_=from_,
        mutation_id=name,
        confidence=confidence,
        planner=planner,
        undo=undo,
    )


def _ledger(*lives: tuple[Mutation, tuple[EntryState, ...]], ago_s: float = 60.0) -> Ledger:
    entries = [
        JournalEntry(at_s=NOW_S - ago_s, state=state, mutation_id=mutation.mutation_id, mutation=mutation)
        for mutation, states in lives
        for state in states
    ]
    return Ledger().after(entries)


def _ask(
    gate: Gate, mutation: Mutation, *others: Mutation, ledger: Ledger | None = None, config: Configuration = CONFIG
) -> Verdict:
    plan = Plan(plan_id="p", mutations=(*others, mutation))
    return gate.check(mutation, plan, VIEW, config, ledger or Ledger(), now_s=NOW_S)


APPLIED: tuple[EntryState, ...] = ("proposed", "validated", "canary", "promoted")


def _applied(n: int, ago_s: float = 60.0) -> Ledger:
    return _ledger(*((_mutation(f"d{i}", name=f"m-{i + 100}"), APPLIED) for i in range(n)), ago_s=ago_s)


# --- limits -------------------------------------------------------------------------------------


def test_the_eleventh_mutation_within_an_hour_is_refused() -> None:
    assert _ask(Limits(), _mutation(), ledger=_applied(9)).answer == "yes"
    verdict = _ask(Limits(), _mutation(), ledger=_applied(10))
    assert verdict.answer == "no"
    assert verdict.numbers["n_applied"] == 10.0


def test_the_hour_rolls() -> None:
    assert _ask(Limits(), _mutation(), ledger=_applied(10, ago_s=3601)).answer == "yes"


def test_a_change_that_was_taken_back_still_counts_once_and_its_rollback_not() -> None:
    ledger = _ledger(*((_mutation(f"d{i}", name=f"m-{i + 100}"), (*APPLIED, "rolled_back")) for i in range(10)))
    assert _ask(Limits(), _mutation(), ledger=ledger).numbers["n_applied"] == 10.0


def test_what_never_reached_anyone_does_not_count() -> None:
    ledger = _ledger(*((_mutation(f"d{i}", name=f"m-{i + 100}"), ("proposed", "rejected")) for i in range(30)))
    assert _ask(Limits(), _mutation(), ledger=ledger).answer == "yes"


def test_mutations_that_come_first_in_the_plan_take_their_place() -> None:
    others = [_mutation(f"d{i}", name=f"m-{i}") for i in range(2)]
    assert _ask(Limits(), _mutation(), *others, ledger=_applied(7)).answer == "yes"
    assert _ask(Limits(), _mutation(), *others, ledger=_applied(8)).answer == "no"


def test_a_plan_that_could_never_be_applied_whole_is_refused() -> None:
    others = [_mutation(f"d{i}", name=f"m-{i}") for i in range(10)]
    verdict = _ask(Limits(), others[0], *others[1:], _mutation())
    assert verdict.answer == "no"
    assert "11 mutations" in verdict.reason


@pytest.mark.parametrize(
    ("confidence", "answer"), [(0.7, "yes"), (0.69, "no"), (0.0, "no"), (float("nan"), "no"), (1.0, "yes")]
)
def test_a_planner_must_be_sure_enough(confidence: float, answer: str) -> None:
    assert _ask(Limits(), _mutation(confidence=confidence)).answer == answer


@pytest.mark.parametrize("wrong", [{"max_per_hour": -1}, {"min_confidence": 1.5}])
def test_impossible_limits_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="max_per_hour"):
        LimitsOptions(**wrong)  # type: ignore[arg-type]  # ints and floats by name


# --- conflict -----------------------------------------------------------------------------------


def _with_rollout(mutation: Mutation, *ops: PutDeployment | UsePrompt) -> Configuration:
    rollout = Rollout(
        rollout_id=mutation.mutation_id,
        mutation=mutation,
        patch=ops,
        salt="s",
        share=0.05,
        step=0,
        started_at_s=NOW_S,
        step_started_at_s=NOW_S,
    )
    return replace(CONFIG, rollouts={rollout.rollout_id: rollout})


def test_a_target_with_an_open_rollout_is_left_alone() -> None:
    config = _with_rollout(_mutation(name="m-1"), PutDeployment(Deployment("a", model="m")))
    verdict = _ask(Conflict(), _mutation(), config=config)
    assert verdict.answer == "no"
    assert "m-1" in verdict.reason
    assert _ask(Conflict(), _mutation("b"), config=config).answer == "yes"


def test_another_kind_of_change_of_the_same_deployment_conflicts() -> None:
    config = _with_rollout(_mutation(name="m-1"), PutDeployment(Deployment("a", model="m")))
    assert _ask(Conflict(), _mutation(kind=MutationKind.PARAM_SET, to={}), config=config).answer == "no"


def test_a_route_a_prompt_and_a_deployment_of_one_name_do_not_conflict() -> None:
    config = _with_rollout(_mutation(name="m-1"), PutDeployment(Deployment("a", model="m")))
    for kind in (MutationKind.ROUTE_CHANGE, MutationKind.PROMPT_PATCH, MutationKind.MEMORY_UPDATE):
        assert _ask(Conflict(), _mutation(kind=kind), config=config).answer == "yes"


def test_its_own_rollout_is_no_conflict() -> None:
    config = _with_rollout(_mutation(name="m-9"), PutDeployment(Deployment("a", model="m")))
    assert _ask(Conflict(), _mutation(name="m-9"), config=config).answer == "yes"


def test_of_two_open_mutations_the_first_goes_ahead() -> None:
    first, second = _mutation(name="m-1"), _mutation(name="m-2", to="other")
    ledger = _ledger((first, ("proposed", "awaiting_approval")), (second, ("proposed",)))
    assert _ask(Conflict(), first, ledger=ledger).answer == "yes"
    verdict = _ask(Conflict(), second, ledger=ledger)
    assert verdict.answer == "no"
    assert "m-1 of it is awaiting approval" in verdict.reason


def test_a_mutation_whose_life_is_over_is_no_conflict() -> None:
    ledger = _ledger((_mutation(name="m-1"), ("proposed", "rejected")))
    assert _ask(Conflict(), _mutation(), ledger=ledger).answer == "yes"


def test_the_second_change_of_one_target_in_a_plan_is_refused() -> None:
    first, second = _mutation(name="m-1"), _mutation(name="m-2", to="other")
    assert _ask(Conflict(), second, first).answer == "no"
    plan = Plan(plan_id="p", mutations=(first, second))
    assert Conflict().check(first, plan, VIEW, CONFIG, Ledger(), now_s=NOW_S).answer == "yes"


def test_a_planner_waits_for_the_effect_of_a_promotion_but_a_person_need_not() -> None:
    ledger = _ledger((_mutation(name="m-1"), APPLIED), ago_s=599)
    assert _ask(Conflict(), _mutation(planner="x"), ledger=ledger).answer == "no"
    assert _ask(Conflict(), _mutation(), ledger=ledger).answer == "yes"
    assert _ask(Conflict(ConflictOptions(settle_s=60)), _mutation(planner="x"), ledger=ledger).answer == "yes"
    assert _ask(Conflict(), _mutation("b", planner="x"), ledger=ledger).answer == "yes"


# --- undo ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mutation", "answer"),
    [
        (_mutation(), "yes"),
        (_mutation("nobody"), "no"),
        (_mutation(from_="stale"), "no"),
        (_mutation(to="a"), "no"),
        (_mutation("p", kind=MutationKind.PROMPT_PATCH, from_=1, to=2), "yes"),
        (_mutation("p", kind=MutationKind.PROMPT_PATCH, from_=2, to=1), "no"),
        (_mutation("q", kind=MutationKind.PROMPT_PATCH, from_=0, to=1), "no"),
        (
            _mutation(
                "qa", kind=MutationKind.ROUTE_CHANGE, from_={"weights": {"a": 1.0}, "candidates": ["a"]}, to=["b"]
            ),
            "yes",
        ),
        (_mutation("qa", kind=MutationKind.ROUTE_CHANGE, from_=["a"], to=["b"]), "no"),
        (_mutation("new", kind=MutationKind.ROUTE_CHANGE, from_=None, to=["b"]), "yes"),
        (_mutation(kind=MutationKind.PARAM_SET, from_={}, to={"temperature": 0.1}), "yes"),
        (_mutation(kind=MutationKind.LORA_APPLY, from_=None, to="x"), "yes"),
        (_mutation(kind=MutationKind.LORA_APPLY, from_=None, to="x", undo=""), "ask"),
        (_mutation("agent", kind=MutationKind.MEMORY_UPDATE, from_=None, to=["x"]), "yes"),
        (_mutation("agent", kind=MutationKind.MEMORY_UPDATE, from_=None, to=["x"], undo=""), "ask"),
    ],
)
def test_only_what_leads_back_to_the_live_value_passes(mutation: Mutation, answer: str) -> None:
    verdict = _ask(Undo(), mutation)
    assert (verdict.answer, bool(verdict.reason)) == (answer, True)


def test_changes_outside_without_a_way_back_can_be_refused() -> None:
    mutation = _mutation("agent", kind=MutationKind.MEMORY_UPDATE, from_=None, to=["x"], undo="")
    assert _ask(Undo(UndoOptions(ask_for_external=False)), mutation).answer == "no"


# --- registration -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plugin", "options"),
    [(LimitsGate(), LimitsOptions()), (ConflictGate(), ConflictOptions()), (UndoGate(), UndoOptions())],
)
def test_each_plugin_registers_its_gate_with_its_options(plugin: Plugin, options: object) -> None:
    plugin.configure(options)
    (gate,) = plugin.hive_gates()
    assert gate.name == plugin.name


def test_configured_limits_reach_the_gate() -> None:
    plugin = LimitsGate()
    plugin.configure(LimitsOptions(min_confidence=0.95))
    assert _ask(plugin.hive_gates()[0], _mutation(confidence=0.9)).answer == "no"


def test_a_negative_settling_time_is_refused() -> None:
    with pytest.raises(ValueError, match="settle_s"):
        ConflictOptions(settle_s=-1)

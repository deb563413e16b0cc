"""The gate that keeps what people wrote out of memories, unless a person lets it in."""

from __future__ import annotations

from hivefeedback.hooks import Gate
from hivefeedback.model import Answer, Configuration, JsonValue, Ledger, Mutation, MutationKind, Plan, Risk
from hivefeedback.testing import GateContract, view_of
from hivefeedback_gates import Taint, TaintGate, TaintOptions


def _answer(
    to: JsonValue = None,
    *,
    planner: str = "",
    risk: Risk = "low",
    kind: MutationKind = MutationKind.MEMORY_UPDATE,
    options: TaintOptions | None = None,
) -> Answer:
    mutation = Mutation(kind=kind, target="x", to=to or {"body": "h"}, planner=planner, risk=risk, mutation_id="m-1")
    plan = Plan(plan_id="p", mutations=(mutation,))
    return Taint(options).check(mutation, plan, view_of([]), Configuration(), Ledger(), now_s=1.0).answer


class TestTaintKeepsTheContract(GateContract):
    def make_gate(self) -> Gate:
        return Taint()


def test_a_planned_memory_is_asked_about_whatever_risk_its_planner_states() -> None:
    """S4.6: policy compliance; free text reaches a memory only through a person."""
    assert _answer(planner="anybody") == "ask"
    assert _answer(risk="high") == "ask"  # core sets it for each text that comes from feedback


def test_what_a_program_says_itself_passes_unless_that_is_to_be_asked_about_too() -> None:
    assert _answer() == "yes"
    assert _answer(options=TaintOptions(ask_always=True)) == "ask"


def test_forgetting_and_other_kinds_pass() -> None:
    assert _answer({"forget": "m-1"}, planner="anybody") == "yes"
    assert _answer("better", planner="anybody", kind=MutationKind.MODEL_SWAP) == "yes"


def test_the_plugin_hands_its_options_on() -> None:
    plugin = TaintGate()
    plugin.configure(TaintOptions(ask_always=True))
    assert [gate.name for gate in plugin.hive_gates()] == ["taint"]

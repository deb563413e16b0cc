"""Core's own stages: what gates answer belongs to what they were asked."""

from __future__ import annotations

from collections.abc import Sequence

from hivefeedback.hooks import Gate, Plugin, hookimpl
from hivefeedback.hooks.registry import Registry
from hivefeedback.model import Configuration, Ledger, Mutation, Plan, Verdict
from hivefeedback.stats import View
from hivefeedback.testing.control import swap


class _Muddled:
    """Says no, but under another name and about nothing."""

    name = "muddled"

    def check(
        self, mutation: Mutation, plan: Plan, view: View, config: Configuration, ledger: Ledger, *, now_s: float
    ) -> Verdict:
        return Verdict(gate="", mutation_id="", answer="no", reason="I am against it")


class _MuddledPlugin(Plugin):
    name = "muddled"

    @hookimpl
    def hive_gates(self) -> Sequence[Gate]:
        return (_Muddled(),)


def test_a_verdict_counts_for_the_mutation_and_under_the_gate_that_were_asked() -> None:
    registry = Registry(is_inline=True)
    registry.add(_MuddledPlugin())
    plan = Plan(plan_id="p", mutations=(swap("a", mutation_id="m-1"), swap("b", mutation_id="m-2")))
    view = View(asked_from_s=0.0, asked_to_s=1.0)
    verdicts = registry.validate(plan, view, Configuration(), Ledger(), 0.0)
    assert [(v.gate, v.mutation_id, v.answer) for v in verdicts] == [("muddled", "m-1", "no"), ("muddled", "m-2", "no")]

"""What every gate must do; inherit, and say how to make yours."""

from __future__ import annotations

from dataclasses import replace

from hivefeedback.hooks import Gate
from hivefeedback.model import Configuration, Deployment, Ledger, Mutation, MutationKind, Plan, Verdict
from hivefeedback.stats import View

__all__ = ["GateContract"]


class GateContract:
    """Inherit as ``class TestMyGate(GateContract)`` and override ``make_gate``.

    ``make_harmless`` is a mutation that the gate lets pass in ``config``; override both where the
    gate needs another.
    """

    config = Configuration(version=1, deployments={"a": Deployment("a"), "b": Deployment("b")})

    def make_gate(self) -> Gate:
        """A new gate with its default options."""
        raise NotImplementedError

    def make_harmless(self) -> Mutation:
        """A mutation that passes."""
        return Mutation(
            kind=MutationKind.MODEL_SWAP, target="a", to="m", from_="a", undo="back", mutation_id="m-1", confidence=0.9
        )

    def _check(self, mutation: Mutation) -> Verdict:
        plan = Plan(plan_id="p", mutations=(mutation,))
        view = View(asked_from_s=0.0, asked_to_s=1.0)
        return self.make_gate().check(mutation, plan, view, self.config, Ledger(), now_s=1_700_000_000.0)

    def test_it_has_a_name_and_signs_its_verdict_with_it(self) -> None:
        gate = self.make_gate()
        assert gate.name
        assert self._check(self.make_harmless()).gate == gate.name

    def test_a_harmless_mutation_passes_with_a_reason(self) -> None:
        verdict = self._check(self.make_harmless())
        assert verdict.answer == "yes"
        assert verdict.reason

    def test_the_verdict_names_the_mutation_it_is_about(self) -> None:
        assert self._check(replace(self.make_harmless(), mutation_id="m-77")).mutation_id == "m-77"

    def test_the_same_question_gets_the_same_answer(self) -> None:
        assert self._check(self.make_harmless()) == self._check(self.make_harmless())

    def test_its_numbers_are_finite(self) -> None:
        numbers = self._check(self.make_harmless()).numbers
        assert all(value - value == 0 for value in numbers.values())

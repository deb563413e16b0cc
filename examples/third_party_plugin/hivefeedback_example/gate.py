"""Refuses a change that does not say why."""

from __future__ import annotations

from hivefeedback.model import Configuration, Ledger, Mutation, Plan, Verdict
from hivefeedback.stats import View

__all__ = ["ReasonGate"]


class ReasonGate:
    """Says no to a mutation whose reason is shorter than ``min_letters``."""

    name = "example_reason"

    def __init__(self, min_letters: int = 10) -> None:
        self._min_letters = min_letters

    def check(
        self, mutation: Mutation, plan: Plan, view: View, config: Configuration, ledger: Ledger, *, now_s: float
    ) -> Verdict:
        """Judge one mutation."""
        letters = sum(c.isalpha() for c in mutation.reason)
        says_why = letters >= self._min_letters
        return Verdict(
            gate=self.name,
            mutation_id=mutation.mutation_id,
            answer="yes" if says_why else "no",
            reason="it says why" if says_why else f"give a reason of at least {self._min_letters} letters",
            numbers={"letters": float(letters)},
        )

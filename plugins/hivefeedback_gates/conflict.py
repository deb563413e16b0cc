"""Gate: one change of a thing at a time.

Refuses a mutation whose target an open rollout or an earlier open mutation is about, the second of
two in one plan, and a planner's change of what was changed so lately that its effect is not seen
yet. Options::

    options:
      conflict: {settle_s: 600}
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hivefeedback.hooks import Gate, PluginWithOptions, hookimpl
from hivefeedback.model import Configuration, Ledger, Mutation, Plan, Target, Verdict, target_of, targets_of
from hivefeedback.stats import View

__all__ = ["Conflict", "ConflictGate", "ConflictOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConflictOptions:
    """What counts as too soon.

    Args:
        settle_s: How long after a promotion a planner may not change the same thing again: its
            evidence would be mostly from before. A person may at any time.
    """

    settle_s: float = 600.0

    def __post_init__(self) -> None:
        if not self.settle_s >= 0:
            raise ValueError("settle_s must be >= 0")


class Conflict:
    """Looks for another change of the same thing."""

    name = "conflict"

    def __init__(self, options: ConflictOptions | None = None) -> None:
        self._options = options or ConflictOptions()

    def check(
        self, mutation: Mutation, plan: Plan, view: View, config: Configuration, ledger: Ledger, *, now_s: float
    ) -> Verdict:
        """No, where something else changes, or just changed, the same thing."""
        target = target_of(mutation)
        reason = (
            _by_rollout(mutation, target, config)
            or _by_ledger(mutation, target, ledger)
            or _by_plan(mutation, target, plan)
            or self._too_soon(mutation, target, ledger, now_s)
        )
        words = reason or f"nothing else changes {target[0]} {target[1]!r}"
        return Verdict(gate=self.name, mutation_id=mutation.mutation_id, answer="no" if reason else "yes", reason=words)

    def _too_soon(self, mutation: Mutation, target: Target, ledger: Ledger, now_s: float) -> str:
        if not mutation.planner:
            return ""
        for life in ledger.lives.values():
            if life.state == "promoted" and target_of(life.mutation) == target and life.entries:
                ago_s = now_s - life.entries[-1].at_s
                if ago_s < self._options.settle_s:
                    return f"{life.mutation.mutation_id} changed it {ago_s:.0f} s ago; wait for its effect"
        return ""


def _by_rollout(mutation: Mutation, target: Target, config: Configuration) -> str:
    for rollout in config.rollouts.values():
        touched = {target_of(rollout.mutation)} | targets_of(rollout.patch)
        if rollout.rollout_id != mutation.mutation_id and target in touched:
            return f"rollout {rollout.rollout_id} of it is open"
    return ""


def _by_ledger(mutation: Mutation, target: Target, ledger: Ledger) -> str:
    """The first open mutation of a thing goes ahead, the later ones do not."""
    for life in ledger.open():
        if mutation.mutation_id and life.mutation.mutation_id == mutation.mutation_id:
            return ""
        if target_of(life.mutation) == target:
            return f"mutation {life.mutation.mutation_id} of it is {life.state.replace('_', ' ')}"
    return ""


def _by_plan(mutation: Mutation, target: Target, plan: Plan) -> str:
    for other in plan.mutations:
        if other == mutation:
            return ""
        if target_of(other) == target:
            return f"{other.kind} of it stands before this in the plan"
    return ""


class ConflictGate(PluginWithOptions[ConflictOptions]):
    """Registers the gate."""

    name = "conflict"
    Options = ConflictOptions

    @hookimpl
    def hive_gates(self) -> Sequence[Gate]:
        """The gate."""
        return (Conflict(self.options),)

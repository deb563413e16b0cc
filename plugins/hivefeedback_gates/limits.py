"""Gate: not too many changes, and none that its planner is unsure of.

At most 10 mutations are applied in a rolling hour; a plan that would go beyond, or could never be
applied whole, is refused. Rollbacks never pass a gate, so they are not limited. Options::

    options:
      limits: {max_per_hour: 10, min_confidence: 0.7}
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hivefeedback.hooks import Gate, PluginWithOptions, hookimpl
from hivefeedback.model import Answer, Configuration, Ledger, Mutation, Plan, Verdict
from hivefeedback.stats import View

__all__ = ["Limits", "LimitsGate", "LimitsOptions"]

_HOUR_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsOptions:
    """What passes.

    Args:
        max_per_hour: Mutations that may first reach anyone within a rolling hour.
        min_confidence: Smallest confidence of a mutation, 0–1; a person's own has 1.
    """

    max_per_hour: int = 10
    min_confidence: float = 0.7

    def __post_init__(self) -> None:
        if self.max_per_hour < 0 or not 0.0 <= self.min_confidence <= 1.0:
            raise ValueError("max_per_hour must be >= 0 and min_confidence in [0, 1]")


class Limits:
    """Counts what was applied in the last hour."""

    name = "limits"

    def __init__(self, options: LimitsOptions | None = None) -> None:
        self._options = options or LimitsOptions()

    def check(
        self, mutation: Mutation, plan: Plan, view: View, config: Configuration, ledger: Ledger, *, now_s: float
    ) -> Verdict:
        """No, where the plan is too large, the hour is full, or the confidence too small."""
        o = self._options
        applied = [x for x in ledger.applied_since(now_s - _HOUR_S) if x.mutation.mutation_id != mutation.mutation_id]
        place = _place(mutation, plan)
        numbers = {
            "n_applied": float(len(applied)),
            "n_planned": float(len(plan.mutations)),
            "max_per_hour": float(o.max_per_hour),
            "confidence": mutation.confidence,
            "min_confidence": o.min_confidence,
        }
        answer: Answer = "no"
        if len(plan.mutations) > o.max_per_hour:
            reason = f"the plan has {len(plan.mutations)} mutations; at most {o.max_per_hour} may be applied in an hour"
        elif len(applied) + place >= o.max_per_hour:
            reason = (
                f"{len(applied)} mutations were applied in the last hour and {place} of this plan come first; "
                f"at most {o.max_per_hour} may be"
            )
        elif not mutation.confidence >= o.min_confidence:
            reason = f"confidence {mutation.confidence:.2f} is below {o.min_confidence:.2f}"
        else:
            answer = "yes"
            reason = (
                f"{len(applied)} of {o.max_per_hour} applied in the last hour, confidence {mutation.confidence:.2f}"
            )
        return Verdict(gate=self.name, mutation_id=mutation.mutation_id, answer=answer, reason=reason, numbers=numbers)


def _place(mutation: Mutation, plan: Plan) -> int:
    """How many mutations of the plan come before this one."""
    return next((i for i, m in enumerate(plan.mutations) if m == mutation), 0)


class LimitsGate(PluginWithOptions[LimitsOptions]):
    """Registers the gate."""

    name = "limits"
    Options = LimitsOptions

    @hookimpl
    def hive_gates(self) -> Sequence[Gate]:
        """The gate."""
        return (Limits(self.options),)

"""Plans MEMORY_UPDATE: what an agent was corrected with three times, it should remember.

The text stays in the log: the plan names the newest feedback that holds it, and core reads it from
there. Since free text of people is tainted, such a plan is always high risk and waits for a person,
who sees the words (``hivefeedback mutations show``). Options::

    options:
      memory_update_planner: {min_times: 3}
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hivefeedback.hooks import PluginWithOptions, hookimpl
from hivefeedback.model import Configuration, Effect, Finding, Mutation, MutationKind
from hivefeedback.stats import Repeat, View

__all__ = ["MemoryUpdateOptions", "MemoryUpdatePlanner"]

_IMPORTANCE: Final = 0.8
"""What several people had to say again and again matters more than what somebody adds by hand (0.5)."""
_URGENT: Final = 20
"""Times at which a correction is as urgent as it can be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryUpdateOptions:
    """When a correction is worth remembering.

    Args:
        min_times: How often it was given, by different feedbacks. Once may be a slip, twice a
            coincidence; below 2 one angry person could write into a memory.
        max_plans: Plans of one turn, so that a person is not asked a hundred things at once.
    """

    min_times: int = 3
    max_plans: int = 5

    def __post_init__(self) -> None:
        if self.min_times < 2 or self.max_plans < 1:
            raise ValueError(
                f"min_times is {self.min_times!r} and max_plans {self.max_plans!r}; expected at least 2 and 1"
            )


class MemoryUpdatePlanner(PluginWithOptions[MemoryUpdateOptions]):
    """Looks for corrections that come again and again."""

    name = "memory_update_planner"
    Options = MemoryUpdateOptions

    @hookimpl
    def hive_plan(
        self, findings: Sequence[Finding], view: View, config: Configuration, now_s: float
    ) -> Sequence[Mutation]:
        """One mutation for each correction, the most frequent first."""
        often = [repeat for repeat in view.repeats if repeat.n >= self.options.min_times and repeat.event_ids]
        often.sort(key=lambda repeat: (-repeat.n, repeat.agent, repeat.key))
        return [self._planned(repeat) for repeat in often[: self.options.max_plans]]

    def _planned(self, repeat: Repeat) -> Mutation:
        urgency = min(1.0, repeat.n / _URGENT)
        return Mutation(
            kind=MutationKind.MEMORY_UPDATE,
            target=repeat.agent,
            to={"feedback": repeat.event_ids[0], "importance": _IMPORTANCE},
            expected_effect=Effect(metric="corrections", change=-float(repeat.n)),
            confidence=_confidence(repeat.n),
            risk="high",
            reason=f"agent {repeat.agent!r} was given the same correction {repeat.n} times; "
            f"priority {urgency * _IMPORTANCE:.2g} = impact {_IMPORTANCE:g} × urgency {urgency:.2g}",
            evidence=repeat.event_ids,
            priority=urgency * _IMPORTANCE,
            planner=self.name,
        )


def _confidence(n: int) -> float:
    """Chance that the next one says the same, by Laplace's rule of succession: (n + 1) / (n + 2).

    >>> _confidence(3)
    0.8
    """
    return (n + 1) / (n + 2)

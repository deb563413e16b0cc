"""How long the demo is, and which settings it compresses so that a rollout fits into seconds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

__all__ = ["COMPRESSED", "Plan"]

COMPRESSED: Final[dict[str, tuple[Any, str]]] = {
    "canary_steps": ([0.25, 0.5, 1.0], "5, 25, 50, 100 %"),
    "canary_min_units": (20, "50 units per arm before a step"),
    "turn_every_s": (0.5, "60 s"),
}
"""Settings that the demo sets, with their defaults in words. α stays as it is: the evidence that a
rollback or a promotion needs is the same, only more of the traffic takes part in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Sizes of the demo.

    Args:
        learn: Calls of the first phase.
        cap: Most calls of each later phase.
        after: Calls after the loop has acted, to show that it is well again.
        workers: Calls in the air at once.
        scale: Latencies are divided by this.
        late_share, late_s: Share of feedback that comes late, and by how many seconds at most.
        left: Success that is left to the model that gets worse.
    """

    learn: int = 3200
    cap: int = 4000
    after: int = 400
    workers: int = 12
    scale: float = 100.0
    late_share: float = 0.15
    late_s: float = 1.5
    left: float = 0.3

    @classmethod
    def fast(cls) -> Plan:
        """Less than half of it, for a look or a test."""
        return cls(learn=1000, cap=3000, after=60)

    def of_length(self, learn: int) -> Plan:
        """The same with another number of calls in the first phase, and caps that fit to it."""
        return replace(self, learn=max(1, learn), cap=max(1, min(self.cap, 2 * learn)))

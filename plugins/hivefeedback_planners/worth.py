"""When a change is worth planning: what the planners of this package share."""

from __future__ import annotations

from dataclasses import dataclass

from hivefeedback_planners.standing import Better

__all__ = ["Worth"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """How good an alternative must look.

    Args:
        min_confidence: Smallest confidence; the limits gate asks for as much.
        min_gain: Smallest expected change of the success rate.
        min_runs: Fewest runs of the alternative.
    """

    min_confidence: float = 0.7
    min_gain: float = 0.05
    min_runs: int = 20

    def is_met_by(self, better: Better) -> bool:
        """True where an alternative is worth a plan."""
        return better.gain >= self.min_gain and better.confidence >= self.min_confidence

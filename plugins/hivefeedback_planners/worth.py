"""When a change is worth planning, and how urgent it is: what the planners of this package share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from hivefeedback_planners.standing import Better

__all__ = ["Weight", "Worth"]


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


class Weight(NamedTuple):
    """Priority = impact × urgency, in words as well.

    Impact is what the change should bring to all runs of the window together: the gain where it
    applies times the share of the runs that it concerns, so that planners of all kinds are ordered
    by one measure. Urgency is how soon it is needed: the severity of what was found.

    >>> weight = Weight.of(gain=0.5, share=0.2, urgency=0.8)
    >>> round(weight.priority, 3), weight.reason
    (0.08, 'priority 0.08 = impact 0.1 (gain 50.0% on 20.0% of all runs) × urgency 0.8')
    """

    gain: float
    share: float
    urgency: float

    @classmethod
    def of(cls, *, gain: float, share: float, urgency: float) -> Weight:
        """From a gain, a share and an urgency; each is kept in [0, 1]."""
        return cls(*(min(1.0, max(0.0, value)) for value in (gain, share, urgency)))

    @property
    def impact(self) -> float:
        """Gain × share, 0–1."""
        return self.gain * self.share

    @property
    def priority(self) -> float:
        """Impact × urgency, 0–1."""
        return self.impact * self.urgency

    @property
    def reason(self) -> str:
        """Where the priority comes from."""
        return (
            f"priority {self.priority:.2g} = impact {self.impact:.2g} (gain {self.gain:.1%} on "
            f"{self.share:.1%} of all runs) × urgency {self.urgency:.2g}"
        )

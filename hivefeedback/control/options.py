"""The values that control needs, given by the loop from its settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["ControlOptions", "Mode"]

Mode = Literal["off", "observe", "advise", "act"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlOptions:
    """Windows, steps and limits of the turn; the reason of each default stands in the settings.

    Args:
        mode: ``off`` nothing; ``observe`` analyze; ``advise`` all but execute; ``act`` all.
        turn_window_s: Window of aggregates that the stages see. A change that was taken back is
            not planned again within it.
        canary_steps: Growing shares of a rollout, each in (0, 1].
        canary_min_units: Units that each arm needs in a step before it is widened.
        canary_max_age_s: Age at which an undecided rollout is paused.
        canary_alpha, canary_margin: What the monitors test with; noted in the journal with each
            rollout, so that ``why`` can say by which rule it was judged.
        approval_expires_s: A mutation that waits longer is rejected.
        valid_for_s: How long the gates' answers hold; after that they are asked again before
            anything is executed. An hour, since the limits count in rolling hours.
        lease_s: How long a silent leader stays leader.
        retain_events_s: Age at which events are dropped.
        retain_events_n: The oldest beyond so many are dropped as well; None: age alone.
        is_high_risk_asked: A mutation of high risk waits for a person though no gate asks.
        is_rolled_back: A harmful canary is taken back; else it is paused, and a person decides.
        is_checked: What a gate refuses is not executed; False on machines of developers alone.
        upkeep_every_s: How often the store is compacted and old events are dropped.
    """

    mode: Mode = "act"
    turn_window_s: float = 86400.0
    canary_steps: tuple[float, ...] = (0.05, 0.25, 0.5, 1.0)
    canary_min_units: int = 50
    canary_max_age_s: float = 7 * 86400.0
    canary_alpha: float = 0.01
    canary_margin: float = 0.02
    approval_expires_s: float = 7 * 86400.0
    valid_for_s: float = 3600.0
    lease_s: float = 15.0
    retain_events_s: float = 30 * 86400.0
    retain_events_n: int | None = None
    is_high_risk_asked: bool = True
    is_rolled_back: bool = True
    is_checked: bool = True
    upkeep_every_s: float = 3600.0

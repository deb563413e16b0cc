"""What holds whatever the monitors say: proven harm ends a rollout, and nothing is promoted unseen.

Core, and always on: a monitor that is denied, broken or quarantined costs its opinion, not the safety.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import log
from typing import Final

from hivefeedback.control.options import ControlOptions
from hivefeedback.model import Outlook, Rollout, StepCounts
from hivefeedback.stats import (
    HarmProof,
    failing_units,
    gain_log_e,
    guardrail_alpha,
    guardrails_of,
    rate_ratio_sequence,
)

__all__ = ["next_step", "proven_harm", "restrained"]

_MIN_PROVEN: Final = 10
"""Units that a canary must have ended before a proven improvement is believed: one that hangs, or that
nobody has called yet, fails less often than its control too."""
_COMPARABLE: Final = 0.5
"""Share of the units that the other arm makes one expect, below which an arm seems not to return. With
the ten units that a promotion needs at least, chance does that at one look in twenty at most."""
_GAINS: Final = ("error", "quality")


def proven_harm(rollout: Rollout, counts: Sequence[StepCounts], options: ControlOptions) -> Outlook | None:
    """The rollback that the counts of all processes prove; None while they prove no harm."""
    rails = guardrails_of(rollout)
    proof = HarmProof.of(counts, options.canary_alpha, rails)
    if proof is None:
        return None
    rail = proof.guardrail
    ratio = rate_ratio_sequence(failing_units(counts, rail))
    numbers = {
        **proof.numbers(),
        f"log_e_needed_{rail}": -log(guardrail_alpha(rail, options.canary_alpha, rails)),
        f"rate_ratio_{rail}": ratio.estimate,
        f"rate_ratio_low_{rail}": ratio.low,
    }
    reason = f"the canary is proven worse by {rail}: {proof}"
    reason += f", rate ratio {ratio.estimate:.2g} (at least {ratio.low:.2g})"
    return Outlook(rollout_id=rollout.rollout_id, decided="roll_back", reason=reason, monitor="core", numbers=numbers)


def restrained(
    rollout: Rollout, outlook: Outlook, counts: Sequence[StepCounts], options: ControlOptions, now_s: float
) -> Outlook:
    """A monitor's answer within its bounds: a largest age, and enough units before each step."""
    if outlook.decided == "promote":
        reason = _unseen(counts, options)
        if reason:
            outlook = replace(outlook, decided="continue", reason=f"not promoted, since {reason}: {outlook.reason}")
    if outlook.decided not in ("continue", "widen"):
        return outlook
    if now_s - rollout.started_at_s >= options.canary_max_age_s:
        days = options.canary_max_age_s / 86400
        return replace(outlook, decided="pause", reason=f"undecided after {days:g} days: {outlook.reason}")
    if outlook.decided == "widen":
        here = sum(min(c.control.units, c.canary.units) for c in counts if c.share == rollout.share)
        if here < options.canary_min_units:
            need = f"{here} of {options.canary_min_units} units per arm in this step"
            return replace(outlook, decided="continue", reason=need)
        if next_step(rollout, options) is None:
            return replace(outlook, decided="continue", reason=f"this is the last step: {outlook.reason}")
    return outlook


def next_step(rollout: Rollout, options: ControlOptions) -> tuple[int, float] | None:
    """The first step with a larger share; steps may have been set anew since the rollout began."""
    return next(((i, s) for i, s in enumerate(options.canary_steps) if s > rollout.share), None)


def _unseen(counts: Sequence[StepCounts], options: ControlOptions) -> str:
    """Why too little of the canary was seen to promote it; empty: enough.

    A proven improvement needs fewer units, since the proof holds at every look. Units count when
    their end is known, so an arm whose calls do not return falls short of its share.
    """
    needed = options.canary_min_units
    if _is_gain_proven(counts, options.canary_alpha):
        needed = min(needed, _MIN_PROVEN)
    n_canary = sum(c.canary.units for c in counts)
    if n_canary < needed:
        return f"{n_canary} of {needed} units of the canary have ended"
    by_share = [c for c in counts if 0.0 < c.share < 1.0]
    n1, n0 = sum(c.canary.units for c in by_share), sum(c.control.units for c in by_share)
    due1 = sum(c.control.units * c.share / (1.0 - c.share) for c in by_share)
    due0 = sum(c.canary.units * (1.0 - c.share) / c.share for c in by_share)
    for arm, n, due in (("canary", n1, due1), ("control", n0, due0)):
        if n < _COMPARABLE * due:
            return f"only {n} units of the {arm} have ended where the other arm makes one expect {due:.0f}"
    return ""


def _is_gain_proven(counts: Sequence[StepCounts], alpha: float) -> bool:
    return max(gain_log_e(failing_units(counts, g)) for g in _GAINS) >= log(len(_GAINS) / alpha)

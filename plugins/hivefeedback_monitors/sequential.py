"""Decides about canaries with tests that stay valid however often one looks.

- roll back, when a guardrail proves harm (its e-value reaches 1 / its part of α);
- pause, when units are not assigned by the stated share, or the largest age is reached undecided;
- promote, when an improvement is proven and no guardrail leans to harm, or, at the last step that
  still has a control, when the upper bound of harm lies under the margin for every guardrail;
- widen, when both arms have enough units in this step.

Options (core passes its own ``canary_*`` settings)::

    options:
      sequential: {alpha: 0.01, margin: 0.02, min_units: 50, max_age_s: 604800}
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

from hivefeedback.hooks import PluginWithOptions, hookimpl
from hivefeedback.model import Decided, Outlook, Rollout, StepCounts
from hivefeedback.stats import (
    View,
    failing_units,
    gain_log_e,
    guardrail_alpha,
    guardrails_of,
    harm_bound,
    harm_lean,
    harm_log_e,
    rate_ratio_sequence,
    sample_ratio_log_e,
)

__all__ = ["SequentialMonitor", "SequentialOptions"]

_LEANS = 1.645
"""Standard deviations; one look in twenty at a harmless guardrail delays a promotion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SequentialOptions:
    """What the tests are run with.

    Args:
        alpha: Chance of ever rolling back a harmless change, per rollout, in (0, 1); also of
            promoting one that is worse than the margin, or no better where "better" is the reason.
        margin: Harm, as a difference of failure rates, that a promotion may hide.
        min_units: Units per arm in a step before it is widened.
        max_age_s: Age at which an undecided rollout is paused.
        steps: Shares of the ramp; the last below 1 is the last that has a control.
        sample_ratio_alpha: Chance of ever pausing a rollout whose units are assigned as stated.
    """

    alpha: float = 0.01
    margin: float = 0.02
    min_units: int = 50
    max_age_s: float = 7 * 86400.0
    steps: tuple[float, ...] = (0.05, 0.25, 0.5, 1.0)
    sample_ratio_alpha: float = 0.001

    def __post_init__(self) -> None:
        for name in ("alpha", "margin", "sample_ratio_alpha"):
            if not 0.0 < getattr(self, name) < 1.0:
                raise ValueError(f"{name} is {getattr(self, name)!r}; expected a number between 0 and 1")
        if self.min_units < 1 or not self.max_age_s > 0:
            raise ValueError("min_units must be >= 1 and max_age_s > 0")


class SequentialMonitor(PluginWithOptions[SequentialOptions]):
    """Reads the counts of both arms."""

    name = "sequential"
    Options = SequentialOptions

    @hookimpl
    def hive_monitor(self, rollout: Rollout, counts: Sequence[StepCounts], view: View, now_s: float) -> Outlook | None:
        """One answer with every number that it rests on."""
        evidence = _Evidence(counts, guardrails_of(rollout), self.options)
        decided, reason = self._decide(rollout, counts, evidence, _awaiting(view, rollout), now_s)
        return Outlook(
            rollout_id=rollout.rollout_id, decided=decided, reason=reason, monitor=self.name, numbers=evidence.numbers
        )

    def _decide(
        self, rollout: Rollout, counts: Sequence[StepCounts], evidence: _Evidence, awaiting: float, now_s: float
    ) -> tuple[Decided, str]:
        o = self.options
        harmed = evidence.harmed()
        if harmed:
            return "roll_back", harmed
        if evidence.numbers["log_e_sample_ratio"] >= -log(o.sample_ratio_alpha):
            return "pause", evidence.skewed()
        gained = evidence.gained()
        if gained:
            return "promote", gained
        has_wider = any(rollout.share < s < 1.0 for s in o.steps)
        if not has_wider:
            bounded = evidence.bounded(awaiting)
            if bounded:
                return "promote", bounded
        if now_s - rollout.started_at_s >= o.max_age_s:
            days = o.max_age_s / 86400
            return "pause", f"inconclusive after {days:g} days: neither harm nor its absence is proven; {evidence}"
        n = sum(min(c.control.units, c.canary.units) for c in counts if c.share == rollout.share)
        if has_wider and n >= o.min_units:
            return "widen", f"{n} units per arm at share {rollout.share:g} and no guardrail tripped; {evidence}"
        return "continue", f"{n} units per arm at share {rollout.share:g}; {evidence}"


class _Evidence:
    """Every test of one rollout; ``numbers`` holds all of them by name."""

    def __init__(self, counts: Sequence[StepCounts], guardrails: tuple[str, ...], options: SequentialOptions) -> None:
        self._counts, self._guardrails, self._options = counts, guardrails, options
        self.harm = {g: harm_log_e(failing_units(counts, g), g) for g in guardrails}
        self.gain = {g: gain_log_e(failing_units(counts, g)) for g in ("error", "quality")}
        self.numbers: dict[str, float] = {"log_e_sample_ratio": sample_ratio_log_e(counts)}
        for arm in ("control", "canary"):
            arms = [c.control if arm == "control" else c.canary for c in counts]
            self.numbers[f"{arm}_units"] = float(sum(a.units for a in arms))
            for g in guardrails:
                self.numbers[f"{arm}_{g}"] = float(sum(a.failed(g) for a in arms))
        for g in guardrails:
            self.numbers[f"log_e_harm_{g}"] = self.harm[g]
            self.numbers[f"log_e_needed_{g}"] = -log(guardrail_alpha(g, options.alpha, guardrails))
        for g, log_e in self.gain.items():
            self.numbers[f"log_e_gain_{g}"] = log_e

    def harmed(self) -> str:
        """Which guardrail proves harm, in words; empty: none."""
        for g in self._guardrails:
            if self.harm[g] >= self.numbers[f"log_e_needed_{g}"]:
                return f"the canary is proven worse by {g}: {self._failures(g)}, {self._ratio(g)}"
        return ""

    def gained(self) -> str:
        """Which improvement is proven while nothing leans to harm, in words; empty: none.

        Two improvements are tested, so each needs twice the evidence. A guardrail leans to harm
        where it is worse than chance explains at this look, without being proven.
        """
        needed = log(len(self.gain) / self._options.alpha)
        self.numbers["log_e_needed_gain"] = needed
        if max(harm_lean(failing_units(self._counts, g)) for g in self._guardrails) >= _LEANS:
            return ""
        best = max(self.gain, key=lambda g: self.gain[g])
        if self.gain[best] >= needed:
            return f"the canary is proven better by {best}: {self._failures(best)}, {self._ratio(best)}"
        return ""

    def bounded(self, awaiting: float) -> str:
        """Words if harm is bounded below the margin for every guardrail; empty: it is not.

        Units whose judgement is still awaited cannot have failed by quality yet, so its bound is
        scaled up by their share.
        """
        o = self._options
        for g in self._guardrails:
            bound = harm_bound(self._counts, g, alpha=o.alpha)
            if g == "quality" and bound > 0:
                bound = bound / (1.0 - awaiting) if awaiting < 1.0 else 1.0
            self.numbers[f"harm_bound_{g}"] = bound
        worst = max(self.numbers[f"harm_bound_{g}"] for g in self._guardrails)
        if worst < o.margin:
            return f"harm is at most {worst:.2%} of units by any guardrail, under the margin of {o.margin:.2%}"
        return ""

    def skewed(self) -> str:
        """What is wrong with the assignment, in words."""
        seen = ", ".join(f"{c.canary.units} of {c.canary.units + c.control.units} at {c.share:g}" for c in self._counts)
        return f"units are not assigned by the stated share (canary: {seen}); the comparison cannot be trusted"

    def _failures(self, guardrail: str) -> str:
        n = self.numbers
        return (
            f"{n[f'canary_{guardrail}']:.0f} of {n['canary_units']:.0f} settled units against "
            f"{n[f'control_{guardrail}']:.0f} of {n['control_units']:.0f}"
        )

    def _ratio(self, guardrail: str) -> str:
        ratio = rate_ratio_sequence(failing_units(self._counts, guardrail), alpha=0.05)
        self.numbers |= {f"rate_ratio_{guardrail}": ratio.estimate, f"rate_ratio_low_{guardrail}": ratio.low}
        return f"rate ratio {ratio.estimate:.2g} (at least {ratio.low:.2g}, at most {ratio.high:.2g})"

    def __str__(self) -> str:
        return "; ".join(f"{g} {self._failures(g)}" for g in self._guardrails)


def _awaiting(view: View, rollout: Rollout) -> float:
    """Share of the runs of both arms whose judgement is still awaited, the larger of the two."""
    cells = view.arms(rollout.rollout_id).values()
    shares = (c.n_awaiting / c.n_runs for c in cells if c.n_runs > 0)
    return max((min(max(share, 0.0), 1.0) for share in shares), default=0.0)  # two processes may both count one down

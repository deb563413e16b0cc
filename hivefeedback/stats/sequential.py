"""Tests of a canary that stay valid at every look, whatever the baseline does.

Look only at the units that failed, and ask of each which arm it was in. Where the canary fails no
more often than the control, a failing unit is a canary with probability at most the canary's share
at its assignment, however the common failure rate drifts. With s the share and r a ratio of failure
rates, q = s·r / (s·r + 1 − s) is that probability under the ratio r; each failing unit multiplies
the evidence by q/s (canary) or (1 − q)/(1 − s) (control). For every r > 1 that product is a
supermartingale under "no worse", so is an average over r, and by Ville's inequality it reaches 1/α
with probability at most α, ever (Ville 1939; Ramdas, Grünwald, Vovk, Shafer, "Game-theoretic
statistics and safe anytime-valid inference", Statistical Science 2023). The product runs through
all steps of a ramp and is never restarted; its factors commute, so counts per step are enough.

A unit is what was assigned: a session counts once. At share 1 there is no control and nothing can
be learnt.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import exp, inf, lgamma, log, sqrt
from typing import Final, NamedTuple

from hivefeedback.model import StepCounts

__all__ = [
    "GUARDRAILS",
    "FailingUnits",
    "failing_units",
    "gain_log_e",
    "guardrail_alpha",
    "harm_lean",
    "harm_log_e",
    "log_beta",
    "log_likelihood_ratio",
    "sample_ratio_log_e",
    "tripped_guardrail",
]

GUARDRAILS: Final = ("error", "quality", "latency", "cost")
"""What a canary is judged by; errors have half of α, the others share the rest equally."""

ERROR_RATIOS: Final = ((1.3, 0.04), (2.0, 0.04), (3.5, 0.04), (7.0, 0.352), (12.0, 0.528))
"""Ratios of failure rates with their weights. Most of the weight lies where every request counts, on
a broken canary; a small weight on mild harm delays its detection only by log(1/weight)."""
HARM_RATIOS: Final = ((1.3, 0.2), (1.8, 0.2), (2.5, 0.2), (4.0, 0.2), (8.0, 0.2))
"""The same for the other guardrails: where one unit in ten fails anyhow, ratios are never extreme."""
GAIN_RATIOS: Final = ((0.85, 0.2), (0.65, 0.2), (0.45, 0.2), (0.25, 0.2), (0.08, 0.2))
"""Ratios that an improvement may have; nothing is known beforehand, so they weigh the same."""
_SRM_CONCENTRATION: Final = 100.0
"""Prior units behind the alternative of the sample-ratio test: shares that are off by a few points."""


class FailingUnits(NamedTuple):
    """Units that failed by one guardrail, among those first seen at one share of the canary."""

    share: float
    control: int
    canary: int


Failing = tuple[float, int, int]
"""Share, failing units of the control, failing units of the canary; ``FailingUnits`` is one."""


def failing_units(counts: Iterable[StepCounts], guardrail: str) -> list[FailingUnits]:
    """The failing units of each step, by one guardrail."""
    return [FailingUnits(c.share, c.control.failed(guardrail), c.canary.failed(guardrail)) for c in counts]


def harm_log_e(steps: Iterable[Failing], guardrail: str = "error") -> float:
    """Natural logarithm of the evidence that the canary fails more often than the control.

    Under "the canary is no worse" it reaches log(1/α) with probability at most α, however often one
    looks. The guardrail chooses which ratios of failure rates are thought likely beforehand.

    >>> round(harm_log_e([FailingUnits(0.05, 4, 4)]), 3)
    6.076
    >>> harm_log_e([FailingUnits(1.0, 0, 50)])
    0.0
    """
    return _log_mixture(steps, ERROR_RATIOS if guardrail == "error" else HARM_RATIOS)


def gain_log_e(steps: Iterable[Failing]) -> float:
    """Natural logarithm of the evidence that the canary fails less often than the control.

    >>> gain_log_e([FailingUnits(0.5, 12, 0)]) > 4.6 > gain_log_e([FailingUnits(0.5, 6, 6)])
    True
    """
    return _log_mixture(steps, GAIN_RATIOS)


def log_likelihood_ratio(steps: Iterable[Failing], ratio: float) -> float:
    """log Π of q/s and (1 − q)/(1 − s): how much better a ratio of failure rates explains the failures than 1.

    Shares must lie in (0, 1).
    """
    total = 0.0
    for share, control, canary in steps:
        q_over_s = ratio / (share * ratio + 1.0 - share)
        total += canary * log(q_over_s) + control * log(q_over_s / ratio)
    return total


def harm_lean(steps: Iterable[Failing]) -> float:
    """Standard deviations by which failing canaries exceed what the shares explain; negative where they fall short.

    A score test at one look (binomial, normal approximation): a hint for today, no proof.

    >>> harm_lean([(0.5, 32, 68)])
    3.6
    """
    excess, variance = 0.0, 0.0
    for share, control, canary in steps:
        excess += canary - (control + canary) * share
        variance += (control + canary) * share * (1.0 - share)
    return excess / sqrt(variance) if variance > 0 else 0.0


def _log_mixture(steps: Iterable[Failing], ratios: Sequence[tuple[float, float]]) -> float:
    kept = [(s, n0, n1) for s, n0, n1 in steps if 0.0 < s < 1.0 and (n0 or n1)]
    if not kept:
        return 0.0
    logs = [log(weight) + log_likelihood_ratio(kept, ratio) for ratio, weight in ratios]
    top = max(logs)
    return top + log(sum(exp(x - top) for x in logs))


def guardrail_alpha(guardrail: str, alpha: float, guardrails: Sequence[str] = GUARDRAILS) -> float:
    """The part of a rollout's α that a guardrail may spend: errors half, the others equal parts of the rest.

    The parts are fixed before the rollout begins; a part that depended on which data came would
    void the guarantee. A guardrail that is not listed has none.

    >>> guardrail_alpha("error", 0.01), round(guardrail_alpha("quality", 0.01), 5)
    (0.005, 0.00167)
    """
    if guardrail not in guardrails:
        return 0.0
    if guardrail == "error":
        return alpha / 2
    n_others = sum(g != "error" for g in guardrails)
    return (alpha / 2 if "error" in guardrails else alpha) / n_others


def tripped_guardrail(
    counts: Sequence[StepCounts], alpha: float, guardrails: Sequence[str] = GUARDRAILS
) -> tuple[str, float] | None:
    """The first guardrail that proves harm, with its log e-value; None while none does.

    The chance that it ever answers for a harmless change is at most ``alpha``.
    """
    for guardrail in guardrails:
        part = guardrail_alpha(guardrail, alpha, guardrails)
        log_e = harm_log_e(failing_units(counts, guardrail), guardrail)
        if log_e >= (log(1 / part) if part > 0 else inf):
            return guardrail, log_e
    return None


def sample_ratio_log_e(counts: Iterable[StepCounts]) -> float:
    """Natural logarithm of the evidence that units are not assigned by the stated share.

    A beta mixture of binomial likelihoods centred on the share, one factor per step (the sequential
    sample-ratio test of Lindon and Malek, "Anytime-valid inference for multinomial count data",
    NeurIPS 2022). Compare with log(1/α) of its own.

    >>> from hivefeedback.model import ArmCounts
    >>> off = StepCounts(share=0.5, control=ArmCounts(units=1000), canary=ArmCounts(units=800))
    >>> sample_ratio_log_e([off]) > 6.9
    True
    """
    total = 0.0
    for c in counts:
        if not 0.0 < c.share < 1.0:
            continue
        a, b = _SRM_CONCENTRATION * c.share, _SRM_CONCENTRATION * (1 - c.share)
        n1, n0 = c.canary.units, c.control.units
        total += log_beta(a + n1, b + n0) - log_beta(a, b) - n1 * log(c.share) - n0 * log(1 - c.share)
    return total


def log_beta(a: float, b: float) -> float:
    """Logarithm of the beta function."""
    return lgamma(a) + lgamma(b) - lgamma(a + b)

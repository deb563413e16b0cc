"""Bounds of rates and of harm that hold at every look.

Each is the set of values that a test with an e-process has not refuted at level α: such a set holds
the truth at all times at once with probability at least 1 − α.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import exp, inf, log, sinh

from hivefeedback.model import Interval, StepCounts
from hivefeedback.stats.sequential import FailingUnits, failing_units, log_beta, log_likelihood_ratio

__all__ = ["harm_bound", "rate_ratio_sequence", "rate_sequence"]

_TINY = 1e-12
_LARGEST_LOG_RATIO = log(200.0)
_MIXTURE = tuple(exp(3.5 * sinh(4.0 * i / 40) / sinh(4.0)) for i in range(-40, 41))
"""Ratios of failure rates from 1/33 to 33, dense around 1, where the data end up deciding."""


def rate_sequence(successes: int, n: int, *, alpha: float = 0.05) -> Interval:
    """Time-uniform interval of a rate from n independent units with that rate.

    The rates p with B(½ + k, ½ + n − k) / B(½, ½) < p^k (1 − p)^(n − k) / α: a beta mixture of
    binomial likelihoods (Robbins 1970; Howard, Ramdas, McAuliffe, Sekhon, Annals of Statistics 2021).

    >>> i = rate_sequence(30, 100, alpha=0.05)
    >>> round(i.low, 2), i.estimate, round(i.high, 2)
    (0.17, 0.3, 0.46)
    """
    if n <= 0:
        return Interval(estimate=0.5, low=0.0, high=1.0, confidence=1 - alpha)
    k = successes
    ceiling = log_beta(0.5 + k, 0.5 + n - k) - log_beta(0.5, 0.5) + log(alpha)

    def is_refuted(p: float) -> bool:
        return k * log(p) + (n - k) * log(1 - p) <= ceiling

    estimate = k / n
    middle = min(max(estimate, _TINY), 1 - _TINY)
    low = 0.0 if k == 0 else _edge(is_refuted, middle, _TINY)
    high = 1.0 if k == n else _edge(is_refuted, middle, 1 - _TINY)
    return Interval(estimate=estimate, low=low, high=high, confidence=1 - alpha)


def rate_ratio_sequence(steps: Sequence[FailingUnits], *, alpha: float = 0.05) -> Interval:
    """Time-uniform interval of (failure rate of the canary) / (failure rate of the control).

    From failing units alone, so that it holds however the common rate drifts and the share grows,
    where comparing pooled rates would mistake drift for effect. Ratios above 200 are not told from
    infinity, those below 1/200 not from 0.
    """
    kept = [s for s in steps if 0 < s.share < 1 and (s.control or s.canary)]
    if not kept:
        return Interval(estimate=1.0, low=0.0, high=inf, confidence=1 - alpha)
    logs = [log_likelihood_ratio(kept, r) for r in _MIXTURE]
    top = max(logs)
    ceiling = top + log(sum(exp(x - top) for x in logs) / len(logs)) + log(alpha)
    best = _most_likely(kept)

    def is_refuted(x: float) -> bool:
        return log_likelihood_ratio(kept, exp(x)) <= ceiling

    ends = (-_LARGEST_LOG_RATIO, _LARGEST_LOG_RATIO)
    low, high = (_edge(is_refuted, best, end) if is_refuted(end) else end for end in ends)
    return Interval(
        estimate=exp(best),
        low=exp(low) if low > ends[0] else 0.0,
        high=exp(high) if high < ends[1] else inf,
        confidence=1 - alpha,
    )


def harm_bound(counts: Sequence[StepCounts], guardrail: str, *, alpha: float = 0.01) -> float:
    """Upper bound, at every look, of failure rate of the canary − failure rate of the control.

    The smaller of two bounds: (ratio − 1) · rate of the control, where units failed; and the rate
    of the canary alone, where hardly any did. The ratio, which is known least, has 0.8 of α, the
    two rates 0.1 each.

    Returns:
        A difference in [−1, 1]; 1 where nothing is known.

    >>> from hivefeedback.model import ArmCounts
    >>> quiet = StepCounts(share=0.5, control=ArmCounts(units=2000), canary=ArmCounts(units=2000))
    >>> harm_bound([quiet], "error") < 0.01
    True
    """
    ratio = rate_ratio_sequence(failing_units(counts, guardrail), alpha=0.8 * alpha)
    control = rate_sequence(
        sum(c.control.failed(guardrail) for c in counts), sum(c.control.units for c in counts), alpha=0.1 * alpha
    )
    canary = rate_sequence(
        sum(c.canary.failed(guardrail) for c in counts), sum(c.canary.units for c in counts), alpha=0.1 * alpha
    )
    by_ratio = (ratio.high - 1) * (control.high if ratio.high > 1 else control.low)
    return min(by_ratio, canary.high)


def _edge(is_refuted: Callable[[float], bool], inside: float, outside: float) -> float:
    """Where the kept values end between one that is kept and one that is not."""
    for _ in range(60):
        middle = (inside + outside) / 2
        if is_refuted(middle):
            outside = middle
        else:
            inside = middle
    return outside


def _most_likely(steps: Sequence[FailingUnits]) -> float:
    """Logarithm of the likeliest ratio, where Σ (canary − failing · q) = 0; bisection, q grows with the ratio."""
    low, high = -_LARGEST_LOG_RATIO, _LARGEST_LOG_RATIO
    for _ in range(60):
        middle = (low + high) / 2
        r = exp(middle)
        slope = sum(c1 - (c0 + c1) * s * r / (s * r + 1 - s) for s, c0, c1 in steps)
        low, high = (middle, high) if slope > 0 else (low, middle)
    return (low + high) / 2

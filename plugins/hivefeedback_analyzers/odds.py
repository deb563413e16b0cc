"""p-values of what is held against a limit, and their adjustment where hardly any of many is small."""

from __future__ import annotations

from collections.abc import Sequence
from math import erfc, exp, lgamma, log, sqrt
from typing import NamedTuple

from hivefeedback.model import Interval
from hivefeedback.stats import JUDGED_UNIT, Judged, Spread, adjusted_p_values, mean_difference

__all__ = [
    "Ratio",
    "above_mean_p",
    "above_rate_p",
    "adjusted_among",
    "below_mean_p",
    "below_rate_p",
    "more_p",
    "not_better_p",
    "one_sided",
    "ratio_of",
]

_Z95 = 1.959964
"""Half-width of a 95 % interval in standard errors."""
_TERMS = 2000
"""Terms of an exact tail; what lies beyond so many is far smaller than the first ones."""


def one_sided(z: float) -> float:
    """Chance of a standard normal value of z or more.

    >>> round(one_sided(1.645), 3), one_sided(0.0)
    (0.05, 0.5)
    """
    return 0.5 * erfc(z / sqrt(2))


def above_rate_p(k: int, n: int, rate: float) -> float:
    """Bound of the chance of k or more of n independent events of a rate.

    exp(−n · KL(k/n ‖ rate)) for k/n above the rate, else 1 (Chernoff 1952; Hoeffding, JASA 1963): holds
    for every n, and errs on the careful side.

    >>> round(above_rate_p(30, 100, 0.15), 5), above_rate_p(15, 100, 0.15)
    (0.00074, 1.0)
    """
    seen = k / n if n > 0 else 0.0
    if seen <= rate:
        return 1.0
    if rate <= 0.0:
        return 0.0
    distance = seen * log(seen / rate) + ((1 - seen) * log((1 - seen) / (1 - rate)) if seen < 1.0 else 0.0)
    return exp(-n * distance)


def below_rate_p(k: int, n: int, rate: float) -> float:
    """The same for k or fewer of n events."""
    return above_rate_p(n - k, n, 1.0 - rate) if n > 0 else 1.0


def more_p(k_1: int, n_1: int, k_2: int, n_2: int) -> float:
    """Chance of k_2 or more events in n_2 runs, given those in both, if they were as frequent in n_1.

    Fisher's exact test, one-sided: the normal tests promise too much where events are rare.

    >>> round(more_p(1, 10, 11, 14), 5), more_p(0, 0, 3, 10)
    (0.00138, 1.0)
    """
    k, n = k_1 + k_2, n_1 + n_2
    if min(n_1, n_2) <= 0:
        return 1.0
    whole = _log_choose(n, k)
    first, last = max(k_2, k - n_1), min(k, n_2)
    logs = [_log_choose(n_2, i) + _log_choose(n_1, k - i) - whole for i in range(first, min(last, first + _TERMS) + 1)]
    return min(1.0, sum(map(exp, logs)))


def _log_choose(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)


def below_mean_p(judged: Judged, value: float) -> float:
    """Chance of so low a mean of values in [0, 1] if the true one were ``value`` (normal, with one pseudo
    value of 0 and one of 1, so that a few equal values are not taken for certainty)."""
    n = judged.n + 2.0
    mean = (judged.total / JUDGED_UNIT + 1.0) / n
    square = (judged.squares / JUDGED_UNIT**2 + 1.0) / n
    error = sqrt(max(0.0, square - mean * mean) / n)
    return one_sided((value - mean) / error) if judged.n > 0 and error > 0 else 1.0


def above_mean_p(spread: Spread, value: float) -> float:
    """Chance of so high a mean if the true one were ``value`` (normal limit)."""
    if spread.n < 2 or spread.mean <= value:
        return 1.0
    error = sqrt(spread.variance / spread.n)
    return one_sided((spread.mean - value) / error) if error > 0 else 0.0


def not_better_p(first: Judged, second: Judged, margin: float) -> float:
    """Chance of what was seen if the second mean were better than the first by ``margin``; small where it is
    proven that it is not (the upper half of two one-sided tests, Schuirmann 1987)."""
    i = mean_difference(first, second).interval
    middle, error = (i.low + i.high) / 2, (i.high - i.low) / 2 / _Z95
    return one_sided((margin - middle) / error) if error > 0 else 1.0


class Ratio(NamedTuple):
    """How many times as large something is as something else."""

    interval: Interval
    log_error: float
    """Standard error of its logarithm."""

    def above_p(self, limit: float) -> float:
        """Chance of so large a ratio if the true one were ``limit``."""
        gap = log(self.interval.estimate / limit)
        if gap <= 0:
            return 1.0
        return one_sided(gap / self.log_error) if self.log_error > 0 else 0.0


def ratio_of(first: tuple[float, float], second: tuple[float, float]) -> Ratio | None:
    """Second / first of two positive means, each with its relative variance (that of the mean ÷ mean²).

    The logarithm is taken for normal (delta method), so the bounds are positive. None where a mean is 0.
    """
    if first[0] <= 0 or second[0] <= 0:
        return None
    estimate, error = second[0] / first[0], sqrt(first[1] + second[1])
    half = exp(_Z95 * error) if _Z95 * error < 700 else float("inf")
    return Ratio(Interval(estimate=estimate, low=estimate / half, high=estimate * half), error)


def adjusted_among(p_values: Sequence[float], n_tests: int) -> list[float]:
    """``adjusted_p_values`` of some of many tests whose other p-values are 1, without listing those.

    >>> adjusted_among([0.01, 0.04], 4) == adjusted_p_values([0.01, 0.04, 1.0, 1.0])[:2]
    True
    """
    more = max(1.0, n_tests / len(p_values)) if p_values else 1.0
    return [min(1.0, p * more) for p in adjusted_p_values(p_values)]

"""Intervals and p-values of rates and means at one look, and their adjustment for many.

These answer "is this difference more than chance, looking once". What is looked at again and again
belongs to ``sequential`` and ``confidence``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import erfc, sqrt
from operator import attrgetter
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hivefeedback.model import Interval
from hivefeedback.stats.cell import JUDGED_UNIT, Judged

__all__ = [
    "Difference",
    "Differences",
    "adjusted_p_values",
    "mean_difference",
    "mean_differences",
    "mean_interval",
    "rate_difference",
    "wilson_interval",
]

_NORMAL = NormalDist()
_PARTS = (attrgetter("n"), attrgetter("total"), attrgetter("squares"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A difference with its interval, and the chance of one as large if there were none."""

    interval: Interval
    p_value: float


def wilson_interval(successes: float, n: float, *, confidence: float = 0.95) -> Interval:
    """Interval of a rate (Wilson, JASA 1927); sound for small n and rates near 0 or 1.

    >>> i = wilson_interval(8, 10)
    >>> round(i.low, 3), round(i.high, 3)
    (0.49, 0.943)
    """
    if n <= 0:
        return Interval(estimate=0.5, low=0.0, high=1.0, confidence=confidence)
    z = _z(confidence)
    p = successes / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return Interval(estimate=p, low=max(0.0, middle - half), high=min(1.0, middle + half), confidence=confidence)


def rate_difference(successes_1: int, n_1: int, successes_2: int, n_2: int, *, confidence: float = 0.95) -> Difference:
    """Second rate − first rate: Newcombe's interval and the p-value of the N − 1 chi-squared test.

    Newcombe, Statistics in Medicine 1998, method 10; Campbell, Statistics in Medicine 2007.

    >>> d = rate_difference(48, 80, 56, 70)
    >>> round(d.interval.estimate, 3), round(d.interval.low, 4), round(d.interval.high, 4)
    (0.2, 0.0524, 0.3339)
    """
    if n_1 <= 0 or n_2 <= 0:
        return _unknown(confidence)
    a = wilson_interval(successes_1, n_1, confidence=confidence)
    b = wilson_interval(successes_2, n_2, confidence=confidence)
    change = b.estimate - a.estimate
    low = change - sqrt((b.estimate - b.low) ** 2 + (a.high - a.estimate) ** 2)
    high = change + sqrt((b.high - b.estimate) ** 2 + (a.estimate - a.low) ** 2)
    n = n_1 + n_2
    pooled = (successes_1 + successes_2) / n
    spread = sqrt(pooled * (1 - pooled) * (1 / n_1 + 1 / n_2) * n / (n - 1))
    interval = Interval(estimate=change, low=low, high=high, confidence=confidence)
    return Difference(interval=interval, p_value=_two_sided(change, spread))


def mean_interval(judged: Judged, *, confidence: float = 0.95) -> Interval:
    """Normal interval of the mean of values in [0, 1], bounds kept in [0, 1].

    z²/2 pseudo values of 0 and as many of 1 are added first, so that five equal values are not taken
    for certainty; where all values are 0 or 1 this is the interval of Agresti and Coull (1998).

    >>> i = mean_interval(Judged(n=5, total=50_000, squares=500_000_000))
    >>> i.estimate, round(i.low, 2), i.high
    (1.0, 0.51, 1.0)
    """
    if judged.n <= 0:
        return Interval(estimate=0.5, low=0.0, high=1.0, confidence=confidence)
    z = _z(confidence)
    mean, error = _padded(judged, z * z / 2)
    return Interval(
        estimate=judged.total / judged.n / JUDGED_UNIT,
        low=max(0.0, mean - z * error),
        high=min(1.0, mean + z * error),
        confidence=confidence,
    )


def mean_difference(first: Judged, second: Judged, *, confidence: float = 0.95) -> Difference:
    """Second mean − first mean of values in [0, 1], with normal interval and p-value.

    One pseudo value of 0 and one of 1 is added on each side (Agresti and Caffo, The American
    Statistician 2000, for rates).
    """
    if first.n <= 0 or second.n <= 0:
        return _unknown(confidence)
    (mean_1, error_1), (mean_2, error_2) = _padded(first, 1.0), _padded(second, 1.0)
    change = (second.total / second.n - first.total / first.n) / JUDGED_UNIT
    error = sqrt(error_1**2 + error_2**2)
    middle, half = mean_2 - mean_1, _z(confidence) * error
    interval = Interval(
        estimate=change, low=min(middle - half, change), high=max(middle + half, change), confidence=confidence
    )
    return Difference(interval=interval, p_value=_two_sided(middle, error))


class Differences(NamedTuple):
    """Many differences; arrays in the given order."""

    estimate: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    p_value: NDArray[np.float64]


def mean_differences(first: Sequence[Judged], second: Sequence[Judged], *, confidence: float = 0.95) -> Differences:
    """``mean_difference`` of many pairs at once, for a tenth of the time; all must have values.

    >>> a, b = Judged(n=4, total=40_000, squares=400_000_000), Judged(n=4, total=0, squares=0)
    >>> d = mean_differences([a, b], [b, a])
    >>> d.estimate.tolist(), bool(mean_difference(a, b).interval.low == d.low[0])
    ([-1.0, 1.0], True)
    """
    raw_1, mean_1, error_1 = _padded_all(first)
    raw_2, mean_2, error_2 = _padded_all(second)
    change, middle, error = raw_2 - raw_1, mean_2 - mean_1, np.sqrt(error_1**2 + error_2**2)
    half = _z(confidence) * error
    scaled = np.abs(middle) / np.where(error > 0, error, 1.0) / sqrt(2)
    p_values = np.fromiter(map(erfc, scaled.tolist()), dtype=np.float64, count=len(scaled))
    p_values[error <= 0] = 1.0
    return Differences(change, np.minimum(middle - half, change), np.maximum(middle + half, change), p_values)


def _padded_all(judged: Sequence[Judged]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Mean, and mean and standard error with one pseudo value of 0 and one of 1, as in ``_padded``."""
    n, total, squares = (np.fromiter(map(part, judged), dtype=np.float64, count=len(judged)) for part in _PARTS)
    mean = (total / JUDGED_UNIT + 1.0) / (n + 2.0)
    square = (squares / JUDGED_UNIT**2 + 1.0) / (n + 2.0)
    return total / n / JUDGED_UNIT, mean, np.sqrt(np.maximum(0.0, square - mean * mean) / (n + 2.0))


def adjusted_p_values(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for their number, in the given order (Benjamini and Hochberg, JRSS B 1995).

    Reporting those at most α keeps the expected share of false ones among the reported at most α.

    >>> [round(p, 3) for p in adjusted_p_values([0.01, 0.04, 0.03])]
    [0.03, 0.04, 0.04]
    """
    n = len(p_values)
    adjusted = [1.0] * n
    smallest = 1.0
    for rank, i in enumerate(sorted(range(n), key=lambda i: -p_values[i])):
        smallest = min(smallest, p_values[i] * n / (n - rank))
        adjusted[i] = smallest
    return adjusted


def _padded(judged: Judged, each: float) -> tuple[float, float]:
    """Mean and standard error with ``each`` pseudo values of 0 and as many of 1."""
    n = judged.n + 2 * each
    mean = (judged.total / JUDGED_UNIT + each) / n
    square = (judged.squares / JUDGED_UNIT**2 + each) / n
    return mean, sqrt(max(0.0, square - mean * mean) / n)


def _z(confidence: float) -> float:
    return _NORMAL.inv_cdf(0.5 + confidence / 2)


def _two_sided(change: float, spread: float) -> float:
    if spread <= 0.0:
        return 1.0
    return erfc(abs(change) / spread / sqrt(2))


def _unknown(confidence: float) -> Difference:
    return Difference(interval=Interval(estimate=0.0, low=-1.0, high=1.0, confidence=confidence), p_value=1.0)

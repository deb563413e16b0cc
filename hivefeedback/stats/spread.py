"""How far the mean of durations, costs or tokens can be trusted, from sums and histograms.

Cells hold no squares of these, since they would have to be summed as integers of 100 bits; the
histogram gives the variance within 2 %, which an interval does not notice.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import erfc, sqrt
from statistics import NormalDist
from typing import Final, NamedTuple

from hivefeedback.model import Interval
from hivefeedback.stats.histogram import value_of
from hivefeedback.stats.interval import Difference

__all__ = ["MIN_RUNS", "Spread", "mean_change", "spread_interval", "spread_of"]

MIN_RUNS = 10
"""Below that a normal interval of such skewed values promises too much; also what the sources ask for."""
_Z = NormalDist().inv_cdf(0.975)


class _Values(dict[int, float]):
    """Middles of bins, each worked out once: a power for each bin would be half of what a comparison costs.
    There are some 2500 bins at most."""

    def __missing__(self, k: int) -> float:
        value = self[k] = value_of(k)
        return value


_VALUES: Final = _Values()


class Spread(NamedTuple):
    """n, mean and variance of some values."""

    n: int
    mean: float
    variance: float


def spread_of(bins: Mapping[int, int], mean: float | None) -> Spread:
    """The spread of a histogram, whose mean is known exactly.

    >>> from hivefeedback.stats import bin_of
    >>> s = spread_of({bin_of(1.0): 50, bin_of(3.0): 50}, 2.0)
    >>> s.n, s.mean, round(s.variance, 1)
    (100, 2.0, 1.0)
    """
    n, first, second = 0, 0.0, 0.0
    for k, count in sorted(bins.items()):  # sums of floats depend on the order, answers must not
        value = _VALUES[k]
        part = count * value
        n += count
        first += part
        second += part * value
    if n <= 0:
        return Spread(0, 0.0, 0.0)
    middle = first / n
    squares = max(0.0, second - first * middle)
    return Spread(n, middle if mean is None else mean, squares / (n - 1) if n > 1 else 0.0)


def spread_interval(spread: Spread) -> Interval | None:
    """95 % interval of the mean (normal, bounded by 0); None with fewer than 10 values."""
    if spread.n < MIN_RUNS:
        return None
    half = _Z * sqrt(spread.variance / spread.n)
    return Interval(estimate=spread.mean, low=max(0.0, spread.mean - half), high=spread.mean + half)


def mean_change(first: Spread, second: Spread) -> Difference | None:
    """Second mean − first mean with 95 % interval and p-value (Welch, Biometrika 1947, normal limit);
    None with fewer than 10 values on a side."""
    if first.n < MIN_RUNS or second.n < MIN_RUNS:
        return None
    change = second.mean - first.mean
    error = sqrt(first.variance / first.n + second.variance / second.n)
    interval = Interval(estimate=change, low=change - _Z * error, high=change + _Z * error)
    if error > 0.0:
        p_value = erfc(abs(change) / error / sqrt(2))
    else:
        p_value = 0.0 if change else 1.0
    return Difference(interval=interval, p_value=p_value)

"""A mergeable log-bucket histogram with at most 1 % relative error.

A value x > 0 falls into bin ⌈log_γ x⌉ with γ = (1 + ε)/(1 − ε), so every value of a bin lies within
ε of the bin's middle 2γ^k/(γ + 1): the construction of DDSketch (Masson, Rim, Lee, VLDB 2019).
Bins are sparse, and bounded because values are clamped to [1e-9, 1e12].
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import ceil, log

import numpy as np
from numpy.typing import NDArray

__all__ = ["RELATIVE_ERROR", "bin_of", "bins_of", "merge_bins", "quantile", "value_of"]

RELATIVE_ERROR = 0.01
_GAMMA = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_PER_LOG = 1 / log(_GAMMA)
_SMALLEST, _LARGEST = 1e-9, 1e12
_NEARLY = 1e-9
"""A rank that is a whole number may come out this much larger."""
_ZERO = -(1 << 20)
"""The bin of values that are zero or smaller."""


def bin_of(value: float) -> int:
    """Bin of a value; zero and less share one."""
    if _SMALLEST <= value <= _LARGEST:
        return ceil(log(value) * _PER_LOG)
    if value <= 0.0:
        return _ZERO
    return ceil(log(min(max(value, _SMALLEST), _LARGEST)) * _PER_LOG)


def bins_of(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """``bin_of`` for many values at once.

    >>> bins_of(np.array([1.0, 0.0, 2.5])).tolist() == [bin_of(1.0), bin_of(0.0), bin_of(2.5)]
    True
    """
    bins = np.ceil(np.log(np.clip(values, _SMALLEST, _LARGEST)) * _PER_LOG).astype(np.int64)
    bins[values <= 0.0] = _ZERO
    return bins


def value_of(bin_index: int) -> float:
    """Middle of a bin.

    >>> abs(value_of(bin_of(0.123)) / 0.123 - 1) <= RELATIVE_ERROR
    True
    """
    return 0.0 if bin_index == _ZERO else float(2 * _GAMMA**bin_index / (_GAMMA + 1))


def merge_bins(into: dict[int, int], bins: Mapping[int, int]) -> None:
    """Add the counts of ``bins``; associative and commutative."""
    if not into:
        into.update(bins)
        return
    known = into.get
    for k, n in bins.items():
        into[k] = known(k, 0) + n


def quantile(bins: Mapping[int, int] | Iterable[tuple[int, int]], q: float) -> float | None:
    """The q-quantile (0 ≤ q ≤ 1) of a histogram, within 1 %; None where it is empty.

    The nearest rank: the smallest value that is not exceeded by at least a share q of all, so that the
    95th percentile of two values is the larger one.

    >>> two = {bin_of(1.0): 1, bin_of(9.0): 1}
    >>> [quantile(two, q) == value_of(bin_of(x)) for q, x in ((0.5, 1.0), (0.95, 9.0), (0.0, 1.0))]
    [True, True, True]
    """
    items = sorted(bins.items() if isinstance(bins, Mapping) else bins)
    total = sum(n for _, n in items)
    if total <= 0:
        return None
    rank, seen = max(1, ceil(q * total - _NEARLY)), 0
    for k, n in items:
        seen += n
        if seen >= rank:
            return value_of(k)
    return value_of(items[-1][0])

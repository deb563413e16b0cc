"""Tests of a change between two samples, alone or over several operations together.

Thousands are tested at each turn and hardly one is told, so the numbers that decide are worked out
for all at once, and what a finding says only for the few.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import erfc, sqrt
from typing import NamedTuple

import numpy as np

from hivefeedback.model import Interval
from hivefeedback.stats import (
    Difference,
    Differences,
    Judged,
    Sample,
    adjusted_p_values,
    mean_difference,
    mean_differences,
    mean_interval,
)

__all__ = ["Change", "Numbers", "Pair", "Tested", "change_of", "measures", "pooled", "significant_falls"]

_Z95 = 1.959964
"""Half-width of a 95 % interval in standard errors."""


class Change(NamedTuple):
    """A measure before and after, with its tested difference."""

    measure: str
    before: Interval
    after: Interval
    n_before: int
    n_after: int
    difference: Difference


class Pair(NamedTuple):
    """One measure of a (deployment, operation) before and after, on one scale."""

    key: tuple[str, ...]
    scale: str
    measure: str
    before: Judged
    after: Judged


class Numbers(NamedTuple):
    """A tested difference: after − before with its 95 % interval."""

    estimate: float
    low: float
    high: float
    p_value: float


class Tested(NamedTuple):
    """A difference, and the pairs that it is about: one, or all operations of a deployment."""

    key: tuple[str, ...]
    difference: Numbers
    n_after: int
    pairs: tuple[Pair, ...]

    def change(self) -> Change:
        """The whole change."""
        changes = [change_of(p.measure, p.before, p.after) for p in self.pairs]
        return changes[0] if len(changes) == 1 else pooled(changes)


def significant_falls(
    pairs: Sequence[Pair], *, min_after: int, min_drop: float, alpha: float
) -> list[tuple[Tested, float]]:
    """The falls among all differences, each with its adjusted p-value.

    Args:
        pairs: What to test: each pair, and each deployment over several operations (see ``pooled``).
        min_after: Fewest runs afterwards; with fewer nothing is tested.
        min_drop: Smallest fall.
        alpha: Largest p-value, adjusted for everything that was tested.
    """
    if not pairs:
        return []
    found = mean_differences([p.before for p in pairs], [p.after for p in pairs])
    groups: dict[tuple[str, str, str], list[int]] = {}
    for i, p in enumerate(pairs):
        groups.setdefault((p.key[0], p.scale, p.measure), []).append(i)
    together = [_together(pairs, found, rows) for rows in groups.values() if len(rows) > 1]
    together = [t for t in together if t.n_after >= min_after]
    single = np.flatnonzero(np.array([p.after.n >= min_after for p in pairs], dtype=np.bool_))
    adjusted = adjusted_p_values(found.p_value[single].tolist() + [t.difference.p_value for t in together])
    is_fall = (found.high[single] < 0) & (-found.estimate[single] >= min_drop)
    is_fall &= np.array(adjusted[: len(single)]) <= alpha
    falls = [
        (Tested(pairs[i].key, Numbers(*(float(c[i]) for c in found)), pairs[i].after.n, (pairs[i],)), adjusted[at])
        for at, i in zip(np.flatnonzero(is_fall).tolist(), single[is_fall].tolist(), strict=True)
    ]
    for t, p_value in zip(together, adjusted[len(single) :], strict=True):
        if t.difference.high < 0 and -t.difference.estimate >= min_drop and p_value <= alpha:
            falls.append((t, p_value))
    return falls


def _together(pairs: Sequence[Pair], found: Differences, rows: Sequence[int]) -> Tested:
    """The numbers of ``pooled``."""
    weights = np.array([pairs[i].after.n for i in rows], dtype=np.float64)
    n_after = int(weights.sum())
    weights /= n_after
    low, high = found.low[rows], found.high[rows]
    estimate, middle = float(weights @ found.estimate[rows]), float(weights @ (low + high)) / 2
    half = sqrt(float((((high - low) / 2 * weights) ** 2).sum()))
    p_value = erfc(abs(middle) / half * _Z95 / sqrt(2)) if half > 0 else 1.0
    numbers = Numbers(estimate, middle - half, middle + half, p_value)
    return Tested((pairs[rows[0]].key[0], ""), numbers, n_after, tuple(pairs[i] for i in rows))


def measures(before: Sample, after: Sample) -> tuple[tuple[str, Judged, Judged], ...]:
    """What can be compared: success by outcome, quality by reward."""
    return ("success", before.outcomes, after.outcomes), ("quality", before.rewards, after.rewards)


def change_of(measure: str, before: Judged, after: Judged) -> Change:
    """The change of one (deployment, operation)."""
    intervals = mean_interval(before), mean_interval(after)
    return Change(measure, *intervals, before.n, after.n, mean_difference(before, after))


def pooled(changes: Sequence[Change]) -> Change:
    """The change of a deployment over several operations, each compared with itself.

    Differences are averaged with the recent runs as weights (direct standardisation), so that a
    deployment that is given harder work is not taken for one that got worse.
    """
    n_after = sum(c.n_after for c in changes)

    def average(part: Callable[[Change], float]) -> float:
        return sum(part(c) * c.n_after for c in changes) / n_after

    def interval(part: Callable[[Change], Interval]) -> Interval:
        return Interval(
            estimate=average(lambda c: part(c).estimate),
            low=average(lambda c: part(c).low),
            high=average(lambda c: part(c).high),
        )

    middle = average(lambda c: (c.difference.interval.low + c.difference.interval.high) / 2)
    halves = [(c.difference.interval.high - c.difference.interval.low) / 2 * c.n_after / n_after for c in changes]
    half = sqrt(sum(h * h for h in halves))
    estimate = average(lambda c: c.difference.interval.estimate)
    difference = Difference(
        interval=Interval(estimate=estimate, low=middle - half, high=middle + half),
        p_value=erfc(abs(middle) / half * _Z95 / sqrt(2)) if half > 0 else 1.0,
    )
    n_before = sum(c.n_before for c in changes)
    return Change(
        changes[0].measure, interval(lambda c: c.before), interval(lambda c: c.after), n_before, n_after, difference
    )

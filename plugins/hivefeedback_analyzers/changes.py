"""Tests of a change between two samples, alone or over several operations together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import erfc, sqrt
from typing import NamedTuple

from hivefeedback.model import Interval
from hivefeedback.stats import Difference, Judged, Sample, mean_difference, mean_interval

__all__ = ["Change", "change_of", "measures", "pooled"]

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

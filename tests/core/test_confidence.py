"""Bounds that hold at all times at once, and narrow as data come in."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest

from hivefeedback.model import ArmCounts, StepCounts
from hivefeedback.stats import FailingUnits, harm_bound, rate_ratio_sequence, rate_sequence


def _counts(share: float, control: tuple[int, int], canary: tuple[int, int]) -> StepCounts:
    (n0, k0), (n1, k1) = control, canary
    return StepCounts(
        share=share,
        control=ArmCounts(units=n0, failures={"error": k0}),
        canary=ArmCounts(units=n1, failures={"error": k1}),
    )


def test_a_rate_is_bounded_by_the_values_that_the_mixture_does_not_refute() -> None:
    # k = 0, n = 1: B(½, 3/2)/B(½, ½) = ½, so 1 − p > α/2
    i = rate_sequence(0, 1, alpha=0.2)
    assert i.low == 0.0
    assert i.high == pytest.approx(0.9)


def test_rate_bounds_narrow_and_stay_around_the_estimate() -> None:
    widths = [rate_sequence(n // 10, n).high - rate_sequence(n // 10, n).low for n in (10, 100, 1000, 10_000)]
    assert widths == sorted(widths, reverse=True)
    i = rate_sequence(7, 7)
    assert i.low < 1.0 == i.high
    assert (rate_sequence(0, 0).low, rate_sequence(0, 0).high) == (0.0, 1.0)


def test_rate_bounds_hold_at_every_look() -> None:
    rng = np.random.default_rng(5)
    p, alpha, missed = 0.1, 0.05, 0
    looks = [*range(1, 40), *range(40, 1000, 20)]
    for row in np.cumsum(rng.random((400, 1000)) < p, axis=1):
        intervals = (rate_sequence(int(row[t - 1]), t, alpha=alpha) for t in looks)
        missed += any(not i.low <= p <= i.high for i in intervals)
    assert missed <= 20


def test_the_ratio_of_rates_is_estimated_and_bounded() -> None:
    i = rate_ratio_sequence([FailingUnits(0.5, 400, 800)])
    assert i.estimate == pytest.approx(2.0, rel=1e-6)
    assert 1.5 < i.low < 2.0 < i.high < 2.7


def test_a_ratio_needs_failing_units_of_both_arms() -> None:
    nothing = rate_ratio_sequence([FailingUnits(1.0, 0, 9)])
    assert (nothing.low, nothing.high) == (0.0, inf)
    assert rate_ratio_sequence([FailingUnits(0.5, 0, 30)]).high == inf
    assert rate_ratio_sequence([FailingUnits(0.5, 30, 0)]).low == 0.0
    assert rate_ratio_sequence([FailingUnits(0.5, 30, 0)]).high < 1.0


def test_drift_is_not_taken_for_effect() -> None:
    """The common rate doubled while the share grew: pooled rates differ, the ratio does not."""
    steps = [_counts(0.05, (9500, 475), (500, 25)), _counts(0.5, (5000, 500), (5000, 500))]
    ratio = rate_ratio_sequence([FailingUnits(0.05, 475, 25), FailingUnits(0.5, 500, 500)])
    pooled = (525 / 5500) / (975 / 14500)
    assert pooled > 1.4
    assert ratio.low < 1.0 < ratio.high < pooled
    assert harm_bound(steps, "error") < 0.025


def test_ratio_bounds_hold_at_every_look_over_the_ramp() -> None:
    rng = np.random.default_rng(6)
    alpha, ratio, missed = 0.05, 2.0, 0
    shares = np.repeat([0.05, 0.25, 0.5], [600, 300, 300])
    for _ in range(150):
        canary = rng.random(1200) < shares
        failed = rng.random(1200) < np.where(canary, ratio * 0.1, 0.1)
        for t in range(100, 1201, 100):
            now, fell, served = shares[:t], failed[:t], canary[:t]
            steps = [
                FailingUnits(s, int((fell & ~served & (now == s)).sum()), int((fell & served & (now == s)).sum()))
                for s in (0.05, 0.25, 0.5)
            ]
            i = rate_ratio_sequence(steps, alpha=alpha)
            if not i.low <= ratio <= i.high:
                missed += 1
                break
    assert missed <= 12


def test_harm_is_bounded_once_both_arms_are_large_and_alike() -> None:
    bounds = [harm_bound([_counts(0.5, (n, n // 20), (n, n // 20))], "error") for n in (100, 1000, 10_000, 40_000)]
    assert bounds == sorted(bounds, reverse=True)
    assert bounds[-1] < 0.01


def test_without_any_failure_the_canary_alone_bounds_the_harm() -> None:
    assert harm_bound([_counts(0.5, (2000, 0), (2000, 0))], "error") < 0.01
    assert harm_bound([], "error") == 1.0


def test_a_harmful_canary_is_hardly_ever_bounded_below_the_margin() -> None:
    rng = np.random.default_rng(7)
    wrong = 0
    for _ in range(150):
        k0, k1 = np.cumsum(rng.random(6000) < 0.10), np.cumsum(rng.random(6000) < 0.13)
        wrong += any(
            harm_bound([_counts(0.5, (n, int(k0[n - 1])), (n, int(k1[n - 1])))], "error") < 0.02
            for n in range(500, 6001, 500)
        )
    assert wrong <= 3

"""Intervals and p-values agree with published values and cover what they claim."""

from __future__ import annotations

import numpy as np
import pytest

from hivefeedback.stats import (
    JUDGED_UNIT,
    Judged,
    adjusted_p_values,
    mean_difference,
    mean_interval,
    rate_difference,
    wilson_interval,
)


def _judged(*values: float) -> Judged:
    units = [round(v * JUDGED_UNIT) for v in values]
    return Judged(len(units), sum(units), sum(u * u for u in units))


def test_wilson_agrees_with_a_published_value() -> None:
    # Newcombe 1998, Statistics in Medicine 17:857, table I, method 3: 81 of 263
    i = wilson_interval(81, 263)
    assert (round(i.low, 4), round(i.high, 4)) == (0.2553, 0.3662)


@pytest.mark.parametrize(("k", "n", "low", "high"), [(0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)])
def test_wilson_stays_sound_near_zero(k: int, n: int, low: float, high: float) -> None:
    i = wilson_interval(k, n)
    assert (round(i.low, 4), round(i.high, 4)) == (low, high)


def test_without_data_everything_is_possible() -> None:
    assert (wilson_interval(0, 0).low, wilson_interval(0, 0).high) == (0.0, 1.0)
    assert (mean_interval(Judged()).low, mean_interval(Judged()).high) == (0.0, 1.0)
    assert rate_difference(0, 0, 5, 10).p_value == mean_difference(Judged(), _judged(1.0)).p_value == 1.0


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    # Newcombe 1998, Statistics in Medicine 17:873, table II, method 10
    [((48, 80), (56, 70), 0.0524, 0.3339), ((3, 10), (9, 10), 0.1705, 0.8090), ((0, 20), (10, 10), 0.6791, 1.0)],
)
def test_newcombe_agrees_with_published_values(
    first: tuple[int, int], second: tuple[int, int], low: float, high: float
) -> None:
    i = rate_difference(*first, *second).interval
    assert (round(i.low, 4), round(i.high, 4)) == (low, high)


def test_the_p_value_of_equal_rates_is_1_and_of_far_ones_tiny() -> None:
    assert rate_difference(5, 10, 50, 100).p_value == 1.0
    assert rate_difference(10, 10, 20, 20).p_value == 1.0
    assert rate_difference(95, 100, 30, 100).p_value < 1e-15


def test_the_difference_is_second_minus_first() -> None:
    assert rate_difference(90, 100, 50, 100).interval.estimate == pytest.approx(-0.4)
    assert mean_difference(_judged(1.0, 1.0), _judged(0.0, 0.5)).interval.estimate == pytest.approx(-0.75)


def test_the_mean_interval_of_zeros_and_ones_is_that_of_agresti_and_coull() -> None:
    i = mean_interval(_judged(*[1.0] * 8, *[0.0] * 2))
    z = 1.959964
    n, p = 10 + z * z, (8 + z * z / 2) / (10 + z * z)
    assert i.estimate == pytest.approx(0.8)
    assert i.low == pytest.approx(p - z * (p * (1 - p) / n) ** 0.5, abs=1e-5)


def test_a_few_equal_values_are_not_taken_for_certainty() -> None:
    assert mean_interval(_judged(0.8, 0.8, 0.8)).low < 0.5
    assert mean_difference(_judged(1.0, 1.0, 1.0), _judged(0.9, 0.9, 0.9)).p_value > 0.5


def test_mean_intervals_of_graded_values_cover_the_truth() -> None:
    rng = np.random.default_rng(3)
    covered = 0
    for row in rng.beta(4.0, 1.0, (1000, 25)):
        i = mean_interval(_judged(*row))
        covered += i.low <= 0.8 <= i.high
    assert covered >= 930


def test_differences_of_equal_rates_are_called_so_about_as_often_as_stated() -> None:
    rng = np.random.default_rng(4)
    a, b = rng.binomial(40, 0.8, 2000), rng.binomial(60, 0.8, 2000)
    n_rates = sum(rate_difference(int(x), 40, int(y), 60).p_value < 0.05 for x, y in zip(a, b, strict=True))
    assert 60 <= n_rates <= 140


def test_adjusted_p_values_agree_with_the_worked_example() -> None:
    # Benjamini and Hochberg 1995, the 15 p-values of section 4: four are kept at 0.05
    p = [
        0.0001,
        0.0004,
        0.0019,
        0.0095,
        0.0201,
        0.0278,
        0.0298,
        0.0344,
        0.0459,
        0.3240,
        0.4262,
        0.5719,
        0.6528,
        0.7590,
        1.0,
    ]
    adjusted = adjusted_p_values(p)
    assert sum(a <= 0.05 for a in adjusted) == 4
    assert adjusted[0] == pytest.approx(0.0015)


def test_adjusted_p_values_keep_order_and_bounds() -> None:
    p = [0.9, 0.001, 0.04, 0.04]
    adjusted = adjusted_p_values(p)
    assert all(a >= x for a, x in zip(adjusted, p, strict=True))
    assert max(adjusted) <= 1.0
    assert adjusted_p_values([]) == []
    assert adjusted_p_values([0.3]) == [0.3]

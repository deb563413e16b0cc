"""The histogram keeps its relative error, merges in any order and stays bounded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hivefeedback.stats import RELATIVE_ERROR, bin_of, merge_bins, quantile, value_of

VALUES = st.floats(min_value=1e-9, max_value=1e12)


def _bins(values: list[float]) -> dict[int, int]:
    bins: dict[int, int] = {}
    for value in values:
        merge_bins(bins, {bin_of(value): 1})
    return bins


@given(VALUES)
def test_the_middle_of_a_bin_is_within_one_percent_of_its_values(value: float) -> None:
    assert abs(value_of(bin_of(value)) / value - 1) <= RELATIVE_ERROR * (1 + 1e-9)


@given(st.lists(VALUES, min_size=1, max_size=60), st.floats(0, 1))
def test_a_quantile_is_within_one_percent_of_the_exact_one(values: list[float], q: float) -> None:
    found = quantile(_bins(values), q)
    assert found is not None
    rank = q * (len(values) - 1)
    near = {sorted(values)[int(rank)], sorted(values)[min(len(values) - 1, int(rank) + 1)]}
    assert any(abs(found / exact - 1) <= RELATIVE_ERROR * (1 + 1e-9) for exact in near)


@given(st.lists(VALUES, max_size=30), st.lists(VALUES, max_size=30))
def test_merging_is_commutative_and_loses_nothing(a: list[float], b: list[float]) -> None:
    left, right = _bins(a), _bins(b)
    merge_bins(left, _bins(b))
    merge_bins(right, _bins(a))
    assert left == right == _bins(a + b)
    assert sum(left.values()) == len(a) + len(b)


def test_zero_and_negative_values_share_a_bin_of_value_zero() -> None:
    assert bin_of(0.0) == bin_of(-3.0)
    assert value_of(bin_of(0.0)) == 0.0
    assert quantile({bin_of(0.0): 9, bin_of(5.0): 1}, 0.5) == 0.0


def test_absurd_values_are_clamped_so_that_the_bins_stay_bounded() -> None:
    assert bin_of(1e-300) == bin_of(1e-9)
    assert bin_of(1e300) == bin_of(float("inf")) == bin_of(1e12)
    assert bin_of(1e12) - bin_of(1e-9) < 2500


def test_an_empty_histogram_has_no_quantile() -> None:
    assert quantile({}, 0.5) is None
    assert quantile([(3, 0)], 0.5) is None


def test_the_extremes_are_the_first_and_last_bin() -> None:
    bins = _bins([1.0, 10.0, 100.0])
    assert quantile(bins, 0.0) == value_of(bin_of(1.0))
    assert quantile(bins, 1.0) == value_of(bin_of(100.0))
    assert quantile(bins.items(), 0.5) == value_of(bin_of(10.0))

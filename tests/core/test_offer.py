"""Weights are integers, so that a logged propensity is exact."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hivefeedback.model import (
    WEIGHT_UNIT,
    Configuration,
    Deployment,
    Lineup,
    Offer,
    Route,
    integer_weights,
    lineup_of,
)
from hivefeedback.model.snapshot import offer_from


def lineup(*names: str, fixed: tuple[int, ...] | None = None) -> Lineup:
    return Lineup("k", names, names, tuple(Deployment(n) for n in names), {}, 1, fixed)


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=40))
def test_weights_are_positive_integers_whatever_a_policy_answers(shares: list[float]) -> None:
    weights = integer_weights(shares)
    assert len(weights) == len(shares)
    assert all(isinstance(w, int) and w >= 1 for w in weights)
    assert sum(weights) <= WEIGHT_UNIT + len(weights)


@given(st.lists(st.floats(min_value=1e-9, max_value=1.0), min_size=2, max_size=20))
def test_the_propensity_is_weight_over_sum_and_each_draw_lands_where_it_says(shares: list[float]) -> None:
    offer = Offer.of(lineup(*map(str, range(len(shares)))), integer_weights(shares), weights_version=1, reason="policy")
    assert offer.total == sum(offer.weights) == offer.cumulative[-1]
    edges = [0, *offer.cumulative]
    for i, (low, high) in enumerate(pairwise(edges)):
        assert offer.pick(low) == offer.pick(high - 1) == i
        assert offer.propensity(i) == float(Fraction(offer.weights[i], offer.total))


def test_over_all_draws_of_a_small_offer_each_candidate_comes_exactly_as_often_as_its_weight() -> None:
    offer = Offer.of(lineup("a", "b", "c"), [3, 1, 4], weights_version=1, reason="policy")
    assert Counter(offer.pick(d) for d in range(offer.total)) == {0: 3, 1: 1, 2: 4}


def test_open_breakers_get_no_weight_and_are_named() -> None:
    offer = offer_from(lineup("a", "b", "c"), [1, 1, 2], open_breakers=frozenset({"c"}))
    assert offer.weights[2] == 0
    assert [(e.deployment, e.reason) for e in offer.excluded] == [("c", "breaker_open")]
    assert {offer.pick(d) for d in (0, offer.total // 2, offer.total - 1)} == {0, 1}


def test_if_every_breaker_is_open_they_are_ignored_and_the_reason_says_so() -> None:
    offer = offer_from(lineup("a", "b"), [1, 1], open_breakers=frozenset({"a", "b"}))
    assert (offer.reason, offer.excluded) == ("all_breakers_open", ())
    assert min(offer.weights) > 0


def test_fixed_weights_of_a_route_win_over_the_policy() -> None:
    offer = offer_from(lineup("a", "b", fixed=(1, 3)), [0.9, 0.1])
    assert (offer.weights, offer.reason) == ((1, 3), "route")


@pytest.mark.parametrize(
    ("candidates", "expected"),
    [(None, ("a", "b", "c")), (("b", "new", "b"), ("b", "new")), ((), ())],
)
def test_candidates_are_all_deployments_or_the_hosts_own_each_once(
    candidates: tuple[str, ...] | None, expected: tuple[str, ...]
) -> None:
    config = Configuration(deployments={n: Deployment(n) for n in "abc"})
    found = lineup_of(config, {}, "x", candidates)
    assert found.candidates == expected
    assert [d.id for d in found.deployments] == list(expected)


def test_a_route_narrows_the_hosts_candidates_but_never_to_nothing() -> None:
    config = Configuration(deployments={n: Deployment(n) for n in "abc"}, routes={"x": Route(candidates=("b", "c"))})
    assert lineup_of(config, {}, "x/deep", None).candidates == ("b", "c")
    assert lineup_of(config, {}, "xy", None).candidates == ("a", "b", "c")
    assert lineup_of(config, {}, "x", ("a", "c")).candidates == ("c",)
    assert lineup_of(config, {}, "x", ("a",)).candidates == ("a",)

"""The simple policies against hand-computed values and a simulated bandit."""

from __future__ import annotations

from math import log, sqrt
from random import Random

import pytest

from hivefeedback.hooks import Observation, Policy
from hivefeedback_policies.epsilon_greedy import EpsilonGreedyPolicy
from hivefeedback_policies.thompson import ThompsonPerOperationPolicy, ThompsonPolicy
from hivefeedback_policies.ucb import UcbPolicy
from hivefeedback_policies.uniform import UniformPolicy


def seen(deployment: str, rewards: tuple[float, ...], operation: str = "x") -> list[Observation]:
    return [Observation(operation, deployment, reward, 0.0) for reward in rewards]


def played(policy: Policy, n_calls: int = 1000) -> float:
    """Mean expected reward against deployments that succeed 90, 60 and 30 % of the time."""
    rng, rates, names, got = Random(1), (0.9, 0.6, 0.3), ("a", "b", "c"), 0.0
    for _ in range(n_calls):
        k = rng.choices(range(3), policy.shares("x", names))[0]
        got += rates[k]
        policy.learn(seen(names[k], (float(rng.random() < rates[k]),)))
    return got / n_calls


def test_uniform_shares_are_equal() -> None:
    assert UniformPolicy().shares("x", ["a", "b", "c", "d"]) == [0.25] * 4


def test_epsilon_greedy_gives_the_best_mean_all_but_epsilon() -> None:
    policy = EpsilonGreedyPolicy(0.1)
    policy.learn(seen("a", (1.0, 0.0)) + seen("b", (1.0, 1.0)))
    assert policy.shares("x", ["a", "b"]) == pytest.approx([0.05, 0.95])


def test_epsilon_greedy_tries_the_unknown_first() -> None:
    policy = EpsilonGreedyPolicy(0.1)
    policy.learn(seen("a", (1.0, 1.0)))
    assert policy.shares("x", ["a", "b"])[1] > 0.9


def test_ucb_draws_the_largest_bound() -> None:
    policy = UcbPolicy(0.1)
    policy.learn(seen("a", (1.0,) * 8) + seen("b", (0.5, 0.5)))
    # a: 1 + sqrt(2 ln 10 / 8) = 1.76, b: 0.5 + sqrt(2 ln 10 / 2) = 2.02
    assert 0.5 + sqrt(2 * log(10) / 2) > 1.0 + sqrt(2 * log(10) / 8)
    assert policy.shares("x", ["a", "b"]) == pytest.approx([0.05, 0.95])


def test_global_thompson_carries_over_to_other_operations_and_the_other_does_not() -> None:
    together, apart = ThompsonPolicy(1), ThompsonPerOperationPolicy(1)
    for policy in (together, apart):
        policy.learn(seen("a", (1.0,) * 50) + seen("b", (0.0,) * 50))
    assert together.shares("y", ["a", "b"])[0] > 0.95
    assert 0.2 < apart.shares("y", ["a", "b"])[0] < 0.8


@pytest.mark.parametrize(
    ("policy", "bound"),
    [
        (UniformPolicy(), 0.57),
        (EpsilonGreedyPolicy(), 0.8),
        (UcbPolicy(), 0.75),
        (ThompsonPolicy(1), 0.85),
        (ThompsonPerOperationPolicy(1), 0.85),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_learners_stay_above_a_stated_reward(policy: Policy, bound: float) -> None:
    assert played(policy) >= bound

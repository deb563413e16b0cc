"""Each built-in policy keeps the contract that strangers get, and comes in through its entry point."""

from __future__ import annotations

from importlib.metadata import entry_points

import pytest

from hivefeedback.hooks import Policy
from hivefeedback.testing import PolicyContract
from hivefeedback_policies.plugin import PoliciesOptions, PoliciesPlugin

NAMES = ("hierarchical", "thompson", "thompson_per_operation", "ucb", "epsilon_greedy", "uniform")


@pytest.fixture(params=NAMES)
def policy_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class TestBuiltInPolicies(PolicyContract):
    """The contract, once for each policy."""

    @pytest.fixture(autouse=True)
    def _choose(self, policy_name: str) -> None:
        self.policy_name = policy_name

    def make_policy(self, seed: int = 1) -> Policy:
        return PoliciesPlugin().hive_policies()[self.policy_name](seed)

    def test_it_bears_the_name_that_it_is_registered_under(self) -> None:
        assert self.make_policy().name == self.policy_name


def test_the_entry_point_brings_the_plugin() -> None:
    (entry,) = [e for e in entry_points(group="hivefeedback") if e.name == "policies"]
    assert set(entry.load()().hive_policies()) == set(NAMES)


def test_options_reach_the_default_policy() -> None:
    plugin = PoliciesPlugin()
    plugin.configure(PoliciesOptions(explore=0.5))
    policy = plugin.hive_policies()["hierarchical"](1)
    policy.declare(dict.fromkeys("ab", (50.0, None)))
    assert min(policy.shares("x", ["a", "b"])) >= 0.5 * 0.1 / 2

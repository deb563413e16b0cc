"""Policies by name: ``hierarchical`` (the default), ``thompson``, ``thompson_per_operation``,
``ucb``, ``epsilon_greedy``, ``uniform``.

Needs no extra. Choose one by ``FeedbackLoop(policy="ucb")`` or ``policy:`` in ``hivefeedback.yaml``;
options of the default one: ``FeedbackLoop(options={"policies": {"explore": 0.05}})``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hivefeedback.hooks import PluginWithOptions, Policy, PolicyFactory, hookimpl

__all__ = ["PoliciesOptions", "PoliciesPlugin"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PoliciesOptions:
    """Options of the default policy that users set; the reasons are in ``HierarchicalOptions``.

    Args:
        explore: Share of calls, in [0, 1), that looks broadly.
        price_prior: Logits of ability per standard deviation of log price; 0 switches it off.
    """

    explore: float = 0.02
    price_prior: float = 0.25


class PoliciesPlugin(PluginWithOptions[PoliciesOptions]):
    """Registers the policies; numpy is imported when one is made."""

    name = "policies"
    Options = PoliciesOptions

    @hookimpl
    def hive_policies(self) -> Mapping[str, PolicyFactory]:
        """All policies of this package."""
        return {
            "hierarchical": self._hierarchical,
            "thompson": _thompson,
            "thompson_per_operation": _thompson_per_operation,
            "ucb": _ucb,
            "epsilon_greedy": _epsilon_greedy,
            "uniform": _uniform,
        }

    def _hierarchical(self, seed: int) -> Policy:
        from hivefeedback_policies.hierarchical import HierarchicalOptions, HierarchicalPolicy

        options = HierarchicalOptions(explore=self.options.explore, price_prior=self.options.price_prior)
        return HierarchicalPolicy(seed, options)


def _thompson(seed: int) -> Policy:
    from hivefeedback_policies.thompson import ThompsonPolicy

    return ThompsonPolicy(seed)


def _thompson_per_operation(seed: int) -> Policy:
    from hivefeedback_policies.thompson import ThompsonPerOperationPolicy

    return ThompsonPerOperationPolicy(seed)


def _ucb(seed: int) -> Policy:
    from hivefeedback_policies.ucb import UcbPolicy

    return UcbPolicy()


def _epsilon_greedy(seed: int) -> Policy:
    from hivefeedback_policies.epsilon_greedy import EpsilonGreedyPolicy

    return EpsilonGreedyPolicy()


def _uniform(seed: int) -> Policy:
    from hivefeedback_policies.uniform import UniformPolicy

    return UniformPolicy()

"""Variants of rollouts that are over: who learns from their last runs.

A canary's variant, ``a@m-1``, learns while its rollout is open. Runs in flight at its end, and
judgements that come hours later, belong to the deployment where the rollout was promoted, since it
is now what the variant was; else to nobody.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from msgspec.structs import replace

from hivefeedback.hooks import Observation
from hivefeedback.model import variant_id

__all__ = ["Variants", "together"]

_MOST_TOGETHER = 5
"""Rollouts beside one that a unit is thought to have been in at once."""


class Variants:
    """Knows which rollouts ended, and how."""

    def __init__(self) -> None:
        self._promoted: dict[str, bool] = {}

    def end(self, rollout_id: str, *, is_promoted: bool) -> None:
        """A rollout is over."""
        self._promoted[rollout_id] = is_promoted

    def follow(self, promoted: frozenset[str]) -> None:
        """Which rollouts are promoted by now: one that was taken back later is not what is served."""
        self._promoted = {name: name in promoted for name in self._promoted}

    def learner(self, variant: str) -> str:
        """Who learns for a variant now; empty: nobody.

        >>> v = Variants()
        >>> v.end("m-1", is_promoted=True)
        >>> v.end("m-2", is_promoted=False)
        >>> v.learner("a@m-1"), v.learner("a@m-2"), v.learner("a@m-1+m-3"), v.learner("a@home")
        ('a', '', 'a@m-3', 'a@home')
        """
        if not self._promoted or "@" not in variant:
            return variant
        deployment, _, tail = variant.rpartition("@")
        rollouts = tail.split("+")
        ended = [r for r in rollouts if r in self._promoted]
        if not all(self._promoted[r] for r in ended):
            return ""
        return variant_id(deployment, *(r for r in rollouts if r not in ended)) if ended else variant

    def of_now(self, observations: list[Observation]) -> list[Observation]:
        """Rewards by who learns from them now; those that nobody learns from are left out."""
        if not self._promoted:
            return observations
        kept = []
        for observation in observations:
            learner = self.learner(observation.deployment)
            if learner == observation.deployment:
                kept.append(observation)
            elif learner:
                kept.append(replace(observation, deployment=learner))
        return kept


def together(deployment: str, rollout_id: str, rollout_ids: Sequence[str]) -> Iterator[str]:
    """The variants of units that were in the canary of a rollout and of others at once.

    Args:
        deployment: The deployment.
        rollout_id: The rollout.
        rollout_ids: It and the others, in the order in which variants name them.

    >>> list(together("a", "m-2", ["m-1", "m-2"]))
    ['a@m-1+m-2']
    """
    others = [r for r in rollout_ids if r != rollout_id][:_MOST_TOGETHER]
    for n in range(1, len(others) + 1):
        for chosen in combinations(others, n):
            yield variant_id(deployment, *(r for r in rollout_ids if r == rollout_id or r in chosen))

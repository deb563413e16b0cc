"""What one draw picks from: a lineup of candidates and the weights of the moment.

A ``Lineup`` changes with the configuration, an ``Offer`` with each refresh of weights. Both are
immutable; the application's thread only reads them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate

from msgspec import Struct

from hivefeedback.model.deployment import Deployment

__all__ = ["WEIGHT_UNIT", "Exclusion", "Lineup", "Offer", "integer_weights"]

WEIGHT_UNIT = 1 << 20
"""Weights are integers ≥ 1 in units of 2⁻²⁰, so that a logged propensity is exact."""
_TINY = 1e-290


class Exclusion(Struct, frozen=True):
    """A candidate that could not be drawn, and why (``breaker_open``, ``unknown`` …)."""

    deployment: str
    reason: str


class Lineup(Struct, frozen=True):
    """The candidates of an operation, as one arm of the configuration serves them.

    Args:
        key: Content id of the candidate set; the set itself is logged once under it.
        candidates: Deployment ids as the host knows them, in the host's order.
        variants: The id that learns for each candidate: the deployment's own, or that of the
            canary variant (``a@m-7``).
        deployments: What each candidate is served with.
        prompts: Text of each named prompt in this arm.
        versions: Number of the version of each.
        config_version: Sequence number of the journal entry that made this.
        fixed: Weights of a route that takes the choice from the policy, or None.
        rollouts: Ids of the open rollouts that concern this lineup.
        rollout_prompts: For each of these, the prompts that are all it changes; empty where it
            changes more.
        fingerprints: Content id of what each candidate is served with.
    """

    key: str
    candidates: tuple[str, ...]
    variants: tuple[str, ...]
    deployments: tuple[Deployment, ...]
    prompts: Mapping[str, str]
    config_version: int
    fixed: tuple[int, ...] | None = None
    rollouts: tuple[str, ...] = ()
    fingerprints: tuple[str, ...] = ()
    rollout_prompts: tuple[tuple[str, ...], ...] = ()
    versions: Mapping[str, int] = {}


class Offer(Struct, frozen=True):
    """A lineup with weights: everything that a draw needs.

    Args:
        lineup: Who can be drawn.
        weights: One integer per candidate; 0 only where the candidate is excluded.
        cumulative: Running sums of ``weights``.
        total: Sum of ``weights``; the draw is an integer below it.
        weights_version: Number of the refresh that made the weights.
        reason: Why the weights are what they are: ``policy``, ``prior`` (not yet prepared),
            ``route`` (fixed weights), ``only_candidate``, ``all_breakers_open``.
        excluded: Candidates with weight 0, and why.
        is_plain: True where a draw is all there is to do: no rollout, no probe, mode ``act``.
    """

    lineup: Lineup
    weights: tuple[int, ...]
    cumulative: tuple[int, ...]
    total: int
    weights_version: int
    reason: str
    excluded: tuple[Exclusion, ...] = ()
    is_plain: bool = False

    @classmethod
    def of(
        cls,
        lineup: Lineup,
        weights: Sequence[int],
        *,
        weights_version: int,
        reason: str,
        excluded: tuple[Exclusion, ...] = (),
        is_plain: bool = False,
    ) -> Offer:
        """Build an offer from integer weights, one per candidate."""
        cumulative = tuple(accumulate(weights))
        total = cumulative[-1] if cumulative else 0
        return cls(lineup, tuple(weights), cumulative, total, weights_version, reason, excluded, is_plain and total > 0)

    def pick(self, draw: int) -> int:
        """Index of the candidate that a draw in [0, total) lands on."""
        return bisect_right(self.cumulative, draw)

    def propensity(self, index: int) -> float:
        """Probability with which ``pick`` answers ``index``; exact, weights being integers."""
        return self.weights[index] / self.total

    def ranking(self) -> list[int]:
        """Indices by falling weight; ties in the host's order."""
        return sorted(range(len(self.weights)), key=lambda i: -self.weights[i])


def integer_weights(shares: Sequence[float]) -> list[int]:
    """Shares (≥ 0, any sum) as integers ≥ 1 in units of 2⁻²⁰.

    Shares that are not finite or not positive get the smallest weight, never none: a propensity of
    zero could not be corrected for later.

    >>> integer_weights([0.5, 0.25, 0.25])
    [524288, 262144, 262144]
    >>> integer_weights([1.0, 0.0])
    [1048576, 1]
    """
    total = sum(shares)
    if not (_TINY < total < float("inf") and min(shares) >= 0.0):
        clean = [s if 0.0 < s < float("inf") else 0.0 for s in shares]
        most = max(clean, default=0.0)
        if most <= 0.0:
            return [1] * len(clean)
        shares = [s / most for s in clean]  # neither sum nor scale can overflow now
        total = sum(shares)
    scale = WEIGHT_UNIT / total
    return [int(s * scale) or 1 for s in shares]

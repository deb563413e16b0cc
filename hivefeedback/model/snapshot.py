"""What the application's thread serves from: one immutable reference, swapped whole."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

from msgspec import Struct

from hivefeedback.errors import InvalidInputError
from hivefeedback.model.ids import MAX_ID
from hivefeedback.model.journal import Configuration
from hivefeedback.model.lineup import lineup_of
from hivefeedback.model.offer import Exclusion, Lineup, Offer, integer_weights

__all__ = ["OfferKey", "Snapshot", "offer_from"]

OfferKey = str | tuple[str, tuple[str, ...] | None] | tuple[str, tuple[str, ...] | None, tuple[str, ...]]
"""``operation`` · ``(operation, candidates)`` · ``(operation, candidates, canaries)``."""

MAX_OFFERS = 4096
"""Offers that one snapshot remembers; further ones are built for each decision."""


class Snapshot(Struct, frozen=True):
    """Everything that ``decide()`` reads.

    Args:
        mode: ``off``, ``observe``, ``advise`` or ``act``.
        config: The configuration.
        bodies: Text of each prompt body by its hash.
        weights_version: Number of the refresh that made the weights.
        index: Share (> 0) of each deployment per operation; ``""`` is the row of every operation
            that was never seen.
        open_breakers: Variants that are not served.
        probes: For a half-open variant: a deque with its one probe token.
        stopped: Rollouts whose harm test tripped here: control only.
        offers: Prepared offers. ``decide()`` adds the ones that it had to build itself, so this
            is a memo of the snapshot, not a part of its value.
        same: The offer of each candidate tuple by its identity, a memo as well: a tuple does not
            remember its hash, and hashing a hundred ids costs more than the draw.
    """

    mode: str
    config: Configuration
    bodies: Mapping[str, str]
    weights_version: int
    index: Mapping[str, Mapping[str, float]]
    open_breakers: frozenset[str]
    probes: Mapping[str, deque[str]]
    stopped: frozenset[str]
    offers: dict[OfferKey, Offer]
    same: dict[tuple[str, int], tuple[tuple[str, ...], Offer]]

    def offer(
        self, key: OfferKey, operation: str, candidates: tuple[str, ...] | None, canaries: tuple[str, ...]
    ) -> Offer:
        """Build the offer of a set that is not prepared, from the index.

        The stated rule: each candidate's share in the row of its operation (of the global row for
        a new operation; the row's mean for a new deployment), never below the smallest weight.

        Raises:
            InvalidInputError: The operation is no text; it would spoil what is remembered by it.
        """
        if not isinstance(operation, str):
            raise InvalidInputError(f"operation {operation!r} is {type(operation).__name__}; expected a text")
        lineup = lineup_of(self.config, self.bodies, operation, candidates, canaries)
        row = self.index.get(operation) or self.index.get("") or {}
        mean = sum(row.values()) / len(row) if row else 1.0
        shares = [row.get(name, mean) for name in lineup.candidates]
        offer = self.weighed(lineup, shares, reason="prior")
        if len(self.offers) < MAX_OFFERS and len(operation) <= MAX_ID:
            self.offers[key] = offer
        return offer

    def offer_of(self, operation: str, candidates: tuple[str, ...]) -> Offer:
        """The offer of the host's own candidates, remembered by the tuple's identity."""
        key = (operation, candidates)
        offer = self.offers.get(key) or self.offer(key, operation, candidates, ())
        if len(self.same) < MAX_OFFERS:
            self.same[(operation, id(candidates))] = (candidates, offer)
        return offer

    def weighed(self, lineup: Lineup, shares: Sequence[float], *, reason: str) -> Offer:
        """An offer of this snapshot from a lineup and its shares."""
        has_probe = bool(self.probes) and any(v in self.probes for v in lineup.variants)
        return offer_from(
            lineup,
            shares,
            open_breakers=self.open_breakers,
            weights_version=self.weights_version,
            reason=reason,
            is_plain=self.mode == "act" and not has_probe,
        )


def offer_from(
    lineup: Lineup,
    shares: Sequence[float],
    *,
    open_breakers: frozenset[str] = frozenset(),
    weights_version: int = 0,
    reason: str = "policy",
    is_plain: bool = True,
) -> Offer:
    """An offer from shares: fixed routes win over the policy, open breakers get weight 0.

    If every breaker is open, breakers are ignored and the reason says so.
    """
    weights = list(lineup.fixed) if lineup.fixed is not None else integer_weights(shares)
    if lineup.fixed is not None:
        reason = "route"
    if len(weights) == 1:
        reason = "only_candidate"
    excluded: tuple[Exclusion, ...] = ()
    if open_breakers:
        shut = [i for i, v in enumerate(lineup.variants) if v in open_breakers]
        if shut and len(shut) == len(weights):
            reason = "all_breakers_open"
        elif shut:
            for i in shut:
                weights[i] = 0
            excluded = tuple(Exclusion(lineup.candidates[i], "breaker_open") for i in shut)
    is_plain = is_plain and not lineup.rollouts
    return Offer.of(
        lineup, weights, weights_version=weights_version, reason=reason, excluded=excluded, is_plain=is_plain
    )

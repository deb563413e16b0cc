"""Places those that are fit before those that are not, and these before those nobody knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum

from hivefeedback.hooks import Ranked
from hivefeedback_rankers.contender import Contender
from hivefeedback_rankers.conversation import conversation_type, is_able

__all__ = ["Graded", "Tier", "placed"]


class Tier(IntEnum):
    """What may be chosen first."""

    FIT = 0
    UNFIT = 1
    UNKNOWN = 2
    UNABLE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Graded:
    """A contender with its score by an algorithm.

    Args:
        contender: Who.
        score: 0–100 within its tier.
        tier: Where it stands.
        order: What decides between equal scores, smaller first.
        parts: The score taken apart.
        reason: In words.
    """

    contender: Contender
    score: float
    tier: Tier = Tier.FIT
    order: tuple[float, ...] = ()
    parts: Mapping[str, float]
    reason: str


_ALONE = {
    Tier.FIT: "",
    Tier.UNFIT: "; warning: none is fit, the least bad comes first",
    Tier.UNKNOWN: "; warning: of none enough is known, ordered by capability",
    Tier.UNABLE: "; warning: none is declared for it",
}


def placed(graded: Iterable[Graded], operation: str = "") -> list[Ranked]:
    """Best first. Only the best tier that is there keeps its scores: the others have 0, so that no
    order by score puts them first; unknown ones are ordered by their capability. A deployment whose
    tags name conversation types, but not that of the operation, comes last."""
    ordered = sorted((_able(g, operation) for g in graded), key=_key)
    if not ordered:
        return []
    top = ordered[0].tier
    return [_ranked(g, top) for g in ordered]


def _able(g: Graded, operation: str) -> Graded:
    if is_able(g.contender.tags, operation):
        return g
    return replace(g, tier=Tier.UNABLE, reason=f"its tags do not name {conversation_type(operation)!r}; {g.reason}")


def _key(g: Graded) -> tuple[int, float, tuple[float, ...], str]:
    return g.tier, -(g.contender.capability if g.tier is Tier.UNKNOWN else g.score), g.order, g.contender.deployment


def _ranked(g: Graded, top: Tier) -> Ranked:
    score = g.contender.capability if g.tier is Tier.UNKNOWN else g.score
    n_runs = float(g.contender.performance.n_runs)
    return Ranked(
        deployment=g.contender.deployment,
        score=min(100.0, max(0.0, score)) if g.tier is top else 0.0,
        parts={"n_runs": n_runs, "has_performance_data": float(g.tier <= Tier.UNFIT), **g.parts},
        reason=g.reason + (_ALONE[top] if g.tier is top else ""),
    )

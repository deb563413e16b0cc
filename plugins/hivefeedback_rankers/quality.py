"""``quality``: the highest mean rating.

Needs no extra. ``loop.recommend("quality")``, ``loop.rank(by="quality")``; options::

    options:
      quality: {min_operations: 20}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

from hivefeedback.hooks import PluginWithOptions, PolicyFactory, Ranked, Ranker, hookimpl
from hivefeedback_rankers.check import check_count
from hivefeedback_rankers.contender import Contender, ViewRanker
from hivefeedback_rankers.policy import RankedPolicy
from hivefeedback_rankers.tiers import Graded, Tier, placed

__all__ = ["QualityOptions", "QualityPlugin", "QualityRanker"]


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityOptions:
    """Who is known.

    Args:
        min_operations: With fewer runs nothing is known of a deployment.

    Raises:
        InvalidInputError: It is below 1.
    """

    min_operations: int = 10

    def __post_init__(self) -> None:
        check_count(min_operations=self.min_operations)


class QualityRanker(ViewRanker):
    """Highest mean of the ratings first; without ratings, of all feedback and scores.

    >>> from hivefeedback.stats import Judged
    >>> from hivefeedback_rankers.performance import Performance
    >>> seen = Performance(n_runs=20, n_succeeded=20, judged={"rating": Judged(n=20, total=160_000)})
    >>> [place] = QualityRanker().place([Contender(deployment="a", performance=seen)])
    >>> place.score, round(place.parts["avg_rating"], 2)
    (80.0, 4.2)
    """

    name = "quality"

    def __init__(self, options: QualityOptions | None = None) -> None:
        self._options = options or QualityOptions()

    def requiring(self, min_runs: int) -> Self:
        """The same ranker with another ``min_operations``."""
        return type(self)(replace(self._options, min_operations=max(1, min_runs)))

    def place(self, contenders: Sequence[Contender], *, operation: str = "") -> list[Ranked]:
        """Best rated first; those with too few runs or without judgement last."""
        return placed((self._graded(c) for c in contenders), operation)

    def _graded(self, c: Contender) -> Graded:
        p, least = c.performance, self._options.min_operations
        quality = p.quality
        if p.n_runs < least or quality is None:
            why = "never judged" if p.n_runs >= least else f"{p.n_runs:.0f} of the {least} runs that it needs"
            return Graded(contender=c, score=0.0, tier=Tier.UNKNOWN, parts={}, reason=why)
        rating = 1.0 + 4.0 * quality
        return Graded(
            contender=c,
            score=100.0 * quality,
            order=(-p.n_runs,),
            parts={"quality": 100.0 * quality, "avg_rating": rating},
            reason=f"quality {rating:.2f} of 5 over {p.n_runs:.0f} runs",
        )


class QualityPlugin(PluginWithOptions[QualityOptions]):
    """Registers the ranker."""

    name = "quality"
    Options = QualityOptions

    @hookimpl
    def hive_rankers(self) -> Sequence[Ranker]:
        """The ranker."""
        return (QualityRanker(self.options),)

    @hookimpl
    def hive_policies(self) -> Mapping[str, PolicyFactory]:
        """The same formula, to draw by."""
        return {"quality": lambda seed: RankedPolicy("quality", QualityRanker(self.options))}

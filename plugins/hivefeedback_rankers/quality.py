"""``quality``: the highest mean rating.

Needs no extra. ``loop.recommend("quality")``, ``loop.rank(by="quality")``; options::

    options:
      quality: {min_operations: 20}
"""

from __future__ import annotations

from dataclasses import dataclass

from hivefeedback_rankers.contender import Contender
from hivefeedback_rankers.grading import GradingRanker, MinimumOptions
from hivefeedback_rankers.plugin import GradingPlugin
from hivefeedback_rankers.tiers import Graded

__all__ = ["QualityOptions", "QualityPlugin", "QualityRanker"]


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityOptions(MinimumOptions):
    """Who is known.

    Args:
        min_operations: With fewer runs nothing is known of a deployment.

    Raises:
        InvalidInputError: It is below 1.
    """


class QualityRanker(GradingRanker[QualityOptions]):
    """Highest mean of the ratings first; without ratings, of all feedback and scores.

    >>> from hivefeedback.stats import Judged
    >>> from hivefeedback_rankers.performance import Performance
    >>> seen = Performance(n_runs=20, n_succeeded=20, judged={"rating": Judged(n=20, total=160_000)})
    >>> [place] = QualityRanker().place([Contender(deployment="a", performance=seen)])
    >>> place.score, round(place.parts["avg_rating"], 2)
    (80.0, 4.2)
    """

    name = "quality"
    Options = QualityOptions

    def _graded(self, c: Contender) -> Graded:
        p, least = c.performance, self._options.min_operations
        quality = p.quality
        if p.n_runs < least or quality is None:
            return self._unknown(c, "never judged" if p.n_runs >= least else "")
        rating = 1.0 + 4.0 * quality
        return Graded(
            contender=c,
            score=100.0 * quality,
            order=(-p.n_runs,),
            parts={"quality": 100.0 * quality, "avg_rating": rating},
            reason=f"quality {rating:.2f} of 5 over {p.n_runs:.0f} runs",
        )


class QualityPlugin(GradingPlugin[QualityOptions]):
    """Registers the ranker."""

    name = "quality"
    Options = QualityOptions
    kind = QualityRanker

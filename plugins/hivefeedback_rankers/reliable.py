"""``reliable``: the highest success rate.

Needs no extra. ``loop.recommend("reliable")``, ``loop.rank(by="reliable")``; options::

    options:
      reliable: {min_operations: 20}
"""

from __future__ import annotations

from dataclasses import dataclass

from hivefeedback_rankers.contender import Contender
from hivefeedback_rankers.grading import GradingRanker, MinimumOptions
from hivefeedback_rankers.plugin import GradingPlugin
from hivefeedback_rankers.tiers import Graded

__all__ = ["ReliableOptions", "ReliablePlugin", "ReliableRanker"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliableOptions(MinimumOptions):
    """Who is known.

    Args:
        min_operations: With fewer runs nothing is known of a deployment.

    Raises:
        InvalidInputError: It is below 1.
    """


class ReliableRanker(GradingRanker[ReliableOptions]):
    """Highest success rate first; of equal ones, that with more runs.

    >>> from hivefeedback_rankers.performance import Performance
    >>> [place] = ReliableRanker().place(
    ...     [Contender(deployment="a", performance=Performance(n_runs=200, n_succeeded=197))])
    >>> place.score, place.reason
    (98.5, 'success 98.5% over 200 runs')
    """

    name = "reliable"
    Options = ReliableOptions

    def _graded(self, c: Contender) -> Graded:
        p = c.performance
        rate = p.success_rate
        if p.n_runs < self._options.min_operations or rate is None:
            return self._unknown(c)
        return Graded(
            contender=c,
            score=100.0 * rate,
            order=(-p.n_runs,),
            parts={"reliability": 100.0 * rate, "success_rate": rate},
            reason=f"success {rate:.1%} over {p.n_runs:.0f} runs",
        )


class ReliablePlugin(GradingPlugin[ReliableOptions]):
    """Registers the ranker."""

    name = "reliable"
    Options = ReliableOptions
    kind = ReliableRanker

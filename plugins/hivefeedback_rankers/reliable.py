"""``reliable``: the highest success rate.

Needs no extra. ``loop.recommend("reliable")``, ``loop.rank(by="reliable")``; options::

    options:
      reliable: {min_operations: 20}
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

__all__ = ["ReliableOptions", "ReliablePlugin", "ReliableRanker"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliableOptions:
    """Who is known.

    Args:
        min_operations: With fewer runs nothing is known of a deployment.

    Raises:
        InvalidInputError: It is below 1.
    """

    min_operations: int = 10

    def __post_init__(self) -> None:
        check_count(min_operations=self.min_operations)


class ReliableRanker(ViewRanker):
    """Highest success rate first; of equal ones, that with more runs.

    >>> from hivefeedback_rankers.performance import Performance
    >>> [place] = ReliableRanker().place(
    ...     [Contender(deployment="a", performance=Performance(n_runs=200, n_succeeded=197))])
    >>> place.score, place.reason
    (98.5, 'success 98.5% over 200 runs')
    """

    name = "reliable"

    def __init__(self, options: ReliableOptions | None = None) -> None:
        self._options = options or ReliableOptions()

    def requiring(self, min_runs: int) -> Self:
        """The same ranker with another ``min_operations``."""
        return type(self)(replace(self._options, min_operations=max(1, min_runs)))

    def place(self, contenders: Sequence[Contender], *, operation: str = "") -> list[Ranked]:
        """Most reliable first; those with too few runs last."""
        return placed((self._graded(c) for c in contenders), operation)

    def _graded(self, c: Contender) -> Graded:
        p, least = c.performance, self._options.min_operations
        rate = p.success_rate
        if p.n_runs < least or rate is None:
            why = f"{p.n_runs:.0f} of the {least} runs that it needs"
            return Graded(contender=c, score=0.0, tier=Tier.UNKNOWN, parts={}, reason=why)
        return Graded(
            contender=c,
            score=100.0 * rate,
            order=(-p.n_runs,),
            parts={"reliability": 100.0 * rate, "success_rate": rate},
            reason=f"success {rate:.1%} over {p.n_runs:.0f} runs",
        )


class ReliablePlugin(PluginWithOptions[ReliableOptions]):
    """Registers the ranker."""

    name = "reliable"
    Options = ReliableOptions

    @hookimpl
    def hive_rankers(self) -> Sequence[Ranker]:
        """The ranker."""
        return (ReliableRanker(self.options),)

    @hookimpl
    def hive_policies(self) -> Mapping[str, PolicyFactory]:
        """The same formula, to draw by."""
        return {"reliable": lambda seed: RankedPolicy("reliable", ReliableRanker(self.options))}

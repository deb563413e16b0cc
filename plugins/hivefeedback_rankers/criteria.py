"""``cost``, ``accuracy``, ``creativity``, ``continuity``: one criterion each; ``speed`` has its own file.

Needs no extra. ``loop.rank(by="creativity", operation="text-to-image")`` ranks for a conversation
type, a longer path for what lies below it. What each criterion reads:

========== =========================================================================================
cost       mean cost of a run ÷ success rate, that is what a success costs; before any cost was
           measured, ``typical_tokens`` at list price
accuracy   ratings of ``accuracy``; else the success of the queries it was used in, else fact checks,
           else its success rate
creativity ratings of ``creativity``; else its quality (other ratings, or all feedback and scores)
continuity share of runs that came to their end: neither failed nor truncated
speed      mean latency of ok runs, see ``speed``
========== =========================================================================================

Options::

    options:
      criteria: {acceptable_cost_usd: 0.002}
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf

from hivefeedback.hooks import PluginWithOptions, Ranker, hookimpl
from hivefeedback.stats import QUERY
from hivefeedback_rankers.check import check_count, check_positive
from hivefeedback_rankers.contender import Contender
from hivefeedback_rankers.grading import GradingRanker, MinimumOptions
from hivefeedback_rankers.performance import Performance
from hivefeedback_rankers.tiers import Graded

__all__ = [
    "AccuracyRanker",
    "ContinuityRanker",
    "CostRanker",
    "CreativityRanker",
    "CriteriaOptions",
    "CriteriaPlugin",
    "CriterionRanker",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class CriteriaOptions(MinimumOptions):
    """Scales of the criteria.

    Args:
        acceptable_cost_usd: What a call may cost, in USD; scores 50, nothing scores 100, twice as
            much 0. Only the scale: the order is that of the costs.
        typical_tokens: Tokens of a call whose cost was never measured.
        min_operations: With fewer runs nothing is known of a deployment.

    Raises:
        InvalidInputError: A value is out of range; the message names option and value.
    """

    acceptable_cost_usd: float = 0.01
    typical_tokens: int = 1000

    def __post_init__(self) -> None:
        check_positive(acceptable_cost_usd=self.acceptable_cost_usd)
        check_count(typical_tokens=self.typical_tokens)
        MinimumOptions.__post_init__(self)  # slots leave super() without its cell


class CriterionRanker(GradingRanker[CriteriaOptions]):
    """Base: a subclass says how well a contender does; more runs decide between equals."""

    Options = CriteriaOptions

    def _graded(self, c: Contender) -> Graded:
        p = c.performance
        if p.n_runs < self._options.min_operations:
            return self._unknown(c)
        measured = self._measure(p)
        if measured is None:
            return self._unknown(c, f"{p.n_runs:.0f} runs, none judged")
        rate, what = measured
        return self._known(c, 100.0 * rate, f"{what} {rate:.1%} over {p.n_runs:.0f} runs")

    def _measure(self, p: Performance) -> tuple[float, str] | None:
        """A rate in [0, 1] and what it is; None where nothing is known."""
        raise NotImplementedError

    def _known(self, c: Contender, score: float, why: str) -> Graded:
        return Graded(contender=c, score=score, order=(-c.performance.n_runs,), parts={self.name: score}, reason=why)


class CostRanker(CriterionRanker):
    """The cheapest success first.

    >>> from hivefeedback_rankers.performance import Performance
    >>> seen = Performance(n_runs=100, n_succeeded=80, cost_usd=0.004)
    >>> [place] = CostRanker().place([Contender(deployment="a", performance=seen)])
    >>> place.score, place.parts["cost_of_success_usd"]
    (75.0, 0.005)
    """

    name = "cost"

    def _graded(self, c: Contender) -> Graded:
        p, cost_usd = c.performance, c.performance.cost_usd
        if cost_usd is not None and p.n_runs >= self._options.min_operations:
            rate = p.success_rate or 0.0
            paid = cost_usd / rate if rate else inf
            shown = f"{paid:.6f} USD" if rate else "no price"
            return self._priced(c, paid, f"{cost_usd:.6f} USD a run, {shown} a success over {p.n_runs:.0f} runs")
        if c.price_usd_per_mtok is not None:
            paid = c.price_usd_per_mtok * self._options.typical_tokens / 1e6
            graded = self._priced(c, paid, f"{paid:.6f} USD by list price for {self._options.typical_tokens} tokens")
            return replace(graded, parts={**graded.parts, "has_performance_data": 0.0})
        return self._unknown(c, f"{p.n_runs:.0f} runs, neither cost nor price known")

    def _priced(self, c: Contender, paid: float, why: str) -> Graded:
        score = max(0.0, 100.0 - paid / (2.0 * self._options.acceptable_cost_usd) * 100.0)
        parts = {self.name: score} | ({} if paid == inf else {"cost_of_success_usd": paid})
        return Graded(contender=c, score=score, order=(paid, -c.performance.n_runs), parts=parts, reason=why)


class AccuracyRanker(CriterionRanker):
    """The most accurate first."""

    name = "accuracy"

    def _measure(self, p: Performance) -> tuple[float, str] | None:
        for name, what in (("accuracy", "rated"), (QUERY, "successful queries"), ("fact_check", "facts held")):
            rate = p.mean_of(name)
            if rate is not None:
                return rate, what
        return None if p.success_rate is None else (p.success_rate, "never judged, successful calls")


class CreativityRanker(CriterionRanker):
    """The most creative first."""

    name = "creativity"

    def _measure(self, p: Performance) -> tuple[float, str] | None:
        rate = p.mean_of("creativity")
        if rate is not None:
            return rate, "rated"
        return None if p.quality is None else (p.quality, "creativity never rated, quality")


class ContinuityRanker(CriterionRanker):
    """The one that breaks off least first."""

    name = "continuity"

    def _measure(self, p: Performance) -> tuple[float, str] | None:
        return (p.n_whole / p.n_runs, "came to their end") if p.n_runs else None


class CriteriaPlugin(PluginWithOptions[CriteriaOptions]):
    """Registers the rankers."""

    name = "criteria"
    Options = CriteriaOptions

    @hookimpl
    def hive_rankers(self) -> Sequence[Ranker]:
        """One ranker for each criterion."""
        kinds = (CostRanker, AccuracyRanker, CreativityRanker, ContinuityRanker)
        return tuple(kind(self.options) for kind in kinds)

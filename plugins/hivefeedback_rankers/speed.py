"""``speed``: the lowest mean latency of ok runs, among those that succeed often enough.

Needs no extra. ``loop.recommend("speed")``, ``loop.rank(by="speed")``; options::

    options:
      speed: {min_success_rate: 0.95}
"""

from __future__ import annotations

from dataclasses import dataclass

from hivefeedback_rankers.check import check_positive, check_share
from hivefeedback_rankers.contender import Contender
from hivefeedback_rankers.grading import GradingRanker, MinimumOptions
from hivefeedback_rankers.latency import latency_score
from hivefeedback_rankers.plugin import GradingPlugin
from hivefeedback_rankers.tiers import Graded, Tier

__all__ = ["SpeedOptions", "SpeedPlugin", "SpeedRanker"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeedOptions(MinimumOptions):
    """Who may count as fast.

    Args:
        max_acceptable_latency_ms: Scores 50; only the scale, the order is that of the latencies.
        min_success_rate: In [0, 1]; below it a deployment comes after all that reach it, since what
            fails at once would be the fastest. The limit of ``adaptive``.
        min_operations: With fewer runs nothing is known of a deployment.

    Raises:
        InvalidInputError: A value is out of range; the message names option and value.
    """

    max_acceptable_latency_ms: float = 500.0
    min_success_rate: float = 0.90

    def __post_init__(self) -> None:
        check_positive(max_acceptable_latency_ms=self.max_acceptable_latency_ms)
        check_share(min_success_rate=self.min_success_rate)
        MinimumOptions.__post_init__(self)  # slots leave super() without its cell


class SpeedRanker(GradingRanker[SpeedOptions]):
    """Lowest mean latency of ok runs first, then those that fail too often; failures are not fast.

    >>> from hivefeedback_rankers.performance import Performance
    >>> sound = Performance(n_runs=100, n_succeeded=98, latency_ms=400.0, n_latency=98)
    >>> hasty = Performance(n_runs=100, n_succeeded=40, latency_ms=50.0, n_latency=40)
    >>> both = [Contender(deployment="hasty", performance=hasty), Contender(deployment="sound", performance=sound)]
    >>> [(place.deployment, place.score) for place in SpeedRanker().place(both)]
    [('sound', 60.0), ('hasty', 0.0)]
    """

    name = "speed"
    Options = SpeedOptions

    def _graded(self, c: Contender) -> Graded:
        o, p = self._options, c.performance
        if p.n_runs < o.min_operations or p.success_rate is None or p.latency_ms is None:
            why = f"{p.n_runs:.0f} of the {o.min_operations} runs that it needs, {p.n_latency:.0f} with a known latency"
            return self._unknown(c, why)
        is_fit = p.success_rate >= o.min_success_rate
        why = f"{p.latency_ms:.0f} ms over {p.n_latency:.0f} runs, success {p.success_rate:.1%}"
        if not is_fit:
            why += f"; below the floor of {o.min_success_rate:.1%}"
        score = latency_score(p.latency_ms, o.max_acceptable_latency_ms)
        return Graded(
            contender=c,
            score=score,
            tier=Tier.FIT if is_fit else Tier.UNFIT,
            order=(p.latency_ms, -p.n_runs),
            parts={"speed": score, "avg_latency_ms": p.latency_ms, "success_rate": p.success_rate},
            reason=why,
        )


class SpeedPlugin(GradingPlugin[SpeedOptions]):
    """Registers the ranker."""

    name = "speed"
    Options = SpeedOptions
    kind = SpeedRanker

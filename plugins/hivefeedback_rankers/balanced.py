"""``balanced``: 30 % speed, 40 % quality, 30 % reliability.

Needs no extra. ``loop.recommend("balanced")``, ``loop.rank(by="balanced")``; options::

    options:
      balanced: {max_acceptable_latency_ms: 2000, min_operations: 20}
"""

from __future__ import annotations

from dataclasses import dataclass

from hivefeedback_rankers.check import check_positive, check_weights
from hivefeedback_rankers.contender import Contender
from hivefeedback_rankers.grading import GradingRanker, MinimumOptions
from hivefeedback_rankers.latency import latency_score
from hivefeedback_rankers.plugin import GradingPlugin
from hivefeedback_rankers.tiers import Graded

__all__ = ["BalancedOptions", "BalancedPlugin", "BalancedRanker"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BalancedOptions(MinimumOptions):
    """What counts how much.

    Args:
        speed_weight, quality_weight, reliability_weight: At least 0, sum 1 within 0.01; the source's.
        max_acceptable_latency_ms: Scores 50 as a speed; the scale of ``adaptive``, since the source
            does not say how it makes speeds comparable.
        min_operations: With fewer runs nothing is known of a deployment.

    Raises:
        InvalidInputError: A value is out of range; the message names option and value.
    """

    speed_weight: float = 0.30
    quality_weight: float = 0.40
    reliability_weight: float = 0.30
    max_acceptable_latency_ms: float = 500.0

    def __post_init__(self) -> None:
        check_weights(
            speed_weight=self.speed_weight,
            quality_weight=self.quality_weight,
            reliability_weight=self.reliability_weight,
        )
        check_positive(max_acceptable_latency_ms=self.max_acceptable_latency_ms)
        MinimumOptions.__post_init__(self)  # slots leave super() without its cell


class BalancedRanker(GradingRanker[BalancedOptions]):
    """The composite of speed, quality and reliability, each 0–100.

    Speed is the latency score of ok runs, quality the mean rating ((r − 1) ÷ 4 of a rating r of
    1–5), reliability the success rate. The weight of what is not known is spread over the others.

    >>> from hivefeedback.stats import Judged
    >>> from hivefeedback_rankers.performance import Performance
    >>> rated = {"rating": Judged(n=20, total=160_000)}  # 4.2 stars
    >>> seen = Performance(n_runs=20, n_succeeded=19, latency_ms=250.0, n_latency=19, judged=rated)
    >>> [place] = BalancedRanker().place([Contender(deployment="llama3.1:8b-instruct", performance=seen)])
    >>> round(place.score, 2)  # 0.3 · 75 + 0.4 · 80 + 0.3 · 95
    83.0
    """

    name = "balanced"
    Options = BalancedOptions

    def _graded(self, c: Contender) -> Graded:
        o, p = self._options, c.performance
        if p.n_runs < o.min_operations or p.success_rate is None:
            return self._unknown(c)
        scores = {"reliability": (o.reliability_weight, 100.0 * p.success_rate)}
        if p.quality is not None:
            scores["quality"] = (o.quality_weight, 100.0 * p.quality)
        if p.latency_ms is not None:
            scores["speed"] = (o.speed_weight, latency_score(p.latency_ms, o.max_acceptable_latency_ms))
        known = sum(weight for weight, _ in scores.values())
        parts = {name: weight / known * score if known else 0.0 for name, (weight, score) in scores.items()}
        return Graded(
            contender=c, score=sum(parts.values()), order=(-p.n_runs,), parts=parts | _facts(c), reason=_why(c)
        )


def _facts(c: Contender) -> dict[str, float]:
    p = c.performance
    facts = {"success_rate": p.success_rate, "avg_latency_ms": p.latency_ms}
    facts["avg_rating"] = None if p.quality is None else 1.0 + 4.0 * p.quality
    return {name: value for name, value in facts.items() if value is not None}


def _why(c: Contender) -> str:
    p = c.performance
    facts = _facts(c)
    took = "latency unknown" if p.latency_ms is None else f"{p.latency_ms:.0f} ms"
    rated = "never judged" if p.quality is None else f"quality {facts['avg_rating']:.2f} of 5"
    return f"{p.n_runs:.0f} runs: {took}, {rated}, success {facts['success_rate']:.1%}"


class BalancedPlugin(GradingPlugin[BalancedOptions]):
    """Registers the ranker."""

    name = "balanced"
    Options = BalancedOptions
    kind = BalancedRanker

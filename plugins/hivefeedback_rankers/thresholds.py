"""``thresholds``: a deployment that is mostly wrong in a domain is out, one that is mostly right goes ahead.

Needs no extra. ``loop.rank(by="thresholds", operation="text-to-text/medical")``, or
``by="thresholds_speed"`` to order by real latency instead of capability; options::

    options:
      thresholds: {accuracy_threshold: 0.4}

As a policy, ``FeedbackLoop(policy="llmhive")``.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

from hivefeedback.errors import InvalidInputError
from hivefeedback.hooks import PluginWithOptions, PolicyFactory, Ranked, Ranker, hookimpl
from hivefeedback.stats import QUERY
from hivefeedback_rankers.check import check_count, check_positive, check_share
from hivefeedback_rankers.contender import Contender, ViewRanker
from hivefeedback_rankers.conversation import domain_of
from hivefeedback_rankers.latency import latency_score
from hivefeedback_rankers.performance import Performance
from hivefeedback_rankers.policy import RankedPolicy
from hivefeedback_rankers.tiers import Graded, Tier, placed

__all__ = ["ThresholdsOptions", "ThresholdsPlugin", "ThresholdsRanker", "ThresholdsSpeedRanker"]

log = logging.getLogger("hivefeedback.rankers")
"""Below the core's loggers, where whoever follows the feedback looks for these lines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdsOptions:
    """The two thresholds; the first three defaults are the source's.

    Args:
        accuracy_threshold: Accuracy in [0, 1] below which a deployment is out.
        boost_threshold: Accuracy in [0, 1] above which it goes ahead; not below the first.
        boost: By how much, in [0, 1], of the full score: 0.2 are 20 points of 100.
        min_samples: With fewer queries (or runs) accuracy decides nothing: after a single failure a
            deployment would never be called again, so never recover. The 10 of the other rankers.
        max_acceptable_latency_ms: Scores 50 in speed mode.

    Raises:
        InvalidInputError: A value is out of range; the message names option and value.
    """

    accuracy_threshold: float = 0.3
    boost_threshold: float = 0.7
    boost: float = 0.2
    min_samples: int = 10
    max_acceptable_latency_ms: float = 500.0

    def __post_init__(self) -> None:
        check_share(accuracy_threshold=self.accuracy_threshold, boost_threshold=self.boost_threshold, boost=self.boost)
        if self.accuracy_threshold > self.boost_threshold:
            raise InvalidInputError(
                f"accuracy_threshold is {self.accuracy_threshold}; expected at most boost_threshold,"
                f" {self.boost_threshold}"
            )
        check_count(min_samples=self.min_samples)
        check_positive(max_acceptable_latency_ms=self.max_acceptable_latency_ms)


class _Accuracy(NamedTuple):
    rate: float
    n: float
    note: str


class ThresholdsRanker(ViewRanker):
    """Capability, after the accuracy in the operation's domain.

    Accuracy is the success of the queries that a deployment was used in, or of its calls where no
    query was ever judged; the reason says which. Where all are out, the least bad comes first.

    >>> from hivefeedback.stats import Judged
    >>> from hivefeedback_rankers.performance import Performance
    >>> def used(name, n_right):
    ...     queries = {"query": Judged(n=100, total=n_right * 10_000)}
    ...     return Contender(deployment=name, capability=60.0, performance=Performance(n_runs=100, judged=queries))
    >>> for place in ThresholdsRanker().place([used("model-x", 25), used("gpt-4o", 85)]):
    ...     print(place.deployment, place.score, place.reason)
    gpt-4o 80.0 Boosting gpt-4o (domain accuracy: 0.85)
    model-x 0.0 Deprioritizing model-x (domain accuracy: 0.25 < 0.30)
    """

    name = "thresholds"

    def __init__(self, options: ThresholdsOptions | None = None) -> None:
        self._options = options or ThresholdsOptions()

    def requiring(self, min_runs: int) -> Self:
        """The same ranker with another ``min_samples``."""
        return type(self)(replace(self._options, min_samples=max(1, min_runs)))

    def scope(self, operation: str) -> str:
        """The domain: accuracy is of all its tasks."""
        return domain_of(operation)

    def place(self, contenders: Sequence[Contender], *, operation: str = "") -> list[Ranked]:
        """Highest score first, those below the threshold last."""
        return placed((self._graded(c) for c in contenders), operation)

    def _base(self, c: Contender) -> float:
        return c.capability

    def _graded(self, c: Contender) -> Graded:
        o, accuracy, base = self._options, self._accuracy(c.performance), self._base(c)
        parts = {"base": base, "boost": 0.0}
        if accuracy is None:
            why = f"fewer than {o.min_samples} queries: neither out nor ahead"
            return Graded(contender=c, score=base, parts={**parts, "has_performance_data": 0.0}, reason=why)
        parts |= {"accuracy": accuracy.rate, "n_queries": accuracy.n}
        order = (-accuracy.rate, -accuracy.n)
        if accuracy.rate < o.accuracy_threshold:
            why = f"Deprioritizing {c.deployment} (domain accuracy: {accuracy.rate:.2f} < {o.accuracy_threshold:.2f})"
            log.debug("Performance feedback: %s", why)
            least_bad = 100.0 * accuracy.rate
            return Graded(
                contender=c, score=least_bad, tier=Tier.UNFIT, order=order, parts=parts, reason=why + accuracy.note
            )
        why = f"domain accuracy: {accuracy.rate:.2f}"
        if accuracy.rate > o.boost_threshold:
            parts["boost"] = 100.0 * o.boost
            why = f"Boosting {c.deployment} (domain accuracy: {accuracy.rate:.2f})"
            log.debug("Performance feedback: %s", why)
        return Graded(contender=c, score=base + parts["boost"], order=order, parts=parts, reason=why + accuracy.note)

    def _accuracy(self, p: Performance) -> _Accuracy | None:
        queries = p.judged.get(QUERY)
        if queries is not None and queries.mean is not None:
            return _Accuracy(queries.mean, queries.n, "") if queries.n >= self._options.min_samples else None
        if p.success_rate is None or p.n_runs < self._options.min_samples:
            return None
        return _Accuracy(p.success_rate, p.n_runs, "; of calls, no query was judged")


class ThresholdsSpeedRanker(ThresholdsRanker):
    """The same, but by real latency: an unknown one counts as just acceptable."""

    name = "thresholds_speed"

    def _base(self, c: Contender) -> float:
        acceptable = self._options.max_acceptable_latency_ms
        ms = c.performance.latency_ms
        return latency_score(acceptable if ms is None else ms, acceptable)


class ThresholdsPlugin(PluginWithOptions[ThresholdsOptions]):
    """Registers both rankers."""

    name = "thresholds"
    Options = ThresholdsOptions

    @hookimpl
    def hive_rankers(self) -> Sequence[Ranker]:
        """By capability and by speed."""
        return ThresholdsRanker(self.options), ThresholdsSpeedRanker(self.options)

    @hookimpl
    def hive_policies(self) -> Mapping[str, PolicyFactory]:
        """The same formula, to draw by."""
        return {"llmhive": lambda seed: RankedPolicy("llmhive", ThresholdsRanker(self.options), rolls_up=False)}

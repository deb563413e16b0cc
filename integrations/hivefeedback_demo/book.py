"""What was asked and answered in the demo, and what other choices would have got for the same questions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from hivefeedback_demo.play import Play, Question
from hivefeedback_demo.rates import Rates

__all__ = ["Book", "Call", "Standing", "quantile"]


@dataclass(frozen=True, slots=True)
class Call:
    """One answered question.

    Args:
        question: What was asked.
        model: Who answered.
        way: ``litellm`` or ``langchain``.
        is_right: What the application's check said.
        phase: Number of the phase.
        at_s: Seconds since the demo began.
        seconds: Measured time of the call.
        factors: Share of success that was left, of the models that had got worse.
    """

    question: Question
    model: str
    way: str
    is_right: bool
    phase: int
    at_s: float
    seconds: float
    factors: dict[str, float]


@dataclass(frozen=True, slots=True)
class Standing:
    """Success, mean cost and latency of one way to choose, over the questions that were asked."""

    name: str
    success: float
    cost_usd: float
    p95_s: float


@dataclass(slots=True)
class Book:
    """All calls, in the order in which they were answered."""

    rates: Rates
    play: Play
    calls: list[Call] = field(default_factory=list)
    failed: int = 0

    def success(self, calls: Iterable[Call]) -> float:
        """Share of right answers."""
        return _mean([c.is_right for c in calls])

    def uniform(self, calls: Sequence[Call]) -> float:
        """Expected share of right answers, had each question gone to any model with equal chance."""
        return _mean([_mean([self._right(m, c) for m in self.rates.models]) for c in calls])

    def single(self, model: str, calls: Sequence[Call]) -> float:
        """Share of right answers, had every question gone to this model."""
        return _mean([self._right(model, c) for c in calls])

    def best_single(self, calls: Sequence[Call]) -> str:
        """The model that would have been right most often: in hindsight, from the very questions."""
        return max(self.rates.models, key=lambda m: self.single(m, calls))

    def standings(self) -> list[Standing]:
        """What was done, against uniform choice and the best single model."""
        best = self.best_single(self.calls)
        return [
            self._standing("hivefeedback", self.success(self.calls), lambda c: [c.model]),
            self._standing("uniform choice", self.uniform(self.calls), lambda c: list(self.rates.models)),
            self._standing(f"best single: {best}", self.single(best, self.calls), lambda c: [best]),
        ]

    def most_used(self, calls: Iterable[Call]) -> str:
        """The model that answered most of these calls."""
        return Counter(c.model for c in calls).most_common(1)[0][0]

    def _standing(self, name: str, success: float, chosen: Callable[[Call], list[str]]) -> Standing:
        pairs = [(m, c) for c in self.calls for m in chosen(c)]
        costs = [self.rates.models[m].cost_usd for m, _ in pairs]
        latencies = sorted(self.play.answer(m, c.question).latency_s for m, c in pairs)
        return Standing(name, success, _mean(costs), quantile(latencies, 0.95))

    def _right(self, model: str, call: Call) -> bool:
        return self.play.answer(model, call.question, factor=call.factors.get(model, 1.0)).is_right


def quantile(ordered: Sequence[float], q: float) -> float:
    """The q-quantile of sorted values; 0 where there is none.

    >>> quantile([1.0, 2.0, 3.0], 0.5)
    2.0
    """
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))] if ordered else 0.0


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0

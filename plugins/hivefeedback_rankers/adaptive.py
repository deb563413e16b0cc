"""``adaptive``: 60 % capability, 25 % success, 15 % latency, with penalties for what fails or drags.

Needs no extra. ``loop.rank(by="adaptive")``; options::

    options:
      adaptive: {mode: smooth, shrinkage: 20, max_acceptable_latency_ms: 2000}

As a policy, ``FeedbackLoop(policy="adaptive")``, it serves the best but for a small even share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Literal, NamedTuple, Self

from hivefeedback.errors import InvalidInputError
from hivefeedback.hooks import PluginWithOptions, PolicyFactory, Ranked, Ranker, hookimpl
from hivefeedback_rankers.check import check_count, check_positive, check_share, check_weights
from hivefeedback_rankers.contender import Contender, ViewRanker
from hivefeedback_rankers.latency import latency_score
from hivefeedback_rankers.penalties import Charged, Limits, Penalties, SmoothPenalties, StepPenalties
from hivefeedback_rankers.policy import RankedPolicy
from hivefeedback_rankers.record import DecisionRecord

__all__ = ["AdaptiveOptions", "AdaptivePlugin", "AdaptiveRanker"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptiveOptions:
    """How performance is weighed; all defaults but the last two are the source's.

    Args:
        capability_weight, success_rate_weight, latency_weight: At least 0, sum 1 within 0.01.
        min_acceptable_success_rate: In (0, 1]; below it the score is halved.
        max_acceptable_latency_ms: Above it a fifth of the score is lost; it scores 50.
        min_requests_for_performance: With fewer runs the capability alone counts.
        mode: ``step`` as the source has it, ``smooth`` without cliffs (see ``penalties``).
        shrinkage: Runs at the candidates' common success and latency that each is taken to have
            beside its own; 0 switches it off. With it an unknown deployment is compared with proven
            ones on the same scale, where capability alone would favour it; 20 is a good start.

    Raises:
        InvalidInputError: A value is out of range; the message names option and value.
    """

    capability_weight: float = 0.60
    success_rate_weight: float = 0.25
    latency_weight: float = 0.15
    min_acceptable_success_rate: float = 0.90
    max_acceptable_latency_ms: float = 500.0
    min_requests_for_performance: int = 10
    mode: Literal["step", "smooth"] = "step"
    shrinkage: float = 0.0

    def __post_init__(self) -> None:
        check_weights(
            capability_weight=self.capability_weight,
            success_rate_weight=self.success_rate_weight,
            latency_weight=self.latency_weight,
        )
        check_positive(
            min_acceptable_success_rate=self.min_acceptable_success_rate,
            max_acceptable_latency_ms=self.max_acceptable_latency_ms,
        )
        check_share(min_acceptable_success_rate=self.min_acceptable_success_rate)
        check_count(min_requests_for_performance=self.min_requests_for_performance)
        if self.mode not in ("step", "smooth"):
            raise InvalidInputError(f"mode is {self.mode!r}; expected 'step' or 'smooth'")
        if not isfinite(self.shrinkage) or self.shrinkage < 0.0:
            raise InvalidInputError(f"shrinkage is {self.shrinkage}; expected a number of at least 0")


class _Pool(NamedTuple):
    """What all candidates have in common; None where nothing is known."""

    success_rate: float
    latency_ms: float | None


class _Seen(NamedTuple):
    """Runs that a score rests on, with those that shrinkage added."""

    n_good: float
    n: float
    latency_ms: float | None


class AdaptiveRanker(ViewRanker):
    """Capability corrected by performance.

    score = (0.60 · capability + 0.25 · 100 · success + 0.15 · latency score) · penalties. Without a
    known latency its weight is spread over the other two. Parts of each place: ``capability``,
    ``success`` and ``latency`` (points), ``penalties`` (a factor), and the decision record.

    Args:
        options: Weights and limits.
        has_memory: Whether ``mode="smooth"`` remembers its last charges.

    >>> from hivefeedback_rankers.performance import Performance
    >>> seen = Performance(n_runs=100, n_succeeded=99, latency_ms=120.0, n_latency=99)
    >>> [place] = AdaptiveRanker().place([Contender(deployment="llama3-70b", capability=85.0, performance=seen)])
    >>> round(place.score, 2), round(place.parts["performance_adjustment"], 2)
    (88.95, 3.95)
    """

    name = "adaptive"

    def __init__(self, options: AdaptiveOptions | None = None, *, has_memory: bool = True) -> None:
        self._options = options or AdaptiveOptions()
        self._limits = Limits(self._options.min_acceptable_success_rate, self._options.max_acceptable_latency_ms)
        smooth = SmoothPenalties() if has_memory else SmoothPenalties(remembered=0)
        self._penalties: Penalties = smooth if self._options.mode == "smooth" else StepPenalties()

    def requiring(self, min_runs: int) -> Self:
        """The same ranker with another ``min_requests_for_performance``."""
        other = type(self)(replace(self._options, min_requests_for_performance=max(1, min_runs)))
        other._penalties = self._penalties
        return other

    def place(self, contenders: Sequence[Contender], *, operation: str = "") -> list[Ranked]:
        """Highest score first; equal ones by more runs, then by id."""
        pool = _pool(contenders) if self._options.shrinkage else None
        runs = {c.deployment: c.performance.n_runs for c in contenders}
        places = [self._place(c, pool, operation) for c in contenders]
        return sorted(places, key=lambda r: (-r.score, -runs[r.deployment], r.deployment))

    def _place(self, contender: Contender, pool: _Pool | None, operation: str) -> Ranked:
        seen = self._seen(contender, pool)
        if seen is None:
            return self._by_capability(contender)
        o, c = self._options, contender
        points = [o.capability_weight * c.capability, o.success_rate_weight * 100.0 * seen.n_good / seen.n, 0.0]
        if seen.latency_ms is not None:
            points[2] = o.latency_weight * latency_score(seen.latency_ms, o.max_acceptable_latency_ms)
        else:
            points = _without_latency(points, o)
        charged = self._penalties.charge((operation, c.deployment), seen.n_good, seen.n, seen.latency_ms, self._limits)
        score = min(100.0, max(0.0, sum(points) * charged.factor))
        return _ranked(c, score, points, charged, self._has_data(c), self._why(c, seen, charged))

    def _has_data(self, contender: Contender) -> bool:
        return contender.performance.n_runs >= self._options.min_requests_for_performance

    def _seen(self, contender: Contender, pool: _Pool | None) -> _Seen | None:
        p = contender.performance
        if pool is None:
            return _Seen(p.n_succeeded, p.n_runs, p.latency_ms) if self._has_data(contender) else None
        k = self._options.shrinkage
        latency_ms = pool.latency_ms
        if latency_ms is not None and p.latency_ms is not None:
            latency_ms = (p.n_latency * p.latency_ms + k * latency_ms) / (p.n_latency + k)
        return _Seen(p.n_succeeded + k * pool.success_rate, p.n_runs + k, latency_ms)

    def _by_capability(self, contender: Contender) -> Ranked:
        n, least = contender.performance.n_runs, self._options.min_requests_for_performance
        why = f"capability alone: {n:.0f} of the {least} runs that it needs"
        return _ranked(contender, contender.capability, [contender.capability, 0.0, 0.0], Charged(), False, why)

    def _why(self, contender: Contender, seen: _Seen, charged: Charged) -> str:
        rate, latency_ms = seen.n_good / seen.n, seen.latency_ms
        took = "latency unknown, its weight is spread" if latency_ms is None else f"{latency_ms:.0f} ms"
        why = f"{contender.performance.n_runs:.0f} runs: success {rate:.1%}, {took}"
        if self._options.shrinkage:
            why += f"; drawn to all candidates by {self._options.shrinkage:g} runs"
        if charged.success < 1.0:
            why += f"; × {charged.success:.3g}: success below {self._limits.min_success_rate:.1%}"
        if charged.latency < 1.0:
            why += f"; × {charged.latency:.3g}: slower than {self._limits.max_latency_ms:.0f} ms"
        return why


def _pool(contenders: Sequence[Contender]) -> _Pool | None:
    seen = [c.performance for c in contenders if c.performance.n_runs]
    if not seen:
        return None
    timed = [(p.n_latency, p.latency_ms) for p in seen if p.latency_ms is not None and p.n_latency]
    n_timed = sum(n for n, _ in timed)
    return _Pool(
        sum(p.n_succeeded for p in seen) / sum(p.n_runs for p in seen),
        sum(n * ms for n, ms in timed) / n_timed if n_timed else None,
    )


def _without_latency(points: list[float], o: AdaptiveOptions) -> list[float]:
    known = o.capability_weight + o.success_rate_weight
    if known == 0.0:
        return [0.0, 0.0, 0.0]
    return [point * (known + o.latency_weight) / known for point in points]


def _ranked(c: Contender, score: float, points: list[float], charged: Charged, has_data: bool, why: str) -> Ranked:
    record = DecisionRecord(
        capability_score=c.capability,
        performance_score=score,
        performance_adjustment=score - c.capability,
        has_performance_data=has_data,
        success_rate=c.performance.success_rate if has_data else None,
        avg_latency_ms=c.performance.latency_ms if has_data else None,
        final=score,
    )
    parts = dict(zip(("capability", "success", "latency"), points, strict=True))
    parts |= {"penalties": charged.factor, "n_runs": float(c.performance.n_runs)}
    return Ranked(deployment=c.deployment, score=score, parts=parts | record.parts(), reason=why)


class AdaptivePlugin(PluginWithOptions[AdaptiveOptions]):
    """Registers the ranker."""

    name = "adaptive"
    Options = AdaptiveOptions

    @hookimpl
    def hive_rankers(self) -> Sequence[Ranker]:
        """The ranker."""
        return (AdaptiveRanker(self.options),)

    @hookimpl
    def hive_policies(self) -> Mapping[str, PolicyFactory]:
        """The same formula, to draw by; without memory, so that what was dumped goes on in the same way."""
        return {"adaptive": lambda seed: RankedPolicy("adaptive", AdaptiveRanker(self.options, has_memory=False))}

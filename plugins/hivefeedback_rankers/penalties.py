"""Two ways to make an unreliable or slow deployment pay: the source's cliffs, and slopes instead.

``step`` halves a score when the success rate falls from 0.900 to 0.899, and at ten runs it halves a
deployment that truly succeeds in 95 % of its calls 8.6 % of the time. ``smooth`` charges only what the
evidence demands, in proportion, and does not flap.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import Protocol

from hivefeedback.stats import wilson_interval

__all__ = ["LATENCY_FACTOR", "SUCCESS_FACTOR", "Charged", "Limits", "Penalties", "SmoothPenalties", "StepPenalties"]

SUCCESS_FACTOR = 0.5
"""What is left of a score where too many calls fail."""
LATENCY_FACTOR = 0.8
"""What is left of it where calls take too long; both together leave 0.4."""
_SUCCESS_BAND = 0.05
"""Below the limit by this much, the whole penalty: between a fleet's usual rate and an incident."""
_LATENCY_BAND = 0.2
"""Above the limit by this share of it, the whole penalty."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What is acceptable: a success rate in (0, 1], a mean latency in milliseconds."""

    min_success_rate: float
    max_latency_ms: float


@dataclass(frozen=True, slots=True)
class Charged:
    """Factors in (0, 1] on a score; 1 where nothing is charged."""

    success: float = 1.0
    latency: float = 1.0

    @property
    def factor(self) -> float:
        """Both together."""
        return self.success * self.latency


class Penalties(Protocol):
    """Says what a deployment pays."""

    def charge(
        self, who: tuple[str, str], n_good: float, n: float, latency_ms: float | None, limits: Limits
    ) -> Charged:
        """The factors for (operation, deployment) with n runs of which n_good were ok."""


class StepPenalties:
    """The source's rule: × 0.5 below the success rate, × 0.8 above the latency.

    >>> StepPenalties().charge(("", "a"), 60, 100, 600.0, Limits(0.9, 500.0)).factor
    0.4
    """

    def charge(
        self, who: tuple[str, str], n_good: float, n: float, latency_ms: float | None, limits: Limits
    ) -> Charged:
        """The whole penalty on the wrong side of a limit, nothing on the right side."""
        is_slow = latency_ms is not None and latency_ms > limits.max_latency_ms
        return Charged(
            SUCCESS_FACTOR if n_good / n < limits.min_success_rate else 1.0, LATENCY_FACTOR if is_slow else 1.0
        )


class SmoothPenalties:
    """Slopes instead of cliffs, with memory.

    The charge grows linearly over a band beyond the limit. What evidence demands follows from the
    upper Wilson bound of the success rate (E. B. Wilson, JASA 1927), what it still allows from the
    rate itself; for the latency, from 10 % above the limit and the limit itself. The last charge stays
    while it lies between the two (the play operator of hysteresis), so that a deployment near a limit
    keeps its place. Memory is of this process: a new one begins with what evidence demands.

    Args:
        remembered: Pairs of operation and deployment whose last charge is kept, the oldest go first; 0
            for no memory at all.

    >>> rule, limits = SmoothPenalties(), Limits(0.9, 500.0)
    >>> rule.charge(("", "a"), 8, 10, 120.0, limits).factor, rule.charge(("", "b"), 600, 1000, 120.0, limits).factor
    (1.0, 0.5)
    """

    def __init__(self, remembered: int = 10_000) -> None:
        self._remembered = remembered
        self._last: dict[tuple[str, str], tuple[float, float]] = {}
        self._lock = Lock()

    def charge(
        self, who: tuple[str, str], n_good: float, n: float, latency_ms: float | None, limits: Limits
    ) -> Charged:
        """The last charge, moved no further than the evidence forces it."""
        bound = wilson_interval(n_good, n).high
        demanded = _ramp(limits.min_success_rate - bound, _SUCCESS_BAND)
        allowed = _ramp(limits.min_success_rate - n_good / n, _SUCCESS_BAND)
        over = 0.0 if latency_ms is None else latency_ms / limits.max_latency_ms - 1.0
        demanded_slow, allowed_slow = _ramp(over - _LATENCY_BAND / 2, _LATENCY_BAND), _ramp(over, _LATENCY_BAND)
        with self._lock:
            last, last_slow = self._last.pop(who, (0.0, 0.0))
            now = min(max(last, demanded), allowed)
            slow = min(max(last_slow, demanded_slow), allowed_slow)
            if now or slow:
                self._last[who] = (now, slow)
            if len(self._last) > self._remembered:
                del self._last[next(iter(self._last))]
        return Charged(1.0 - now * (1.0 - SUCCESS_FACTOR), 1.0 - slow * (1.0 - LATENCY_FACTOR))


def _ramp(beyond: float, band: float) -> float:
    """0 up to the limit, 1 from a band beyond it on."""
    return min(1.0, max(0.0, beyond / band))

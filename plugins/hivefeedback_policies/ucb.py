"""UCB1: the best upper confidence bound (Auer, Cesa-Bianchi, Fischer, Machine Learning 47, 2002)."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, log, sqrt

from hivefeedback_policies.counts import CountingPolicy

__all__ = ["UcbPolicy"]


class UcbPolicy(CountingPolicy):
    """Draws the largest ``mean + √(2 ln N ÷ n)`` but for an even share, which keeps every
    propensity positive; one row for all operations.

    Args:
        even: Share in (0, 1] that is spread evenly.
    """

    name = "ucb"

    def __init__(self, even: float = 0.02) -> None:
        super().__init__()
        self._even = even

    def shares(self, operation: str, candidates: Sequence[str]) -> Sequence[float]:
        """The even share each, the rest for the largest bound; untried candidates have the largest."""
        row = self._row(operation)
        cells = [row.get(name, (0.0, 0.0)) for name in candidates]
        all_calls = max(sum(n for n, _ in cells), 1.0)
        bounds = [total / n + sqrt(2.0 * log(all_calls) / n) if n else inf for n, total in cells]
        out = [self._even / len(candidates)] * len(candidates)
        out[bounds.index(max(bounds))] += 1.0 - self._even
        return out

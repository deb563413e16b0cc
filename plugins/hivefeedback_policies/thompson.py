"""Thompson sampling with beta posteriors (Thompson, Biometrika 25, 1933), global or per operation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hivefeedback_policies.counts import CountingPolicy

__all__ = ["ThompsonPerOperationPolicy", "ThompsonPolicy"]

_SAMPLES = 64


class ThompsonPolicy(CountingPolicy):
    """Draws each candidate as often as it wins among 64 samples, plus a small even share.

    Args:
        seed: Of the samples.
        even: Share in (0, 1] that is spread evenly.
    """

    name = "thompson"

    def __init__(self, seed: int = 0, even: float = 0.02) -> None:
        super().__init__()
        self._seed = seed
        self._even = even

    def shares(self, operation: str, candidates: Sequence[str]) -> Sequence[float]:
        """Shares of wins under Beta(1 + Σ, 1 + n − Σ)."""
        row = self._row(operation)
        cells = np.array([row.get(name, (0.0, 0.0)) for name in candidates])
        n, total = cells[:, 0], np.clip(cells[:, 1], 0.0, cells[:, 0])
        self._calls += 1
        rng = np.random.default_rng((self._seed, self._calls))
        best = rng.beta(1.0 + total, 1.0 + n - total, size=(_SAMPLES, len(candidates))).argmax(axis=1)
        wins = np.bincount(best, minlength=len(candidates)) / _SAMPLES
        answer: list[float] = ((1.0 - self._even) * wins + self._even / len(candidates)).tolist()
        return answer


class ThompsonPerOperationPolicy(ThompsonPolicy):
    """The same with a row for each operation and nothing shared between them."""

    name = "thompson_per_operation"
    per_operation = True

"""Equal shares for all: what learning is compared with."""

from __future__ import annotations

from collections.abc import Sequence

from hivefeedback_policies.counts import CountingPolicy

__all__ = ["UniformPolicy"]


class UniformPolicy(CountingPolicy):
    """Draws each candidate equally often.

    >>> UniformPolicy().shares("x", ["a", "b"])
    [0.5, 0.5]
    """

    name = "uniform"

    def shares(self, operation: str, candidates: Sequence[str]) -> Sequence[float]:
        """1 ÷ n each."""
        return [1.0 / len(candidates)] * len(candidates)

    def due(self, now_s: float) -> Sequence[str]:
        """Nothing ever changes."""
        return ()

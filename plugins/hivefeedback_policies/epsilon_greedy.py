"""The best mean so far, but for an even share ε (Sutton and Barto, Reinforcement Learning, 2018, 2.2)."""

from __future__ import annotations

from collections.abc import Sequence

from hivefeedback_policies.counts import CountingPolicy

__all__ = ["EpsilonGreedyPolicy"]


class EpsilonGreedyPolicy(CountingPolicy):
    """Draws the best mean with 1 − ε, untried candidates first; one row for all operations.

    Args:
        epsilon: Share in (0, 1] that is spread evenly; 0.1 is the textbook's.
    """

    name = "epsilon_greedy"

    def __init__(self, epsilon: float = 0.1) -> None:
        super().__init__()
        self._epsilon = epsilon

    def shares(self, operation: str, candidates: Sequence[str]) -> Sequence[float]:
        """ε ÷ n each, and 1 − ε for the best."""
        row = self._row(operation)
        means = []
        for name in candidates:
            n, total = row.get(name, (0.0, 0.0))
            means.append(total / n if n else 2.0)
        out = [self._epsilon / len(candidates)] * len(candidates)
        out[means.index(max(means))] += 1.0 - self._epsilon
        return out

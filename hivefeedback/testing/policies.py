"""Policies that learn nothing, for tests in which learning is not the subject."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hivefeedback.hooks import Observation

__all__ = ["EvenPolicy", "FixedPolicy"]


class EvenPolicy:
    """Gives every candidate the same share and remembers what it was told.

    ``observations`` are all rewards in order; ``adopted`` and ``forgotten`` what became of
    canaries.

    >>> EvenPolicy().shares("x", ["a", "b"])
    [0.5, 0.5]
    """

    name = "even"

    def __init__(self) -> None:
        self.observations: list[Observation] = []
        self.adopted: list[tuple[str, str]] = []
        self.forgotten: list[str] = []
        self._declared: tuple[str, ...] = ()

    def learn(self, observations: Sequence[Observation]) -> None:
        """Remember the rewards."""
        self.observations += observations

    def shares(self, operation: str, candidates: Sequence[str]) -> Sequence[float]:
        """The same share for each candidate."""
        return [1.0 / len(candidates)] * len(candidates)

    def index(self, operation: str) -> Mapping[str, float]:
        """The same share for each declared deployment."""
        return {name: 1.0 / len(self._declared) for name in self._declared}

    def declare(self, deployments: Mapping[str, tuple[float, float | None]]) -> None:
        """Remember who is in service."""
        self._declared = tuple(deployments)

    def adopt(self, deployment: str, variant: str) -> None:
        """Remember a promotion."""
        self.adopted.append((deployment, variant))

    def forget(self, variant: str) -> None:
        """Remember the end of a canary."""
        self.forgotten.append(variant)

    def due(self, now_s: float) -> Sequence[str]:
        """Nothing changes by itself."""
        return ()

    def alarms(self) -> Sequence[tuple[str, str, dict[str, float]]]:
        """Nothing is found."""
        return ()

    def dump(self) -> bytes:
        """Nothing was learnt."""
        return b"{}"

    def load(self, data: bytes) -> None:
        """There is nothing to take back."""


class FixedPolicy(EvenPolicy):
    """Gives each candidate its share of the given ones; those without one get the least.

    Args:
        shares: Share by deployment, ≥ 0; need not sum to 1.

    >>> FixedPolicy({"a": 3, "b": 1}).shares("x", ["a", "b"])
    [0.75, 0.25]
    """

    name = "fixed"

    def __init__(self, shares: Mapping[str, float]) -> None:
        super().__init__()
        self._shares = dict(shares)

    def shares(self, operation: str, candidates: Sequence[str]) -> Sequence[float]:
        """The given shares, made to sum to 1."""
        shares = [max(1e-6, self._shares.get(name, 0.0)) for name in candidates]
        return [share / sum(shares) for share in shares]

    def index(self, operation: str) -> Mapping[str, float]:
        """The given shares."""
        return {name: max(1e-6, share) for name, share in self._shares.items()}

"""Counts of rewards for the simple policies, with all of a policy's small duties."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from hivefeedback.hooks import Observation, RowPolicy
from hivefeedback.model import decoded

__all__ = ["CountingPolicy"]

_VERSION = 1
_NO_PRIOR = (50.0, None)
"""Capability and price are not used, so they are not remembered."""


class _State(msgspec.Struct):
    policy: str
    version: int
    cells: dict[str, dict[str, tuple[float, float]]]
    served: list[str]
    calls: int


class CountingPolicy(RowPolicy[tuple[float, float]]):
    """Base of the baselines: n and Σ of rewards by operation and deployment.

    Subclasses say how shares follow from them. There is no prior.
    """

    per_operation = False
    """True: each operation learns for itself; False: all share one row."""

    def __init__(self) -> None:
        super().__init__()
        self._calls = 0
        """How often shares were asked for; the state of those that draw."""

    def learn(self, observations: Sequence[Observation]) -> None:
        """Add rewards; a correction moves the sum by its difference."""
        for seen in observations:
            row = self.rows.setdefault(self._key(seen.operation), {})
            n, total = row.get(seen.deployment, (0.0, 0.0))
            if seen.previous is None:
                row[seen.deployment] = (n + 1.0, total + seen.reward)
            else:
                row[seen.deployment] = (n, total + seen.reward - seen.previous)

    def learn_alike(self, operation: str, deployment: str, reward: float, n: int) -> None:
        """Add equal rewards at once."""
        row = self.rows.setdefault(self._key(operation), {})
        before, total = row.get(deployment, (0.0, 0.0))
        row[deployment] = (before + n, total + n * reward)

    def learn_shared(self, operation: str, deployment: str, n: int, total: float) -> None:
        """Add what other processes learnt."""
        row = self.rows.setdefault(self._key(operation), {})
        before, total_before = row.get(deployment, (0.0, 0.0))
        row[deployment] = (before + n, total_before + total)

    def due(self, now_s: float) -> Sequence[str]:
        """Nothing changes by time; without own rows every operation changes with each reward."""
        return () if self.per_operation else ("",)

    def dump(self) -> bytes:
        """The counts as JSON."""
        return msgspec.json.encode(_State(self.name, _VERSION, self.rows, list(self.served), self._calls))

    def load(self, data: bytes) -> None:
        """Take back what ``dump`` wrote; anything else is ignored."""
        try:
            state = decoded(data, _State)
        except msgspec.DecodeError:
            return
        if state.policy == self.name and state.version == _VERSION:
            self.rows, self._calls = state.cells, state.calls
            self.served = dict.fromkeys(state.served, _NO_PRIOR)

    def _key(self, operation: str) -> str:
        return operation if self.per_operation else ""

    def _row(self, operation: str) -> Mapping[str, tuple[float, float]]:
        return self.rows.get(self._key(operation), {})

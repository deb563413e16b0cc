"""Counts of rewards for the simple policies, with all of a policy's small duties."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from hivefeedback.hooks import Observation

__all__ = ["CountingPolicy"]

_VERSION = 1


class _State(msgspec.Struct):
    policy: str
    version: int
    cells: dict[str, dict[str, tuple[float, float]]]
    served: list[str]
    calls: int


class CountingPolicy:
    """Base of the baselines: n and Σ of rewards by operation and deployment.

    Subclasses say how shares follow from them. There is no detector and no prior.
    """

    name = ""
    per_operation = False
    """True: each operation learns for itself; False: all share one row."""

    def __init__(self) -> None:
        self._cells: dict[str, dict[str, tuple[float, float]]] = {}
        self._served: list[str] = []
        self._calls = 0
        """How often shares were asked for; the state of those that draw."""

    def learn(self, observations: Sequence[Observation]) -> None:
        """Add rewards; a correction moves the sum by its difference."""
        for seen in observations:
            row = self._cells.setdefault(self._key(seen.operation), {})
            n, total = row.get(seen.deployment, (0.0, 0.0))
            if seen.previous is None:
                row[seen.deployment] = (n + 1.0, total + seen.reward)
            else:
                row[seen.deployment] = (n, total + seen.reward - seen.previous)

    def learn_alike(self, operation: str, deployment: str, reward: float, n: int) -> None:
        """Add equal rewards at once."""
        row = self._cells.setdefault(self._key(operation), {})
        before, total = row.get(deployment, (0.0, 0.0))
        row[deployment] = (before + n, total + n * reward)

    def shares(self, operation: str, candidates: Sequence[str]) -> Sequence[float]:
        """A distribution over the candidates."""
        raise NotImplementedError

    def index(self, operation: str) -> Mapping[str, float]:
        """Share of each deployment in service, if all of them were candidates."""
        names = self._served or sorted({name for row in self._cells.values() for name in row})
        return dict(zip(names, self.shares(operation, names), strict=True))

    def declare(self, deployments: Mapping[str, tuple[float, float | None]]) -> None:
        """Take who is in service; priors are not used."""
        self._served = list(deployments)

    def adopt(self, deployment: str, variant: str) -> None:
        """Let the deployment be what the variant was."""
        for row in self._cells.values():
            row.pop(deployment, None)
            if variant in row:
                row[deployment] = row.pop(variant)

    def forget(self, variant: str) -> None:
        """Drop what was learnt about a variant."""
        for row in self._cells.values():
            row.pop(variant, None)

    def due(self, now_s: float) -> Sequence[str]:
        """Nothing changes by time; without own rows every operation changes with each reward."""
        return () if self.per_operation else ("",)

    def alarms(self) -> Sequence[tuple[str, str, dict[str, float]]]:
        """None: there is no detector."""
        return ()

    def dump(self) -> bytes:
        """The counts as JSON."""
        return msgspec.json.encode(_State(self.name, _VERSION, self._cells, self._served, self._calls))

    def load(self, data: bytes) -> None:
        """Take back what ``dump`` wrote; anything else is ignored."""
        try:
            state = msgspec.json.decode(data, type=_State)
        except msgspec.DecodeError:
            return
        if state.policy == self.name and state.version == _VERSION:
            self._cells, self._served, self._calls = state.cells, state.served, state.calls

    def _key(self, operation: str) -> str:
        return operation if self.per_operation else ""

    def _row(self, operation: str) -> Mapping[str, tuple[float, float]]:
        return self._cells.get(self._key(operation), {})

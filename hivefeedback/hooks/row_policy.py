"""A base for policies that keep a row of sums for each operation; inheriting it is optional."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

__all__ = ["RowPolicy"]

_Sums = TypeVar("_Sums")


class RowPolicy(Generic[_Sums]):
    """The small duties of a policy; a subclass learns into ``rows`` and says ``shares``, ``dump`` and ``load``.

    There is no detector. What is learnt is known by operation and deployment, so a canary that was
    promoted hands its sums over, and one that was taken back leaves none.

    >>> class Even(RowPolicy[float]):
    ...     def shares(self, operation, candidates):
    ...         return [1.0 / len(candidates)] * len(candidates)
    >>> policy = Even()
    >>> policy.rows["chat"] = {"a": 1.0, "a-canary": 3.0}
    >>> policy.adopt("a", "a-canary")
    >>> policy.rows, policy.index("chat")
    ({'chat': {'a': 3.0}}, {'a': 1.0})
    """

    name: str = ""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, _Sums]] = {}
        """Sums by operation and deployment."""
        self.served: dict[str, tuple[float, float | None]] = {}
        """Who is in service, with capability and price."""

    def shares(self, operation: str, candidates: Sequence[str]) -> Sequence[float]:
        """A distribution over the candidates: each > 0, summing to 1."""
        raise NotImplementedError

    def index(self, operation: str) -> Mapping[str, float]:
        """Share of each deployment in service, if all of them were candidates; before any was declared, of
        each that has a row."""
        names = list(self.served) or sorted({name for row in self.rows.values() for name in row})
        return dict(zip(names, self.shares(operation, names), strict=True)) if names else {}

    def declare(self, deployments: Mapping[str, tuple[float, float | None]]) -> None:
        """Take who is in service, with capability and price."""
        self.served = dict(deployments)

    def adopt(self, deployment: str, variant: str) -> None:
        """Let the deployment be what the variant was."""
        for row in self.rows.values():
            row.pop(deployment, None)
            if variant in row:
                row[deployment] = row.pop(variant)

    def forget(self, variant: str) -> None:
        """Drop what was learnt about a variant."""
        for row in self.rows.values():
            row.pop(variant, None)

    def due(self, now_s: float) -> Sequence[str]:
        """All operations at each refresh; a subclass knows better when nothing changed."""
        return ("",)

    def alarms(self) -> Sequence[tuple[str, str, dict[str, float]]]:
        """None: there is no detector."""
        return ()

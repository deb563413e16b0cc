"""The number in [0, 1] that a policy learns from one run.

0 where the outcome counts against the deployment; else the mean of the run's feedback and scores
(complaint, correction and loop_back enter as 1 − value); else, where this operation has a declared
or observed judgement, unknown until it arrives; else 1 for ``ok``. ``refused`` and ``truncated``
earn nothing unless judged; uncounted outcomes never earn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from hivefeedback.model import BLAMED, INVERTED, UNCOUNTED

__all__ = ["UNKNOWN", "RewardRule"]

UNKNOWN: Final = None
"""No reward yet, or never."""


class RewardRule:
    """The default mix.

    Args:
        declared: Operation prefix → names of the feedback or scores that judge it; an empty list
            means any name.
    """

    def __init__(self, declared: Mapping[str, Sequence[str]]) -> None:
        self._declared = {prefix: frozenset(names) for prefix, names in declared.items()}
        self._observed: set[str] = set()
        self._memo: dict[str, frozenset[str] | None] = {}

    def names_of(self, operation: str) -> frozenset[str] | None:
        """Names that judge the operation, by its longest declared prefix; None: nothing declared."""
        if operation not in self._memo:
            if len(self._memo) > 10_000:
                self._memo.clear()
            self._memo[operation] = self._find(operation)
        return self._memo[operation]

    def _find(self, operation: str) -> frozenset[str] | None:
        prefix = operation
        while prefix not in self._declared:
            if not prefix:
                return None
            prefix = prefix.rpartition("/")[0]
        return self._declared[prefix]

    def observe(self, operation: str) -> None:
        """A judgement of this operation arrived: further ones are awaited."""
        if len(self._observed) < 100_000:
            self._observed.add(operation)

    def awaits(self, operation: str) -> bool:
        """True where an ``ok`` run is not learnt before its judgement."""
        return operation in self._observed or self.names_of(operation) is not None

    def enters(self, operation: str, name: str) -> bool:
        """True where feedback or a score of that name is part of the reward."""
        names = self.names_of(operation)
        return not names or name in names

    def of(self, outcome: str, operation: str, judged: Sequence[tuple[str, float]]) -> float | None:
        """The reward of a run with these (name, value) judgements, or UNKNOWN."""
        if outcome in BLAMED:
            return 0.0
        if outcome in UNCOUNTED:
            return UNKNOWN
        values = [1.0 - v if name in INVERTED else v for name, v in judged if self.enters(operation, name)]
        if values:
            return sum(values) / len(values)
        if outcome != "ok" or self.awaits(operation):
            return UNKNOWN
        return 1.0

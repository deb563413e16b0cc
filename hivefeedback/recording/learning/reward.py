"""The number in [0, 1] that a policy learns from one run.

0 where the outcome counts against the deployment; else the mean of the run's feedback and scores
(complaint, correction and loop_back enter as 1 − value); else, where this operation has a declared
or observed judgement, unknown until it arrives; else 1 for ``ok``. ``refused`` and ``truncated``
earn nothing unless judged; uncounted outcomes never earn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from math import inf
from typing import Final

from hivefeedback.hooks import Record
from hivefeedback.model import BLAMED, INVERTED, UNCOUNTED
from hivefeedback.model.feedback import UNREWARDED

__all__ = ["UNKNOWN", "RewardRule", "first_reward"]

UNKNOWN: Final = None
"""No reward yet, or never."""
_MAX_OBSERVED = 100_000


def first_reward(outcome: str) -> float | None:
    """What a run earns when it comes in, where its operation awaits no judgement.

    >>> first_reward("ok"), first_reward("timeout"), first_reward("refused")
    (1.0, 0.0, None)
    """
    return 1.0 if outcome == "ok" else 0.0 if outcome in BLAMED else UNKNOWN


class RewardRule:
    """The default mix.

    Args:
        declared: Operation prefix → names of the feedback or scores that judge it; an empty list
            means any name.
    """

    NAMESPACE = "judged"
    """Namespace of the records of operations that somebody judges."""

    def __init__(self, declared: Mapping[str, Sequence[str]]) -> None:
        self._declared = {prefix: frozenset(names) for prefix, names in declared.items()}
        self._observed: dict[str, float] = {}
        self._memo: dict[str, frozenset[str] | None] = {}

    def names_of(self, operation: str) -> frozenset[str] | None:
        """Names that judge the operation, by its longest declared prefix; None: nothing declared."""
        try:
            return self._memo[operation]
        except KeyError:
            if len(self._memo) > 10_000:
                self._memo.clear()
            names = self._memo[operation] = self._find(operation)
            return names

    def _find(self, operation: str) -> frozenset[str] | None:
        prefix = operation
        while prefix not in self._declared:
            if not prefix:
                return None
            prefix = prefix.rpartition("/")[0]
        return self._declared[prefix]

    def observe(self, operation: str, now_s: float) -> Record | None:
        """A judgement of this operation arrived: further ones are awaited, after a restart too.
        Answers what to store of that, where it is news."""
        if operation in self._observed or len(self._observed) >= _MAX_OBSERVED:
            return None
        self._observed[operation] = now_s
        return Record(self.NAMESPACE, operation, repr(now_s).encode())

    def recall(self, record: Record) -> None:
        """Take back what ``observe`` answered once."""
        with suppress(ValueError):
            self._observed[record.key] = float(record.value)

    def earned(self, outcome: str, operation: str, at_s: float) -> float | None:
        """What a run earned when it was taken in at that time, before anybody judged it."""
        since_s = self._observed.get(operation, inf)
        if outcome == "ok" and self.names_of(operation) is None and at_s <= since_s:
            return 1.0
        return self.of(outcome, operation, ())

    @property
    def observed(self) -> tuple[str, ...]:
        """Operations that were judged without being declared."""
        return tuple(sorted(self._observed))

    @property
    def is_any_awaited(self) -> bool:
        """True where there may be operations whose runs await a judgement."""
        return bool(self._declared or self._observed)

    def awaits(self, operation: str) -> bool:
        """True where an ``ok`` run is not learnt before its judgement."""
        return operation in self._observed or self.names_of(operation) is not None

    def enters(self, operation: str, name: str) -> bool:
        """True where feedback or a score of that name is part of the reward."""
        names = self.names_of(operation)
        return name in names if names else name not in UNREWARDED

    def of(self, outcome: str, operation: str, judged: Sequence[tuple[str, float]]) -> float | None:
        """The reward of a run with these (name, value) judgements, or UNKNOWN."""
        if outcome == "ok" and not judged:  # most runs, when they come in
            return UNKNOWN if self.awaits(operation) else 1.0
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

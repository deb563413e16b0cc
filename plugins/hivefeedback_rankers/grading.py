"""The base of rankers that grade each contender by itself, once it has a minimum of runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Generic, Self, TypeVar, cast

from hivefeedback.hooks import Ranked
from hivefeedback_rankers.check import check_count
from hivefeedback_rankers.contender import Contender, ViewRanker
from hivefeedback_rankers.tiers import Graded, Tier, placed

__all__ = ["GradingRanker", "MinimumOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MinimumOptions:
    """Who is known.

    Args:
        min_operations: With fewer runs nothing is known of a deployment.

    Raises:
        InvalidInputError: It is below 1.
    """

    min_operations: int = 10

    def __post_init__(self) -> None:
        check_count(min_operations=self.min_operations)


_Options = TypeVar("_Options", bound=MinimumOptions)


class GradingRanker(ViewRanker, Generic[_Options]):
    """A subclass names its ``Options`` and says how it grades."""

    Options: ClassVar[type[MinimumOptions]] = MinimumOptions

    def __init__(self, options: _Options | None = None) -> None:
        self._options = options or cast("_Options", self.Options())

    def requiring(self, min_runs: int) -> Self:
        """The same ranker with another ``min_operations``."""
        return type(self)(replace(self._options, min_operations=max(1, min_runs)))

    def place(self, contenders: Sequence[Contender], *, operation: str = "") -> list[Ranked]:
        """Best first; those with too few runs, or of whom nothing is known, last."""
        return placed((self._graded(c) for c in contenders), operation)

    def _graded(self, c: Contender) -> Graded:
        """How well a contender does."""
        raise NotImplementedError

    def _unknown(self, c: Contender, why: str = "") -> Graded:
        """The grade of one of which nothing is known."""
        why = why or f"{c.performance.n_runs:.0f} of the {self._options.min_operations} runs that it needs"
        return Graded(contender=c, score=0.0, tier=Tier.UNKNOWN, parts={}, reason=why)

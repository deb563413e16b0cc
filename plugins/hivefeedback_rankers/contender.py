"""What is ranked, and the base of all rankers: statistics are gathered once, then an algorithm places."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from hivefeedback.hooks import Ranked
from hivefeedback.model import Configuration, Deployment
from hivefeedback.stats import View
from hivefeedback_rankers.performance import NOTHING, Performance, performances

__all__ = ["Contender", "Placing", "ViewRanker", "contender_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A deployment that is to be placed.

    Args:
        deployment: Its id.
        capability: Declared opinion of its ability, 0–100; 50 where it was never declared.
        performance: What the window tells of it.
        tags: Its labels.
        price_usd_per_mtok: Mean of its list prices in and out; None where unknown.
    """

    deployment: str
    capability: float = 50.0
    performance: Performance = NOTHING
    tags: tuple[str, ...] = ()
    price_usd_per_mtok: float | None = None


def contender_of(declared: Deployment, performance: Performance = NOTHING) -> Contender:
    """The contender that a declared deployment is."""
    price = declared.price
    return Contender(
        deployment=declared.id,
        capability=min(100.0, max(0.0, declared.capability)),
        performance=performance,
        tags=declared.tags,
        price_usd_per_mtok=None if price is None else (price.input_usd_per_mtok + price.output_usd_per_mtok) / 2,
    )


class Placing(Protocol):
    """An algorithm that places contenders; the same for questions and for drawing."""

    name: str

    def scope(self, operation: str) -> str:
        """The prefix whose runs count for an operation."""

    def place(self, contenders: Sequence[Contender], *, operation: str = "") -> list[Ranked]:
        """Score each contender, 0–100, best first."""


class ViewRanker:
    """Base of the rankers: ``rank`` gathers what the window tells, ``place`` is the algorithm.

    Candidates named twice are ranked once; unknown ones have no runs and a capability of 50.
    """

    name = ""

    def rank(self, view: View, config: Configuration, *, operation: str, candidates: Sequence[str]) -> Sequence[Ranked]:
        """Place the candidates, best first, by their runs of this operation and those below it."""
        return self.place(self._contenders(view, config, operation, candidates), operation=operation)

    def place(self, contenders: Sequence[Contender], *, operation: str = "") -> list[Ranked]:
        """Score each contender, 0–100, best first."""
        raise NotImplementedError

    def scope(self, operation: str) -> str:
        """The prefix whose runs count for an operation."""
        return operation

    def _contenders(
        self, view: View, config: Configuration, operation: str, candidates: Sequence[str]
    ) -> list[Contender]:
        seen = performances(view, self.scope(operation))
        return [_contender(name, config.deployments, seen) for name in dict.fromkeys(candidates)]


def _contender(name: str, declared: Mapping[str, Deployment], seen: Mapping[str, Performance]) -> Contender:
    return contender_of(declared.get(name) or Deployment(name), seen.get(name, NOTHING))

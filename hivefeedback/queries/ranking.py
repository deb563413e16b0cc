"""Asks a ranker, and checks what it answers: rankers are plugins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import Protocol, runtime_checkable

from hivefeedback.errors import PluginError, UnknownNameError
from hivefeedback.hooks import Ranked, Ranker
from hivefeedback.queries.basis import Basis

__all__ = ["Requiring", "Seeing", "ranked"]


@runtime_checkable
class Requiring(Protocol):
    """What a ranker may offer beside ``rank``: the same with another minimum of runs."""

    def requiring(self, min_runs: int) -> Ranker:
        """The ranker that takes a deployment as known from so many runs on."""


@runtime_checkable
class Seeing(Protocol):
    """What a ranker may offer beside ``rank``: the same, told of the runs under way."""

    def seeing(self, in_flight: Mapping[str, int]) -> Ranker:
        """The ranker that knows so many runs under way per deployment, of those that have any."""


def ranked(
    basis: Basis, by: str, *, operation: str | None, candidates: Sequence[str], min_runs: int | None = None
) -> tuple[Ranked, ...]:
    """The candidates in the order of a ranker, best first.

    In mode ``off`` there are no rankers; the order is that of declared capability then.

    Args:
        basis: The window, and what is served.
        by: Name of the ranker.
        operation: For this operation and those below it.
        candidates: Whom to order.
        min_runs: Runs from which on a deployment is known, where the ranker lets that be said.

    Raises:
        UnknownNameError: No ranker of that name; the message lists those that there are.
        PluginError: The ranker failed, or answered something else than a score for each candidate.
    """
    if basis.is_off:
        return _by_capability(basis, candidates)
    ranker = basis.rankers.get(by) if isinstance(by, str) else None
    if ranker is None:
        raise UnknownNameError("ranker", str(by), list(basis.rankers))
    if not candidates:
        return ()

    def ask(ranker: Ranker) -> tuple[Ranked, ...]:
        if min_runs is not None and isinstance(ranker, Requiring):
            ranker = ranker.requiring(min_runs)
        if basis.in_flight is not None and isinstance(ranker, Seeing):
            ranker = ranker.seeing(basis.in_flight)
        names = tuple(candidates)
        answer = ranker.rank(basis.view, basis.config, operation=operation or "", candidates=names)
        return _checked(answer, names)

    return basis.ask(ranker, ask)


def _checked(answer: Iterable[Ranked], candidates: Sequence[str]) -> tuple[Ranked, ...]:
    places = tuple(answer)
    wrong = next((r for r in places if not isinstance(r, Ranked) or not isfinite(r.score)), None)
    if wrong is not None:
        raise PluginError(f"answered {wrong!r:.200}; expected Ranked with a finite score")
    names = [r.deployment for r in places]
    if sorted(names) != sorted(candidates):
        raise PluginError(f"answered for {names!r:.500}; expected one score for each of {list(candidates)!r:.500}")
    return places


def _by_capability(basis: Basis, candidates: Sequence[str]) -> tuple[Ranked, ...]:
    """Declared capability alone, in the host's order where it is the same."""
    found = [(basis.deployment(name).capability, name) for name in candidates]
    found.sort(key=lambda pair: -pair[0])
    reason = "the mode is off: declared capability only"
    return tuple(
        Ranked(deployment=name, score=score, parts={"capability": score}, reason=reason) for score, name in found
    )

"""Asks a ranker, and checks what it answers: rankers are plugins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Protocol, runtime_checkable

from hivefeedback.errors import HiveFeedbackError, PluginError, UnknownNameError
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
    try:
        if min_runs is not None and isinstance(ranker, Requiring):
            ranker = ranker.requiring(min_runs)
        if basis.in_flight is not None and isinstance(ranker, Seeing):
            ranker = ranker.seeing(basis.in_flight)
        answer = tuple(ranker.rank(basis.view, basis.config, operation=operation or "", candidates=tuple(candidates)))
    except HiveFeedbackError:
        raise
    except Exception as error:  # the plugin guard: a stranger's ranker may raise anything
        raise PluginError(f"ranker {by!r} failed: {type(error).__name__}: {error}") from error
    _check(by, answer, candidates)
    return answer


def _check(by: str, answer: Sequence[Ranked], candidates: Sequence[str]) -> None:
    wrong = next((r for r in answer if not isinstance(r, Ranked) or not isfinite(r.score)), None)
    if wrong is not None:
        raise PluginError(f"ranker {by!r} answered {wrong!r}; expected Ranked with a finite score")
    names = [r.deployment for r in answer]
    if sorted(names) != sorted(candidates):
        raise PluginError(f"ranker {by!r} answered for {names!r}; expected one score for each of {list(candidates)!r}")


def _by_capability(basis: Basis, candidates: Sequence[str]) -> tuple[Ranked, ...]:
    """Declared capability alone, in the host's order where it is the same."""
    found = [(basis.deployment(name).capability, name) for name in candidates]
    found.sort(key=lambda pair: -pair[0])
    reason = "the mode is off: declared capability only"
    return tuple(
        Ranked(deployment=name, score=score, parts={"capability": score}, reason=reason) for score, name in found
    )

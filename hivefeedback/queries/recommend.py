"""``loop.recommend()``: which deployment to use, and why not the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

from hivefeedback.errors import InvalidInputError
from hivefeedback.hooks import Ranked
from hivefeedback.queries.basis import Basis
from hivefeedback.queries.cells import cells_of, covered
from hivefeedback.queries.checks import check_count, check_operation
from hivefeedback.queries.rank import RankRow, rank_rows
from hivefeedback.queries.ranking import ranked
from hivefeedback.stats import Cell, Coverage

__all__ = ["LeftOut", "Recommendation", "recommend"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A candidate that was not ranked, and why: ``too few runs``, ``does not fit``, ``blacklisted``."""

    deployment: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """What to use.

    Args:
        deployment: Id of the one to use; None where no candidate fits at all.
        priority: What it was chosen by.
        score: Its score, 0–100; None for a fallback.
        reason: One sentence with the numbers.
        is_fallback: True where nobody has enough runs, so that declared capability decided.
        alternatives: The others that were ranked, best first.
        left_out: Who was not ranked, and why.
        coverage: What the window really covers.
    """

    deployment: str | None
    priority: str
    score: float | None
    reason: str
    is_fallback: bool
    alternatives: tuple[RankRow, ...]
    left_out: tuple[LeftOut, ...]
    coverage: Coverage


def recommend(
    basis: Basis,
    *,
    priority: str = "balanced",
    candidates: Sequence[str] | None = None,
    min_runs: int = 10,
    available_vram_gb: float | None = None,
    operation: str | None = None,
) -> Recommendation:
    """Choose a deployment.

    Who does not fit into the memory goes first, then who is blacklisted (unless all are), then who has
    fewer than ``min_runs`` runs; the ranker orders the rest. Where that leaves nobody, the highest
    declared capability among those that fit is the fallback.

    Args:
        basis: The window, and what is served.
        priority: ``balanced``, ``speed``, ``quality``, ``reliable``, or any other ranker.
        candidates: Choose among these; default: those that can be drawn for the operation.
        min_runs: Runs in the window that a candidate needs.
        available_vram_gb: GPU memory in GB; who declares no need has none.
        operation: For this operation and those below it.

    Raises:
        UnknownNameError: No such ranker or deployment.
        InvalidInputError: A number is out of range.
        PluginError: The ranker failed.
    """
    operation = check_operation(operation)
    check_count("min_runs", min_runs)
    names = basis.candidates(candidates, operation)
    cells = cells_of(basis.view, operation)
    ranked(basis, priority, operation=operation, candidates=())  # a misspelt priority is told in any case
    coverage = covered(basis.view, (cells[name] for name in names if name in cells))
    fitting, unfit = _fitting(basis, names, available_vram_gb)
    served, shut, remark = _served(basis, fitting)
    known, few = _known(served, cells, min_runs)
    answer = ranked(basis, priority, operation=operation, candidates=known, min_runs=min_runs)
    fallback = None if answer else _fallback(basis, served, cells)
    return Recommendation(
        deployment=answer[0].deployment if answer else fallback,
        priority=priority,
        score=answer[0].score if answer else None,
        reason=(_best(priority, answer) if answer else _why(basis, fallback, cells, min_runs, names)) + remark,
        is_fallback=not answer,
        alternatives=rank_rows(basis, answer, cells)[1:],
        left_out=(*unfit, *shut, *few),
        coverage=coverage,
    )


def _fitting(
    basis: Basis, names: Sequence[str], available_vram_gb: float | None
) -> tuple[tuple[str, ...], tuple[LeftOut, ...]]:
    if available_vram_gb is None:
        return tuple(names), ()
    room = available_vram_gb
    if isinstance(room, bool) or not isinstance(room, int | float) or not isfinite(room) or room < 0:
        raise InvalidInputError(f"available_vram_gb is {room!r}; expected a number of GB from 0")
    needs = {name: basis.deployment(name).vram_gb or 0.0 for name in names}
    out = [
        LeftOut(deployment=name, reason=f"does not fit: needs {need:g} GB of {room:g} GB")
        for name, need in needs.items()
        if need > room
    ]
    return tuple(name for name, need in needs.items() if need <= room), tuple(out)


def _served(basis: Basis, names: Sequence[str]) -> tuple[tuple[str, ...], tuple[LeftOut, ...], str]:
    """Those whose breaker is closed; if none is, all, as ``decide()`` does it."""
    shut = [name for name in names if name in basis.shut]
    if names and len(shut) == len(names):
        return tuple(names), (), "; all candidates are blacklisted, so the blacklist is ignored"
    out = tuple(
        LeftOut(deployment=name, reason=f"blacklisted after {basis.shut[name].failures} failures in a row")
        for name in shut
    )
    return tuple(name for name in names if name not in basis.shut), out, ""


def _n_runs(cells: Mapping[str, Cell], name: str) -> int:
    return cells[name].n_runs if name in cells else 0


def _known(
    names: Sequence[str], cells: Mapping[str, Cell], min_runs: int
) -> tuple[tuple[str, ...], tuple[LeftOut, ...]]:
    """Those with enough runs, and the others."""
    runs = {name: _n_runs(cells, name) for name in names}
    few = [
        LeftOut(deployment=name, reason=f"too few runs: {n} of {min_runs}") for name, n in runs.items() if n < min_runs
    ]
    return tuple(name for name, n in runs.items() if n >= min_runs), tuple(few)


def _best(priority: str, answer: Sequence[Ranked]) -> str:
    best = answer[0]
    told = f": {best.reason}" if best.reason else ""
    if len(answer) == 1:
        return f"{best.deployment!r} is the only candidate with enough runs, {priority} {best.score:.1f}{told}"
    second = answer[1]
    return (
        f"{best.deployment!r} is first by {priority} with {best.score:.1f}, "
        f"before {second.deployment!r} with {second.score:.1f}{told}"
    )


def _fallback(basis: Basis, names: Sequence[str], cells: Mapping[str, Cell]) -> str | None:
    """The highest declared capability, then the most runs, then the host's order; None of nobody."""
    return max(names, key=lambda name: (basis.deployment(name).capability, _n_runs(cells, name)), default=None)


def _why(basis: Basis, chosen: str | None, cells: Mapping[str, Cell], min_runs: int, candidates: Sequence[str]) -> str:
    """Why there was nothing to rank, and who stands in."""
    if chosen is None:
        return (
            "no candidate fits into the memory"
            if candidates
            else "there is nobody to choose from; add a deployment, or name candidates"
        )
    return (
        f"no candidate has {min_runs} runs in the window, so declared capability decides: "
        f"{chosen!r} with {basis.deployment(chosen).capability:g} and {_n_runs(cells, chosen)} runs"
    )

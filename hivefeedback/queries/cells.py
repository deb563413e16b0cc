"""Cells of a window per deployment, and what the window really covers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from hivefeedback.stats import Cell, CellKey, Coverage, View

__all__ = ["cells_of", "covered", "is_below"]


def is_below(operation: str, prefix: str | None) -> bool:
    """True where an operation is the prefix or lies below it; every operation lies below none.

    >>> is_below("a/b", "a"), is_below("ab", "a"), is_below("ab", None)
    (True, False, True)
    """
    return not prefix or operation == prefix or operation.startswith(prefix + "/")


def cells_of(view: View, operation: str | None = None, *, bins: bool = False) -> dict[str, Cell]:
    """One cell per deployment, each run counted once; to be read only.

    Args:
        view: The window.
        operation: Only this operation and those below it.
        bins: With histograms, from which quantiles and intervals of means come.
    """
    found = view.totals("deployment", where=_where(operation), bins=bins)
    return {d: cell for (d,), cell in found.items() if d}


def _where(operation: str | None) -> Callable[[CellKey], bool] | None:
    return (lambda key: is_below(key.operation, operation)) if operation else None


def covered(view: View, cells: Iterable[Cell]) -> Coverage:
    """What the window really covers, with the runs of these cells."""
    n_runs = n_awaiting = 0
    for cell in cells:
        n_runs += cell.n_runs
        n_awaiting += cell.n_awaiting
    return replace(view.coverage, n_runs=n_runs, n_awaiting=n_awaiting)

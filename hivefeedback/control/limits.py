"""The bounds of latency and cost above which a unit of a rollout counts as failed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from hivefeedback.model import Mutation, target_of
from hivefeedback.stats import Cell, View

__all__ = ["FACTOR", "MIN_RUNS", "QUANTILE", "limits_of"]

QUANTILE: Final = 0.99
FACTOR: Final = 2.0
"""A swap to the slowest or dearest deployment in use must not fail by that alone, so the bound lies
at twice what that one needs in 99 of 100 runs: it stops what hangs or explodes."""
MIN_RUNS: Final = 50
"""Runs of a deployment before its 99 % quantile says anything."""
_SUMS: Final = {"latency": ("all_us", ("duration_us", "other_us")), "cost": ("cost_nusd", ("cost_nusd",))}
"""Name of the histogram of each bound, and of the counts behind it."""


def limits_of(mutation: Mutation, view: View) -> dict[str, float] | None:
    """Bounds fixed from the runs before the rollout, on the operations that it is about.

    Returns:
        ``latency`` in seconds and ``cost`` in USD, each where enough runs are known; None without any.
    """
    operations = _operations(mutation, view)
    cells = view.totals("deployment", where=lambda key: key.operation in operations)
    bounds = {name: _bound(cells.values(), of, parts) for name, (of, parts) in _SUMS.items()}
    return {name: bound for name, bound in bounds.items() if bound > 0.0} or None


def _bound(cells: Iterable[Cell], of: str, parts: Iterable[str]) -> float:
    known = [c for c in cells if sum(c.ns.get(part, 0) for part in parts) >= MIN_RUNS]
    return max((FACTOR * (c.quantile(of, QUANTILE) or 0.0) for c in known), default=0.0)


def _operations(mutation: Mutation, view: View) -> set[str]:
    """Operations that a change can touch; a prompt can be used by any."""
    noun, name = target_of(mutation)
    seen = set(view.totals("deployment", "operation"))
    if noun == "deployment":
        return {operation for deployment, operation in seen if deployment == name}
    if noun == "route" and name:
        return {operation for _, operation in seen if operation == name or operation.startswith(name + "/")}
    return {operation for _, operation in seen}

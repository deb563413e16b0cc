"""The mean duration of the newest runs, which needs the runs themselves and no window."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import merge

from hivefeedback.model import is_counted
from hivefeedback.queries.cells import is_below
from hivefeedback.stats import MAX_EXEMPLARS, Exemplar, View

__all__ = ["mean_of_newest"]


def mean_of_newest(view: View, by: Sequence[str], operation: str | None = None) -> dict[tuple[str, ...], float]:
    """Mean duration in seconds of the newest 100 counted runs, by parts of their name.

    Nothing by agent, since the newest runs are kept by deployment and operation.
    """
    if "agent" in by:
        return {}
    groups: dict[tuple[str, ...], list[Sequence[Exemplar]]] = {}
    for (d, o), newest in view.exemplars.items():
        if d and is_below(o, operation):
            name = {"deployment": d, "operation": o}
            groups.setdefault(tuple(name[part] for part in by), []).append(newest)
    means = {key: _mean(lists) for key, lists in groups.items()}
    return {key: mean for key, mean in means.items() if mean is not None}


def _mean(lists: Iterable[Sequence[Exemplar]]) -> float | None:
    """A run that was judged later may stand there twice."""
    once: dict[str, float] = {}
    for e in merge(*map(reversed, lists), key=lambda e: -e.started_at_s):
        if e.duration_s is not None and is_counted(e.outcome):
            once.setdefault(e.run_id, e.duration_s)
            if len(once) == MAX_EXEMPLARS:
                break
    return sum(once.values()) / len(once) if once else None

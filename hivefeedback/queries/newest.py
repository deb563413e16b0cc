"""The mean duration of the newest runs, which needs the runs themselves and no window."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import nlargest

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
    """A run that was judged later stands there twice; the newest entry counts."""
    once = {e.run_id: e for newest in lists for e in newest if e.duration_s is not None and is_counted(e.outcome)}
    kept = nlargest(MAX_EXEMPLARS, once.values(), key=lambda e: e.started_at_s)
    return sum(e.duration_s or 0.0 for e in kept) / len(kept) if kept else None

"""What a window tells of each deployment: the few numbers that rankers need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from hivefeedback.model import INVERTED
from hivefeedback.stats import JUDGED_UNIT, NO_QUALITY, Cell, CellKey, Judged, View

__all__ = ["NOTHING", "Performance", "performances"]

_RATINGS = ("rating", "overall", "quality")
_NO_QUALITY = NO_QUALITY | {"success", "sentiment"}
"""Judgements that are made of others, or of the outcome."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Performance:
    """How a deployment did, canaries of it included; statistics follow its id, not its model's name.

    Args:
        n_runs: Runs that enter success statistics.
        n_succeeded: Runs of these that did not fail, as ``Cell.successes`` has it.
        n_whole: Runs of these that were not cut off either: all but blamed and truncated ones.
        latency_ms: Mean duration of ok runs; of the others where none was ok; None where unknown.
        n_latency: Runs behind it.
        cost_usd: Mean cost of a run; None where unknown.
        judged: Judgements by name, in [0, 1].
    """

    n_runs: float = 0.0
    n_succeeded: float = 0.0
    n_whole: float = 0.0
    latency_ms: float | None = None
    n_latency: float = 0.0
    cost_usd: float | None = None
    judged: Mapping[str, Judged] = field(default_factory=dict)

    @property
    def success_rate(self) -> float | None:
        """Share of runs in [0, 1] that did not fail; None without runs."""
        return self.n_succeeded / self.n_runs if self.n_runs > 0 else None

    @property
    def quality(self) -> float | None:
        """Mean rating in [0, 1] (a rating r of 1–5 is (r − 1) / 4); without ratings, of all other
        feedback and scores; None without any."""
        rated = [self.judged[name] for name in _RATINGS if name in self.judged]
        mean = _mean(rated)
        if mean is not None:
            return mean
        return _mean(_upright(name, j) for name, j in self.judged.items() if name not in _NO_QUALITY)

    def mean_of(self, *names: str) -> float | None:
        """Mean in [0, 1] of the first of these judgements that there is; None without any."""
        found = (self.judged[name].mean for name in names if name in self.judged)
        return next((mean for mean in found if mean is not None), None)


NOTHING = Performance()
"""Of a deployment without runs."""


def performances(view: View, operation: str = "") -> dict[str, Performance]:
    """Performance of every deployment that ran in a window.

    Args:
        view: The window.
        operation: Only this operation and those below it; empty: all.
    """

    def is_asked(key: CellKey) -> bool:
        return key.operation == operation or key.operation.startswith(operation + "/")

    found = view.totals("deployment", where=is_asked if operation else None, bins=False)
    return {name: _performance([cell]) for (name,), cell in found.items() if name}


def _performance(cells: list[Cell]) -> Performance:
    sums, ns = _summed(cell.sums for cell in cells), _summed(cell.ns for cell in cells)
    n_succeeded = sum(cell.successes for cell in cells)
    timed = "duration_us" if ns.get("duration_us") else "other_us"
    n_latency, n_cost = ns.get(timed, 0), ns.get("cost_nusd", 0)
    return Performance(
        n_runs=sum(cell.n_runs for cell in cells),
        n_succeeded=n_succeeded,
        n_whole=n_succeeded - sum(cell.outcomes.get("truncated", 0) for cell in cells),
        latency_ms=sums[timed] / n_latency / 1000.0 if n_latency else None,
        n_latency=n_latency,
        cost_usd=sums["cost_nusd"] / n_cost / 1e9 if n_cost else None,
        judged=_judged(cells),
    )


def _summed(parts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for part in parts:
        for name, n in part.items():
            total[name] = total.get(name, 0) + n
    return total


def _judged(cells: list[Cell]) -> dict[str, Judged]:
    total: dict[str, Judged] = {}
    for cell in cells:
        for name, j in cell.judged.items():
            mine = total.get(name, Judged())
            total[name] = Judged(mine.n + j.n, mine.total + j.total, mine.squares + j.squares)
    return {name: j for name, j in total.items() if j.n > 0}


def _upright(name: str, judged: Judged) -> Judged:
    """A complaint speaks against the run."""
    return Judged(judged.n, judged.n * JUDGED_UNIT - judged.total) if name in INVERTED else judged


def _mean(parts: Iterable[Judged]) -> float | None:
    n = total = 0
    for part in parts:
        n, total = n + part.n, total + part.total
    return total / n / JUDGED_UNIT if n > 0 else None

"""How much traffic a change concerns, and what it would need or save: a day, or a run where under an hour is known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from hivefeedback.model import Configuration
from hivefeedback.stats import Cell, View

__all__ = ["Traffic", "resources_of_other", "traffic_of"]

_DAY_S: Final = 86400.0
_LEAST_DAYS: Final = 1.0 / 24.0
"""Who saw less than an hour knows nothing of a day: half a minute of a burst would be told as thousands of USD."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Sums by (deployment, operation), over so many days."""

    loads: Mapping[tuple[str, ...], Cell]
    days: float

    def of(self, deployment: str, operations: Iterable[str] | None = None) -> Cell:
        """What a deployment served, on all or some operations."""
        wanted = None if operations is None else set(operations)
        total = Cell()
        for (name, operation), cell in self.loads.items():
            if name == deployment and (wanted is None or operation in wanted):
                total.merge(cell, bins=False)
        return total

    def share(self, n_runs: int) -> float:
        """Part of all runs, 0–1."""
        total = sum(cell.n_runs for cell in self.loads.values())
        return n_runs / total if total > 0 else 0.0

    @property
    def per(self) -> Literal["day", "run"]:
        """What ``rate`` is told for: a day where at least an hour of traffic is known, else a run."""
        return "day" if self.days >= _LEAST_DAYS else "run"

    def rate(self, n: float, n_runs: float) -> float:
        """A sum of the window for a day at the window's rate, or for one of the runs that it was taken over."""
        if self.per == "day":
            return n / self.days
        return n / n_runs if n_runs > 0 else 0.0


def traffic_of(view: View) -> Traffic:
    """The traffic of a view; runs of agents and tools, which no deployment served, stay aside."""
    cells = view.totals("deployment", "operation", where=lambda key: bool(key.deployment), bins=False)
    covered = view.coverage
    return Traffic(cells, (covered.to_s - covered.from_s) / _DAY_S if cells else 0.0)


def resources_of_other(
    traffic: Traffic, config: Configuration, deployment: str, other: str, operations: Iterable[str]
) -> dict[str, float]:
    """What it takes to let another deployment serve some operations of one.

    Returns:
        ``cost_usd_per_day`` and ``tokens_out_per_day`` (more is positive; ``..._per_run`` where less than
        an hour of traffic is known) where both are known on what they served, and ``vram_gb`` where the
        other one says what it needs.
    """
    mine, theirs = traffic.of(deployment, operations), traffic.of(other)
    runs = traffic.rate(mine.n_runs, mine.n_runs)
    found: dict[str, float] = {}
    for name, told, unit in (("cost_usd", "cost_nusd", 1e-9), ("tokens_out", "tokens_out", 1.0)):
        before, after = mine.mean(told), theirs.mean(told)
        if before is not None and after is not None:
            found[f"{name}_per_{traffic.per}"] = (after - before) * unit * runs
    known = config.deployments.get(other)
    if known is not None and known.vram_gb is not None:
        found["vram_gb"] = known.vram_gb
    return found

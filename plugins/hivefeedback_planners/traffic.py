"""How much traffic a change concerns, and what it would need or save a day.

Only sums are read, no histograms, since merging those of a whole window takes most of a turn.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from hivefeedback.model import Configuration
from hivefeedback.stats import View

__all__ = ["Load", "Traffic", "resources_of_other", "traffic_of"]

_DAY_S = 86400.0


@dataclass(slots=True)
class Load:
    """Runs, and what they used: sums by name and how many runs told them."""

    n_runs: int = 0
    sums: dict[str, int] = field(default_factory=dict)
    ns: dict[str, int] = field(default_factory=dict)

    def add(self, n_runs: int, sums: dict[str, int], ns: dict[str, int]) -> None:
        """Count more runs."""
        self.n_runs += n_runs
        for name, n in ns.items():
            self.ns[name] = self.ns.get(name, 0) + n
            self.sums[name] = self.sums.get(name, 0) + sums.get(name, 0)

    def mean(self, name: str) -> float | None:
        """Mean of what the runs told, in the unit of the sum; None where none did."""
        n = self.ns.get(name, 0)
        return self.sums[name] / n if n > 0 else None


@dataclass(frozen=True, slots=True)
class Traffic:
    """Counted runs of deployments by (deployment, operation), over so many days."""

    loads: dict[tuple[str, str], Load]
    days: float

    def of(self, deployment: str, operations: Iterable[str] | None = None) -> Load:
        """What a deployment served, on all or some operations."""
        wanted = None if operations is None else set(operations)
        total = Load()
        for (name, operation), load in self.loads.items():
            if name == deployment and (wanted is None or operation in wanted):
                total.add(load.n_runs, load.sums, load.ns)
        return total

    def share(self, n_runs: int) -> float:
        """Part of all runs, 0–1."""
        total = sum(load.n_runs for load in self.loads.values())
        return n_runs / total if total > 0 else 0.0

    def per_day(self, n: float) -> float:
        """A count of the window at the window's rate for a day."""
        return n / self.days if self.days > 0 else 0.0


def traffic_of(view: View) -> Traffic:
    """The traffic of a view; runs of agents and tools, which no deployment served, stay aside."""
    loads: dict[tuple[str, str], Load] = {}
    for s in view.slices:
        if s.key.arm or not s.key.deployment:
            continue
        key = (s.key.deployment, s.key.operation)
        load = loads.get(key)
        if load is None:
            load = loads[key] = Load()
        load.add(s.cell.n_runs, s.cell.sums, s.cell.ns)
    covered = view.coverage
    return Traffic(loads, (covered.to_s - covered.from_s) / _DAY_S if loads else 0.0)


def resources_of_other(
    traffic: Traffic, config: Configuration, deployment: str, other: str, operations: Iterable[str]
) -> dict[str, float]:
    """What it takes to let another deployment serve some operations of one.

    Returns:
        ``cost_usd_per_day`` and ``tokens_out_per_day`` (more is positive) where both are known on
        what they served, and ``vram_gb`` where the other one says what it needs.
    """
    mine, theirs = traffic.of(deployment, operations), traffic.of(other)
    runs = traffic.per_day(mine.n_runs)
    found: dict[str, float] = {}
    for name, told, unit in (("cost_usd_per_day", "cost_nusd", 1e-9), ("tokens_out_per_day", "tokens_out", 1.0)):
        before, after = mine.mean(told), theirs.mean(told)
        if before is not None and after is not None:
            found[name] = (after - before) * unit * runs
    known = config.deployments.get(other)
    if known is not None and known.vram_gb is not None:
        found["vram_gb"] = known.vram_gb
    return found

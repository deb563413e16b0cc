"""How often the calls of a deployment ran into a limit of theirs, such as max_tokens or a timeout.

Only what was served as it is served now counts, so that a limit which was raised is not blamed for
what happened before; and the newest runs must still show it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil, exp, floor, log

from hivefeedback.model import Deployment, Interval
from hivefeedback.stats import Cell, View, newest_runs, value_of, wilson_interval

__all__ = [
    "Hits",
    "Limit",
    "above_rate_p",
    "below_rate_p",
    "limit_of",
    "newest_rate",
    "served_cells",
    "served_whole",
    "share_above",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A parameter that limits calls: its value, and the bounds that somebody declared for it."""

    name: str
    value: float
    low: float
    high: float
    is_whole: bool

    def at(self, value: float) -> int | float:
        """A new value inside the bounds, whole where the present one is."""
        kept = min(max(value, self.low), self.high)
        if not self.is_whole:
            return round(kept, 3)
        return min(max(round(kept), ceil(self.low)), floor(self.high))


@dataclass(frozen=True, slots=True, kw_only=True)
class Hits:
    """How often a limit was hit.

    Args:
        n_hits, n_runs: Runs that hit it, and all counted runs.
        rate: Their ratio with its interval.
        p_value: Chance of as many hits if the true rate were the one that is put up with.
    """

    n_hits: int
    n_runs: int
    rate: Interval
    p_value: float

    @classmethod
    def of(cls, n_hits: int, n_runs: int, accepted: float) -> Hits:
        """Hits held against a rate that is put up with, in (0, 1)."""
        rate = wilson_interval(n_hits, n_runs)
        return cls(n_hits=n_hits, n_runs=n_runs, rate=rate, p_value=above_rate_p(n_hits, n_runs, accepted))


def above_rate_p(k: int, n: int, rate: float) -> float:
    """Bound of the chance of k or more of n independent events of a rate.

    exp(−n · KL(k/n ‖ rate)) for k/n above the rate, else 1 (Chernoff 1952; Hoeffding, JASA 1963):
    holds for every n, and errs on the careful side.

    >>> round(above_rate_p(15, 100, 0.05), 5), above_rate_p(5, 100, 0.05)
    (0.00089, 1.0)
    """
    seen = k / n if n > 0 else 0.0
    if seen <= rate:
        return 1.0
    distance = seen * log(seen / rate) + ((1 - seen) * log((1 - seen) / (1 - rate)) if seen < 1.0 else 0.0)
    return exp(-n * distance)


def below_rate_p(k: int, n: int, rate: float) -> float:
    """The same for k or fewer of n events.

    >>> below_rate_p(5, 100, 0.5) == above_rate_p(95, 100, 0.5)
    True
    """
    return above_rate_p(n - k, n, 1.0 - rate) if n > 0 else 1.0


def limit_of(deployment: Deployment, names: Iterable[str]) -> Limit | None:
    """The first of some parameters that has both a value and bounds; None without any.

    What the provider takes where nothing is set is not known, so it cannot be raised or lowered.
    """
    for name in names:
        value, bounds = deployment.params.get(name), deployment.bounds.get(name)
        if bounds is not None and isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
            is_whole = isinstance(value, int)
            return Limit(name=name, value=float(value), low=bounds[0], high=bounds[1], is_whole=is_whole)
    return None


def served_cells(view: View, served: Mapping[str, str], *, bins: bool = False) -> dict[str, dict[str, Cell]]:
    """Cells of some deployments by operation, as they are served now, without canaries.

    Args:
        view: The turn's window.
        served: Deployment → content id of what it is served with. Runs that came without a decision
            have none; they are taken where a deployment has no others.
        bins: With histograms; merging those of many deployments takes most of a turn.
    """
    by = ("deployment", "operation", "fingerprint")
    found = view.totals(
        *by, where=lambda key: key.deployment in served and key.fingerprint in ("", served[key.deployment]), bins=bins
    )
    has_decisions = {deployment for deployment, _, fingerprint in found if fingerprint}
    cells: dict[str, dict[str, Cell]] = {}
    for (deployment, operation, fingerprint), cell in found.items():
        if bool(fingerprint) == (deployment in has_decisions):
            cells.setdefault(deployment, {})[operation] = cell
    return cells


def served_whole(view: View, deployment: str, fingerprint: str, operation: str = "") -> Cell:
    """One of these cells with its histograms; ``""`` is all operations together."""
    whole = Cell()
    for name, cell in served_cells(view, {deployment: fingerprint}, bins=True).get(deployment, {}).items():
        if operation in ("", name):
            whole.merge(cell)
    return whole


def newest_rate(view: View, deployment: str, operation: str, outcome: str) -> float:
    """Part of the newest runs with an outcome, on an operation or (``""``) on all."""
    operations = [o for d, o in view.exemplars if d == deployment and operation in ("", o)]
    runs = [e for o in operations for e in newest_runs(view, deployment, o)]
    return sum(e.outcome == outcome for e in runs) / len(runs) if runs else 0.0


def share_above(cell: Cell, name: str, value: float) -> float | None:
    """Part of the runs that told a measure whose measure lies above a value, within 1 %; None without any."""
    bins = cell.bins.get(name, {})
    total = sum(bins.values())
    return sum(n for k, n in bins.items() if value_of(k) > value) / total if total > 0 else None

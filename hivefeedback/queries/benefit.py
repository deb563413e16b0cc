"""What money buys: cost per success, and who gives more for less."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hivefeedback.model import Interval
from hivefeedback.queries.metrics import METRICS
from hivefeedback.stats import Cell

__all__ = ["CostBenefit", "cost_benefit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CostBenefit:
    """What one deployment costs and gives.

    Args:
        deployment: Its id.
        mean_cost_usd: Of a run whose cost is known.
        benefit: Mean reward, 0–1, where it is known; else the success rate.
        cost_per_success_usd: ``mean_cost_usd`` ÷ success rate; None without a success.
        is_efficient: False where another one costs no more and gives more, or costs less and gives no less.
        compared_to: The dearest of those with costs, which the next two compare with; empty for itself.
        saved: Share of its cost per run that is saved, up to 1.
        gained: Benefit less that of it, with 95 % interval, negative where money buys something; None
            for itself.
        message: One sentence with the numbers.
    """

    deployment: str
    mean_cost_usd: float
    benefit: float
    cost_per_success_usd: float | None
    is_efficient: bool
    compared_to: str
    saved: float
    gained: Interval | None
    message: str


def cost_benefit(cells: Mapping[str, Cell], *, min_runs: int) -> tuple[CostBenefit, ...]:
    """Deployments with known costs and enough runs, the cheapest success first."""
    known = {name: cell for name, cell in cells.items() if cell.n_runs >= min_runs and cell.ns.get("cost_nusd")}
    if not known:
        return ()
    metric = METRICS["reward" if all(METRICS["reward"].n(c) >= min_runs for c in known.values()) else "success_rate"]
    cost = {name: METRICS["mean_cost_usd"].value(cell) or 0.0 for name, cell in known.items()}
    benefit = {name: metric.value(cell) or 0.0 for name, cell in known.items()}
    dearest = max(known, key=lambda name: (cost[name], name))
    found = []
    for name, cell in known.items():
        difference = None if name == dearest else metric.difference(known[dearest], cell)
        found.append(_told(name, cell, cost, benefit, dearest, difference.interval if difference is not None else None))
    return tuple(sorted(found, key=lambda c: (c.cost_per_success_usd is None, c.cost_per_success_usd or 0.0)))


def _told(
    name: str,
    cell: Cell,
    cost: Mapping[str, float],
    benefit: Mapping[str, float],
    dearest: str,
    gained: Interval | None,
) -> CostBenefit:
    rate = METRICS["success_rate"].value(cell) or 0.0
    per_success = cost[name] / rate if rate else None
    saved = 1.0 - cost[name] / cost[dearest] if cost[dearest] else 0.0
    is_efficient = not any(_beats((cost[o], benefit[o]), (cost[name], benefit[name])) for o in cost if o != name)
    message = f"{name!r} costs {cost[name]:.6g} USD per run and earns {benefit[name]:.1%}"
    if name != dearest:
        message += f": {saved:.0%} cheaper than {dearest!r}"
        if gained is not None:
            message += f", {gained.estimate:+.1%} (95 %: {gained.low:+.1%} to {gained.high:+.1%})"
    if not is_efficient:
        message += "; another one gives more for no more money"
    return CostBenefit(
        deployment=name,
        mean_cost_usd=cost[name],
        benefit=benefit[name],
        cost_per_success_usd=per_success,
        is_efficient=is_efficient,
        compared_to="" if name == dearest else dearest,
        saved=saved,
        gained=gained,
        message=message,
    )


def _beats(other: tuple[float, float], mine: tuple[float, float]) -> bool:
    """True where the other costs no more and gives no less, and one of them is strict."""
    return other[0] <= mine[0] and other[1] >= mine[1] and other != mine

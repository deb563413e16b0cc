"""Which limits of calls are hit too often, and would be hit less if they were raised.

Each (deployment, operation) and each deployment as a whole is tested against the rate that is put
up with; p-values are adjusted for their number. A limit is raised only where it is the cause:

- ``truncated`` answers are as long as the limit (where token counts are known), else the model
  stops for another reason;
- calls that end well come near the timeout, else what times out hangs, and would hang longer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from hivefeedback.stats import Cell, View, adjusted_p_values
from hivefeedback_planners.limit import Hits, Limit, newest_rate, served_cells, served_whole, share_above

__all__ = ["Raise", "raises"]

_NEAR_CAP = 0.9
"""Truncated answers are as long as the cap up to counting by another tokenizer."""
_NEAR_TIMEOUT = 0.5
"""Where 99 of 100 good calls need less than half of the timeout, slowness is not what it cuts off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Raise:
    """A limit that should be raised.

    Args:
        deployment, operation: Where it is hit; the empty operation stands for all.
        outcome: What runs that hit it end as, ``truncated`` or ``timeout``.
        limit: The limit.
        to: Its new value.
        hits: How often it is hit; ``p_value`` is adjusted for the number of tests.
        expected: Expected rate of hits afterwards, 0–1, from how the tail falls off below the limit.
    """

    deployment: str
    operation: str
    outcome: str
    limit: Limit
    to: int | float
    hits: Hits
    expected: float


@dataclass(frozen=True, slots=True)
class _Tested:
    deployment: str
    operation: str
    outcome: str
    limit: Limit
    hits: Hits


def raises(
    view: View,
    served: Mapping[str, str],
    limits: Mapping[tuple[str, str], Limit],
    *,
    accepted: float,
    min_runs: int,
    alpha: float,
    factor: float,
) -> list[Raise]:
    """At most one for each deployment and outcome.

    Args:
        view: The turn's window.
        served: Deployment → content id of what it is served with.
        limits: (deployment, outcome) → the limit that such runs hit.
        accepted: Rate of hits that is put up with, in (0, 1).
        min_runs: Fewest runs.
        alpha: Largest adjusted p-value.
        factor: What a limit is multiplied with.
    """
    tested = list(_tested(view, served, limits, accepted, min_runs))
    adjusted = adjusted_p_values([t.hits.p_value for t in tested])
    found: dict[tuple[str, str], tuple[float, Raise]] = {}
    for test, p_value in zip(tested, adjusted, strict=True):
        to = test.limit.at(test.limit.value * factor)
        key = test.deployment, test.outcome
        if p_value > alpha or to <= test.limit.value or (key in found and found[key][0] <= p_value):
            continue
        if newest_rate(view, test.deployment, test.operation, test.outcome) <= accepted:
            continue
        cell = served_whole(view, test.deployment, served[test.deployment], test.operation)
        if _is_cause(test, cell):
            found[key] = p_value, _raised(test, to, p_value, cell)
    return [raised for _, raised in found.values()]


def _tested(
    view: View, served: Mapping[str, str], limits: Mapping[tuple[str, str], Limit], accepted: float, min_runs: int
) -> Iterator[_Tested]:
    names = {deployment for deployment, _ in limits}
    cells = served_cells(view, {name: served[name] for name in names})
    for (deployment, outcome), limit in limits.items():
        by_operation = cells.get(deployment, {})
        whole = Cell()
        for cell in by_operation.values():
            whole.merge(cell, bins=False)
        where = {"": whole, **by_operation} if len(by_operation) > 1 else by_operation
        for operation, cell in where.items():
            if cell.n_runs >= min_runs:
                hits = Hits.of(cell.outcomes.get(outcome, 0), cell.n_runs, accepted)
                yield _Tested(deployment, operation, outcome, limit, hits)


def _is_cause(test: _Tested, cell: Cell) -> bool:
    """True where runs would end well if the limit were wider, as far as the numbers tell."""
    limit, rate = test.limit.value, test.hits.rate.estimate
    if test.outcome == "timeout":
        slow_s = cell.quantile("duration_us", 0.99)
        return slow_s is not None and slow_s >= _NEAR_TIMEOUT * limit
    if cell.ns.get("tokens_out", 0) < test.hits.n_runs / 2:
        return True
    longest = cell.quantile("tokens_out", 1 - rate / 2)
    return longest is not None and longest >= _NEAR_CAP * limit


def _raised(test: _Tested, to: int | float, p_value: float, cell: Cell) -> Raise:
    hits = Hits(n_hits=test.hits.n_hits, n_runs=test.hits.n_runs, rate=test.hits.rate, p_value=p_value)
    return Raise(
        deployment=test.deployment,
        operation=test.operation,
        outcome=test.outcome,
        limit=test.limit,
        to=to,
        hits=hits,
        expected=_expected(test, to, cell),
    )


def _expected(test: _Tested, to: float, cell: Cell) -> float:
    """The rate of hits of the new limit, if the tail goes on falling as it does just below the old one.

    For a power law S(x·c) / S(x) depends on c alone, so S(limit·c) = S(limit)² / S(limit/c).
    """
    rate, limit = test.hits.rate.estimate, test.limit.value
    name = "tokens_out" if test.outcome == "truncated" else "duration_us"
    below = share_above(cell, name, limit * limit / to)
    if below is None:
        return 0.0
    if name == "duration_us":
        below = below * (1 - rate) + rate  # the histogram holds good runs only; those that timed out lie above
    return rate * rate / below if below > rate else rate

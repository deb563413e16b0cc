"""``loop.insights()``: what is worth knowing of a window, what to worry about, and what money buys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from hivefeedback.queries.basis import Basis
from hivefeedback.queries.benefit import CostBenefit, cost_benefit
from hivefeedback.queries.cells import cells_of, covered
from hivefeedback.queries.checks import check_operation
from hivefeedback.queries.declines import declines
from hivefeedback.queries.insight import Insight
from hivefeedback.queries.metrics import METRICS, rating_of
from hivefeedback.stats import Cell, Coverage, Judged

__all__ = ["InsightLimits", "Insights", "insights"]

_RANK = {"critical": 0, "warning": 1, "info": 2}
_RATED = ("rating", "overall")
"""What is held against the limits of ratings, whichever was given more often: one question, or the form of five."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InsightLimits:
    """From where on something is a warning; the values are those of the systems that this one replaces.

    Args:
        min_success_rate: Below it a warning (S3: 0.90).
        critical_success_rate: Below it critical (S4: more than 15 % errors).
        slow_s, critical_slow_s: Mean duration of ok runs (S4: 1500 and 3000 ms).
        low_rating, critical_low_rating: Mean ``rating``, or ``overall`` of the form, 1–5 (S4: 3.5 and 2.5).
        min_runs: Fewer say nothing (S3, S5: 10).
    """

    min_success_rate: float = 0.90
    critical_success_rate: float = 0.85
    slow_s: float = 1.5
    critical_slow_s: float = 3.0
    low_rating: float = 3.5
    critical_low_rating: float = 2.5
    min_runs: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Insights:
    """Warnings first (the gravest at the top), then remarks; what money buys; what the window covers."""

    warnings: tuple[Insight, ...]
    remarks: tuple[Insight, ...]
    cost_benefit: tuple[CostBenefit, ...]
    coverage: Coverage

    def __iter__(self) -> Iterator[Insight]:
        return iter((*self.warnings, *self.remarks))


def insights(basis: Basis, *, operation: str | None = None, limits: InsightLimits | None = None) -> Insights:
    """Look for what is worth knowing.

    A rate is only called low where its 95 % interval lies below the limit, so that few runs cry no wolf.

    Args:
        basis: The window, and what is served.
        operation: Only this operation and those below it.
        limits: From where on something is a warning.
    """
    operation, limits = check_operation(operation), limits or InsightLimits()
    cells = cells_of(basis.view, operation, bins=True)
    found = [i for name, cell in sorted(cells.items()) for i in _of_cell(name, cell, limits)]
    found += declines(basis.view, cells, operation, min_runs=limits.min_runs)
    found += _shut(basis)
    found += _unused(basis, cells, operation)
    found += _best(cells, limits)
    found.sort(key=lambda i: (_RANK[i.severity], i.deployment))
    return Insights(
        warnings=tuple(i for i in found if i.severity != "info"),
        remarks=tuple(i for i in found if i.severity == "info"),
        cost_benefit=cost_benefit(cells, min_runs=limits.min_runs),
        coverage=covered(basis.view, cells.values()),
    )


def _of_cell(name: str, cell: Cell, limits: InsightLimits) -> Iterator[Insight]:
    n = cell.n_runs
    if n < limits.min_runs:
        if n:
            yield Insight(
                kind="too_few_runs",
                severity="info",
                deployment=name,
                message=f"{name!r} has {n} runs; nothing is concluded from fewer than {limits.min_runs}",
                numbers={"n_runs": n},
            )
        return
    yield from _errors(name, cell, limits)
    yield from _slow(name, cell, limits)
    yield from _low_rating(name, cell, limits)


def _errors(name: str, cell: Cell, limits: InsightLimits) -> Iterator[Insight]:
    interval = METRICS["success_rate"].interval(cell)
    if interval is None or interval.high >= limits.min_success_rate:
        return
    is_critical = interval.high < limits.critical_success_rate
    limit = limits.critical_success_rate if is_critical else limits.min_success_rate
    yield Insight(
        kind="errors",
        severity="critical" if is_critical else "warning",
        deployment=name,
        message=(
            f"{name!r} succeeds in {interval.estimate:.1%} of {cell.n_runs} runs "
            f"(95 %: {interval.low:.1%} to {interval.high:.1%}), below {limit:.0%}"
        ),
        numbers={"success_rate": interval.estimate, "low": interval.low, "high": interval.high, "limit": limit},
    )


def _slow(name: str, cell: Cell, limits: InsightLimits) -> Iterator[Insight]:
    interval = METRICS["mean_duration_s"].interval(cell)
    if interval is None or interval.low <= limits.slow_s:
        return
    is_critical = interval.low > limits.critical_slow_s
    limit = limits.critical_slow_s if is_critical else limits.slow_s
    yield Insight(
        kind="slow",
        severity="critical" if is_critical else "warning",
        deployment=name,
        message=(
            f"{name!r} takes {interval.estimate:.2f} s on average "
            f"(95 %: {interval.low:.2f} to {interval.high:.2f}), above {limit:g} s"
        ),
        numbers={"mean_duration_s": interval.estimate, "low": interval.low, "high": interval.high, "limit": limit},
    )


def _low_rating(name: str, cell: Cell, limits: InsightLimits) -> Iterator[Insight]:
    judged = max((cell.judged.get(name, Judged()) for name in _RATED), key=lambda judged: judged.n)
    rating, n = rating_of(judged), judged.n
    if rating is None or n < limits.min_runs or rating >= limits.low_rating:
        return
    is_critical = rating < limits.critical_low_rating
    limit = limits.critical_low_rating if is_critical else limits.low_rating
    yield Insight(
        kind="low_rating",
        severity="critical" if is_critical else "warning",
        deployment=name,
        message=f"{name!r} is rated {rating:.2f} of 5 by {n} ratings, below {limit:g}",
        numbers={"rating": rating, "n": n, "limit": limit},
    )


def _shut(basis: Basis) -> Iterator[Insight]:
    for name, shut in sorted(basis.shut.items()):
        yield Insight(
            kind="blacklisted",
            severity="warning",
            deployment=name,
            message=f"{name!r} gets no calls after {shut.failures} failures in a row",
            numbers={"failures": shut.failures, "until_s": shut.until_s},
        )


def _unused(basis: Basis, cells: Mapping[str, Cell], operation: str | None) -> Iterator[Insight]:
    if not cells:
        return
    for name in basis.in_service(operation):
        if name not in cells:
            message = f"{name!r} is in service and had no run in this window"
            yield Insight(kind="unused", severity="info", deployment=name, message=message)


def _best(cells: Mapping[str, Cell], limits: InsightLimits) -> Iterator[Insight]:
    """The most reliable and the fastest, where there is a choice."""
    judged = {name: cell for name, cell in cells.items() if cell.n_runs >= limits.min_runs}
    if len(judged) < 2:
        return
    for metric, word in (("success_rate", "most reliable"), ("mean_duration_s", "fastest")):
        measure = METRICS[metric]
        values = {name: value for name, cell in judged.items() if (value := measure.value(cell)) is not None}
        if len(set(values.values())) < 2:
            continue  # nobody is known, or all are alike
        name = max(values, key=values.__getitem__) if measure.is_more_better else min(values, key=values.__getitem__)
        shown = f"{values[name]:.1%}" if metric == "success_rate" else f"{values[name]:.2f} s"
        yield Insight(
            kind="best",
            severity="info",
            deployment=name,
            message=f"{name!r} is the {word} with {shown}",
            numbers={metric: values[name]},
        )

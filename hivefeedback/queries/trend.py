"""``loop.trend()``: one metric over time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, floor

from hivefeedback.errors import InvalidInputError
from hivefeedback.model import Interval
from hivefeedback.queries.basis import Basis
from hivefeedback.queries.cells import covered, is_below
from hivefeedback.queries.checks import check_operation, check_positive
from hivefeedback.queries.metrics import METRICS, Metric, metric_of
from hivefeedback.stats import BUCKET_S, Cell, CellKey, Coverage, View

__all__ = ["Trend", "TrendPoint", "trend"]

_MAX_POINTS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TrendPoint:
    """One bucket.

    Args:
        from_s, to_s: Its bounds, seconds since 1970 UTC.
        value: None where nothing is known; never zero for want of runs.
        interval: 95 %, where the metric has one.
        n: Runs or judgements behind the value.
    """

    from_s: float
    to_s: float
    value: float | None
    interval: Interval | None
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """Points from old to new, without gaps.

    Args:
        metric, unit: What, in what.
        deployment, operation: Of what; empty: of all.
        asked_bucket_s: Width of the buckets that was asked for.
        bucket_s: The width that they have: never finer than what is stored of the window, and whole
            multiples of that.
        points: Aligned to multiples of ``bucket_s``, the empty ones too.
        remark: Says where ``bucket_s`` is not what was asked for; else empty.
        coverage: What the window really covers.
    """

    metric: str
    unit: str
    deployment: str
    operation: str
    asked_bucket_s: float
    bucket_s: int
    points: tuple[TrendPoint, ...]
    remark: str
    coverage: Coverage

    def __iter__(self) -> Iterator[TrendPoint]:
        return iter(self.points)

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, index: int) -> TrendPoint:
        return self.points[index]


def trend(
    basis: Basis,
    *,
    metric: str,
    bucket_s: float = 3600.0,
    deployment: str | None = None,
    operation: str | None = None,
) -> Trend:
    """A metric bucket by bucket.

    Args:
        basis: The window, and what is served.
        metric: One of ``METRICS``, or the name of a feedback or score.
        bucket_s: Width of a point in seconds.
        deployment: Of this one; None: of all together.
        operation: Only this operation and those below it.

    Raises:
        InvalidInputError: The metric is not known, a number is out of range, or there would be more
            than 10 000 points.
        UnknownNameError: No such deployment.
    """
    asked_s = check_positive("bucket_s", bucket_s, "seconds")
    operation = check_operation(operation)
    if deployment is not None:
        (deployment,) = basis.known((deployment,))
    view = basis.view
    stored_s = max(BUCKET_S, view.coverage.resolution_s)
    width_s = ceil(asked_s / stored_s) * stored_s
    numbers = _numbers(view, basis.now_s, width_s, asked_s)
    chosen = metric_of(metric, () if isinstance(metric, str) and metric in METRICS else _heard(view))
    cells = _cells(view, width_s, deployment, operation, bins=chosen.needs_bins)
    return Trend(
        metric=chosen.name,
        unit=chosen.unit,
        deployment=deployment or "",
        operation=operation or "",
        asked_bucket_s=asked_s,
        bucket_s=width_s,
        points=tuple(_point(n * width_s, width_s, chosen, cells.get(n)) for n in numbers),
        remark=_remark(asked_s, width_s, stored_s),
        coverage=covered(view, cells.values()),
    )


def _numbers(view: View, now_s: float, width_s: int, asked_s: float) -> range:
    """The buckets of the window, counted from 1970; at least one."""
    first = floor(view.asked_from_s / width_s)
    n_points = max(1, floor(min(view.asked_to_s, now_s) / width_s) + 1 - first)
    if n_points > _MAX_POINTS:
        raise InvalidInputError(
            f"bucket_s {asked_s:g} gives {n_points} points; at most {_MAX_POINTS}: ask for wider buckets"
        )
    return range(first, first + n_points)


def _point(from_s: float, width_s: int, metric: Metric, cell: Cell | None) -> TrendPoint:
    return TrendPoint(
        from_s=from_s,
        to_s=from_s + width_s,
        value=None if cell is None else metric.value(cell),
        interval=None if cell is None else metric.interval(cell),
        n=0 if cell is None else metric.n(cell),
    )


def _remark(asked_s: float, width_s: int, stored_s: int) -> str:
    if width_s == asked_s:
        return ""
    return (
        f"buckets of {asked_s:g} s were asked for; what is stored of this window has {stored_s} s, "
        f"so the points are {width_s} s wide (minutes are kept for 2 h, hours for 7 days)"
    )


def _cells(view: View, width_s: int, deployment: str | None, operation: str | None, *, bins: bool) -> dict[int, Cell]:
    """One cell for each piece of time that holds anything, by its number since 1970."""

    def where(key: CellKey) -> bool:
        is_of = key.deployment == deployment if deployment is not None else bool(key.deployment)
        return is_of and is_below(key.operation, operation)

    found = view.series(width_s, where=where, bins=bins)
    return {round(begin_s / width_s): cell for begin_s, cells in found for cell in cells.values()}


def _heard(view: View) -> set[str]:
    """Names of feedback and scores in the window."""
    return {name for cell in view.totals(bins=False).values() for name in cell.judged}

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
from hivefeedback.queries.metrics import METRICS, metric_of
from hivefeedback.stats import BUCKET_S, Cell, Coverage, View

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
        (deployment,) = basis.known([deployment])
    view = basis.view
    width_s = _width_s(asked_s, view)
    from_s, to_s = floor(view.asked_from_s / width_s) * width_s, min(view.asked_to_s, basis.now_s)
    n_points = max(1, ceil((to_s - from_s) / width_s))
    if n_points > _MAX_POINTS:
        raise InvalidInputError(
            f"bucket_s {asked_s:g} gives {n_points} points; at most {_MAX_POINTS}: ask for wider buckets"
        )
    cells: list[Cell | None] = [None] * n_points
    for start_s, cell in _cells(view, deployment, operation):
        at = min(max(0, floor((start_s - from_s) / width_s)), n_points - 1)
        into = cells[at]
        if into is None:
            into = cells[at] = Cell()
        into.merge(cell)
    known = [cell for cell in cells if cell is not None]
    chosen = METRICS.get(metric) or metric_of(metric, {name for cell in known for name in cell.judged})
    return Trend(
        metric=chosen.name,
        unit=chosen.unit,
        deployment=deployment or "",
        operation=operation or "",
        asked_bucket_s=asked_s,
        bucket_s=width_s,
        points=tuple(
            TrendPoint(
                from_s=from_s + i * width_s,
                to_s=from_s + (i + 1) * width_s,
                value=chosen.value(cell) if cell is not None and cell.n_all + len(cell.judged) else None,
                interval=chosen.interval(cell) if cell is not None else None,
                n=chosen.n(cell) if cell is not None else 0,
            )
            for i, cell in enumerate(cells)
        ),
        remark=_remark(asked_s, width_s, view.coverage.resolution_s),
        coverage=covered(view, known),
    )


def _width_s(asked_s: float, view: View) -> int:
    """The width of the points: whole multiples of the coarsest buckets of the window."""
    stored_s = max(BUCKET_S, view.coverage.resolution_s)
    return max(1, ceil(asked_s / stored_s)) * stored_s


def _remark(asked_s: float, width_s: int, stored_s: int) -> str:
    if width_s == asked_s:
        return ""
    return (
        f"buckets of {asked_s:g} s were asked for; what is stored of this window has {max(BUCKET_S, stored_s)} s, "
        f"so the points are {width_s} s wide (minutes are kept for 2 h, hours for 7 days)"
    )


def _cells(view: View, deployment: str | None, operation: str | None) -> Iterator[tuple[int, Cell]]:
    for s in view.slices:
        key = s.key
        if key.arm or not key.deployment or (deployment is not None and key.deployment != deployment):
            continue
        if is_below(key.operation, operation):
            yield s.start_s, s.cell

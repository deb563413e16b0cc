"""Metrics by name: how each is read from a cell, and how two cells differ in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Final

from hivefeedback.errors import InvalidInputError
from hivefeedback.model import INVERTED, KNOWN_NAMES, Interval
from hivefeedback.model.feedback import UNREWARDED
from hivefeedback.stats import (
    JUDGED_UNIT,
    NO_QUALITY,
    QUERY,
    REWARD,
    Cell,
    Difference,
    Judged,
    Spread,
    mean_change,
    mean_difference,
    mean_interval,
    rate_difference,
    spread_interval,
    spread_of,
    wilson_interval,
)

__all__ = ["METRICS", "Metric", "accuracy_of", "mean_tokens", "metric_of", "quality_of", "rating_of", "tokens_per_s"]

JUDGED: Final = "judged:"
_NOT_QUALITY = NO_QUALITY | UNREWARDED
_MEANS: Final = {
    "mean_duration_s": ("duration_us", 1e6, "s", False),
    "ttft_s": ("ttft_us", 1e6, "s", False),
    "mean_cost_usd": ("cost_nusd", 1e9, "USD", False),
    "memory_mb": ("memory_kb", 1024.0, "MB", False),
    "tokens_in": ("tokens_in", 1.0, "tokens", None),
    "tokens_out": ("tokens_out", 1.0, "tokens", None),
}
"""Metric → sum in the cell, its units per unit of the metric, the unit, whether more is better."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One measure of a cell.

    Args:
        name: How it is asked for.
        unit: Of its values.
        is_more_better: None where neither is.
        value: None where nothing is known.
        n: How many runs or judgements are behind it.
        interval: 95 %; None where there is none.
        difference: Second − first; None where it cannot be told.
        needs_bins: True where value or interval come from histograms.
    """

    name: str
    unit: str
    is_more_better: bool | None
    value: Callable[[Cell], float | None]
    n: Callable[[Cell], int]
    interval: Callable[[Cell], Interval | None] = lambda cell: None
    difference: Callable[[Cell, Cell], Difference | None] = lambda first, second: None
    needs_bins: bool = False


def quality_of(cell: Cell) -> Judged:
    """All feedback and scores of a cell; those that speak against a run enter as 1 − value."""
    n = total = squares = 0
    for name, j in cell.judged.items():
        if name in _NOT_QUALITY:
            continue
        n += j.n
        if name in INVERTED:
            total += j.n * JUDGED_UNIT - j.total
            squares += j.n * JUDGED_UNIT**2 - 2 * JUDGED_UNIT * j.total + j.squares
        else:
            total += j.total
            squares += j.squares
    return Judged(n, total, squares)


def accuracy_of(cell: Cell) -> Judged:
    """Success of the queries that the deployment had a part in; empty where nothing says so."""
    return cell.judged.get(QUERY) or Judged()


def rating_of(judged: Judged | None) -> float | None:
    """A mean in [0, 1] on the scale from 1 to 5.

    >>> rating_of(Judged(n=2, total=15_000))
    4.0
    """
    mean = judged.mean if judged is not None else None
    return None if mean is None else 1.0 + 4.0 * mean


def tokens_per_s(cell: Cell) -> float | None:
    """Tokens made per second: mean tokens out over mean duration of the counted runs."""
    tokens, duration_us = cell.mean("tokens_out"), cell.mean("all_us")
    return tokens / duration_us * 1e6 if tokens is not None and duration_us else None


def _judged_metric(name: str, unit: str, of: Callable[[Cell], Judged], *, is_more_better: bool = True) -> Metric:
    return Metric(
        name=name,
        unit=unit,
        is_more_better=is_more_better,
        value=lambda cell: of(cell).mean,
        n=lambda cell: of(cell).n,
        interval=lambda cell: mean_interval(of(cell)) if of(cell).n else None,
        difference=lambda first, second: (
            mean_difference(of(first), of(second)) if of(first).n and of(second).n else None
        ),
    )


def _mean_metric(name: str, source: str, scale: float, unit: str, is_more_better: bool | None) -> Metric:
    def value(cell: Cell) -> float | None:
        mean = cell.mean(source)
        return None if mean is None else mean / scale

    def spread(cell: Cell) -> Spread:
        return spread_of(cell.bins.get(source, {}), value(cell))

    return Metric(
        name=name,
        unit=unit,
        is_more_better=is_more_better,
        value=value,
        n=lambda cell: cell.ns.get(source, 0),
        interval=lambda cell: spread_interval(spread(cell)),
        difference=lambda first, second: mean_change(spread(first), spread(second)),
        needs_bins=True,
    )


def _quantile_metric(name: str, q: float) -> Metric:
    return Metric(
        name=name,
        unit="s",
        is_more_better=False,
        value=lambda cell: cell.quantile("duration_us", q),
        n=lambda cell: cell.ns.get("duration_us", 0),
        needs_bins=True,
    )


def _success_difference(first: Cell, second: Cell) -> Difference | None:
    if not first.n_runs or not second.n_runs:
        return None
    return rate_difference(first.successes, first.n_runs, second.successes, second.n_runs)


def mean_tokens(cell: Cell) -> float | None:
    """Mean of tokens in and out per run."""
    n = max(cell.ns.get("tokens_in", 0), cell.ns.get("tokens_out", 0))
    return (cell.sums.get("tokens_in", 0) + cell.sums.get("tokens_out", 0)) / n if n else None


def _count_metric(name: str, count: Callable[[Cell], int], is_more_better: bool | None) -> Metric:
    return Metric(
        name=name,
        unit="runs",
        is_more_better=is_more_better,
        value=lambda cell: float(count(cell)),
        n=lambda cell: cell.n_runs,
    )


_ALL: Final[tuple[Metric, ...]] = (
    Metric(
        name="success_rate",
        unit="0-1",
        is_more_better=True,
        value=lambda cell: cell.successes / cell.n_runs if cell.n_runs else None,
        n=lambda cell: cell.n_runs,
        interval=lambda cell: wilson_interval(cell.successes, cell.n_runs) if cell.n_runs else None,
        difference=_success_difference,
    ),
    *(_mean_metric(name, *how) for name, how in _MEANS.items()),
    _quantile_metric("p50_s", 0.5),
    _quantile_metric("p95_s", 0.95),
    _judged_metric("quality", "0-1", quality_of),
    _judged_metric(REWARD, "0-1", lambda cell: cell.judged.get(REWARD) or Judged()),
    _judged_metric("accuracy", "0-1", accuracy_of),
    Metric(
        name="rating",
        unit="1-5",
        is_more_better=True,
        value=lambda cell: rating_of(cell.judged.get("rating")),
        n=lambda cell: (cell.judged.get("rating") or Judged()).n,
    ),
    Metric(
        name="tokens_per_s",
        unit="tokens/s",
        is_more_better=True,
        value=tokens_per_s,
        n=lambda cell: cell.ns.get("tokens_out", 0),
    ),
    Metric(
        name="mean_tokens",
        unit="tokens",
        is_more_better=None,
        value=mean_tokens,
        n=lambda cell: max(cell.ns.get("tokens_in", 0), cell.ns.get("tokens_out", 0)),
    ),
    Metric(
        name="cost_usd",
        unit="USD",
        is_more_better=None,
        value=lambda cell: cell.sums["cost_nusd"] / 1e9 if cell.ns.get("cost_nusd") else None,
        n=lambda cell: cell.ns.get("cost_nusd", 0),
    ),
    _count_metric("n_runs", lambda cell: cell.n_runs, None),
    _count_metric("failures", lambda cell: cell.failures, False),
)
METRICS: Final[Mapping[str, Metric]] = MappingProxyType({metric.name: metric for metric in _ALL})


def metric_of(name: str, heard: Iterable[str] = ()) -> Metric:
    """A metric by name.

    Args:
        name: One of ``METRICS``, or the name of a feedback or score, whose mean in [0, 1] it then is;
            ``judged:NAME`` where a metric has that name (``judged:accuracy`` is the rating of accuracy).
        heard: Names of feedback and scores in the window.

    Raises:
        InvalidInputError: It is none of these; the message lists them.
    """
    found = METRICS.get(name) if isinstance(name, str) else None
    if found is not None:
        return found
    judged = str(name).removeprefix(JUDGED)
    said = {*KNOWN_NAMES, *heard}
    if judged not in said:
        known = ", ".join((*METRICS, *sorted(said - set(METRICS))))
        raise InvalidInputError(f"metric {name!r} is not known; known: {known}")
    of = partial(_of_name, judged)
    return _judged_metric(str(name), "0-1", of, is_more_better=judged not in INVERTED)


def _of_name(name: str, cell: Cell) -> Judged:
    return cell.judged.get(name) or Judged()

"""``loop.compare()``: deployments side by side, and which differences are more than chance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from hivefeedback.hooks import Ranked
from hivefeedback.model import Interval
from hivefeedback.queries.basis import Basis
from hivefeedback.queries.cells import cells_of, covered
from hivefeedback.queries.checks import check_operation
from hivefeedback.queries.metrics import METRICS, Metric
from hivefeedback.queries.ranking import ranked
from hivefeedback.stats import Cell, Coverage, Difference, adjusted_p_values

__all__ = ["OVERALL", "RANKINGS", "Comparison", "ComparisonRow", "Ranking", "compare"]

RANKINGS: Final[Mapping[str, str]] = {
    "fastest": "mean_duration_s",
    "most_reliable": "success_rate",
    "best_quality": "quality",
    "most_accurate": "accuracy",
    "cheapest": "mean_cost_usd",
    "highest_throughput": "tokens_per_s",
    "least_memory": "memory_mb",
}
"""Ranking → the metric that it orders by."""
_VALUES: Final = tuple(metric for name, metric in METRICS.items() if name != "p50_s")
"""The mean and the 95 % quantile say what there is to compare; each further quantile costs as much as all else."""
OVERALL: Final = "best_overall"
_OVERALL_BY: Final = "balanced"
_ALPHA: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonRow:
    """One deployment.

    Args:
        deployment: Its id.
        n_runs: Runs in the window that enter success statistics.
        values: Metric → value, for those that are known of it; every metric but ``p50_s``.
        intervals: Metric → 95 % interval, for those that a ranking orders by and that have one.
        score: By the ranker ``balanced``, 0–100; None where it has no say.
    """

    deployment: str
    n_runs: int
    values: Mapping[str, float]
    intervals: Mapping[str, Interval]
    score: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """An order by one metric, best first; who has no value is not in it.

    Args:
        name: Such as ``fastest``.
        metric: What it orders by; ``balanced`` for ``best_overall``.
        deployment: The best.
        value: Its value.
        order: All, best first.
        difference: Second − best, with 95 % interval; None where it cannot be told.
        p_value: Chance of such a difference if there were none, adjusted for all comparisons of the
            answer (Benjamini and Hochberg).
        is_significant: True where the best differs from the second at 5 %.
    """

    name: str
    metric: str
    deployment: str
    value: float
    order: tuple[str, ...]
    difference: Interval | None = None
    p_value: float | None = None
    is_significant: bool = False

    @property
    def model(self) -> str:
        """The best, under the name that older systems use."""
        return self.deployment


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Rows in the given order, rankings by name, and what the window really covers."""

    operation: str
    rows: tuple[ComparisonRow, ...]
    rankings: Mapping[str, Ranking]
    coverage: Coverage

    def __iter__(self) -> Iterator[ComparisonRow]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> ComparisonRow:
        return self.rows[index]


def compare(basis: Basis, *, deployments: Sequence[str] | None = None, operation: str | None = None) -> Comparison:
    """Compare deployments metric by metric.

    Args:
        basis: The window, and what is served.
        deployments: Which ones; default: all that are in service or ran in the window.
        operation: Only this operation and those below it.

    Raises:
        UnknownNameError: One of them is neither declared nor was ever seen.
    """
    operation = check_operation(operation)
    cells = cells_of(basis.view, operation, bins=True)
    if deployments is None:
        names = tuple(dict.fromkeys((*basis.config.deployments, *sorted(cells))))
    else:
        names = basis.known(deployments)
    chosen = {name: cells[name] for name in names if name in cells}
    overall = _overall(basis, operation, [name for name, cell in chosen.items() if cell.n_runs])
    scores = {r.deployment: r.score for r in overall}
    rows = tuple(_row(name, chosen.get(name), scores.get(name)) for name in names)
    found = [_ranking(name, METRICS[metric], chosen) for name, metric in RANKINGS.items()]
    rankings = _adjusted([ranking for ranking in found if ranking is not None])
    if overall:
        rankings[OVERALL] = _of_scores(overall)
    return Comparison(
        operation=operation or "", rows=rows, rankings=rankings, coverage=covered(basis.view, chosen.values())
    )


def _overall(basis: Basis, operation: str | None, names: Sequence[str]) -> tuple[Ranked, ...]:
    """By the ranker ``balanced``; nothing where that plugin was taken out."""
    if basis.is_off or _OVERALL_BY not in basis.rankers:
        return ()
    return ranked(basis, _OVERALL_BY, operation=operation, candidates=names)


def _row(name: str, cell: Cell | None, score: float | None) -> ComparisonRow:
    if cell is None:
        return ComparisonRow(deployment=name, n_runs=0, values={}, intervals={})
    values = {m.name: m.value(cell) for m in _VALUES}
    intervals = {name: METRICS[name].interval(cell) for name in RANKINGS.values()}
    return ComparisonRow(
        deployment=name,
        n_runs=cell.n_runs,
        values={name: value for name, value in values.items() if value is not None},
        intervals={name: interval for name, interval in intervals.items() if interval is not None},
        score=score,
    )


def _ranking(name: str, metric: Metric, cells: Mapping[str, Cell]) -> tuple[Ranking, Difference | None] | None:
    known = [(value, d) for d, cell in cells.items() if (value := metric.value(cell)) is not None]
    if not known:
        return None
    known.sort(key=lambda pair: pair[0], reverse=bool(metric.is_more_better))
    order = tuple(d for _, d in known)
    difference = metric.difference(cells[order[0]], cells[order[1]]) if len(order) > 1 else None
    return Ranking(name=name, metric=metric.name, deployment=order[0], value=known[0][0], order=order), difference


def _adjusted(found: Sequence[tuple[Ranking, Difference | None]]) -> dict[str, Ranking]:
    tested = [(ranking, d) for ranking, d in found if d is not None]
    p_values = dict(zip((r.name for r, _ in tested), adjusted_p_values([d.p_value for _, d in tested]), strict=True))
    return {r.name: _with(r, d, p_values.get(r.name)) for r, d in found}


def _with(ranking: Ranking, difference: Difference | None, p_value: float | None) -> Ranking:
    if difference is None or p_value is None:
        return ranking
    return Ranking(
        name=ranking.name,
        metric=ranking.metric,
        deployment=ranking.deployment,
        value=ranking.value,
        order=ranking.order,
        difference=difference.interval,
        p_value=p_value,
        is_significant=p_value <= _ALPHA,
    )


def _of_scores(overall: Sequence[Ranked]) -> Ranking:
    return Ranking(
        name=OVERALL,
        metric=_OVERALL_BY,
        deployment=overall[0].deployment,
        value=overall[0].score,
        order=tuple(r.deployment for r in overall),
    )

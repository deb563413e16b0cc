"""What ``loop.stats()`` answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from hivefeedback.errors import InvalidInputError
from hivefeedback.queries.basis import Shut
from hivefeedback.queries.cells import is_below
from hivefeedback.queries.metrics import accuracy_of, mean_tokens, quality_of, rating_of, tokens_per_s
from hivefeedback.queries.newest import mean_of_newest
from hivefeedback.stats import JUDGED_UNIT, REWARD, Cell, CellKey, Coverage, View

__all__ = ["DIMENSIONS", "RATINGS", "StatRow", "Stats", "stats_of"]

DIMENSIONS = ("deployment", "operation", "agent")
RATINGS: Final = ("relevance", "accuracy", "helpfulness", "creativity", "overall")
"""The five ratings of an evaluation form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatRow:
    """Statistics of some runs; None stands for "nothing is known", never for zero.

    Args:
        deployment, operation, agent: What the row is about; empty where not asked for.
        n_runs: Runs that enter success statistics.
        failures: Runs whose outcome counts against the deployment.
        success_rate: Share of ``n_runs`` that did not fail, 0–1 (``hivefeedback.stats.n_succeeded``).
        quality: Mean of feedback and scores, 0–1.
        reward: Mean of what was learnt, 0–1.
        mean_duration_s, p50_s, p95_s: Of ``ok`` runs, in seconds; quantiles within 1 %.
        ttft_s: Mean seconds to the first token.
        cost_usd: Sum. ``mean_tokens``: mean of tokens in + out per run.
        outcomes: Runs per outcome, the uncounted ones too.
        n_judged: Judgements behind ``quality``. ``n_awaiting``: runs that still await one.
        coverage: What the window really covers, with the row's own runs.
        mean_last_100_s: Mean duration of the newest 100 counted runs, however old they are; None in
            rows by agent.
        tokens_per_s: Mean tokens out over mean duration of the counted runs.
        memory_mb: Mean of the runs that told theirs.
        rating: Mean of the feedback ``rating``, 1–5.
        ratings: Means of relevance, accuracy, helpfulness, creativity and overall, 1–5; only those given.
        total_queries: Queries (root runs) that the row's deployments had a part in, once for each of them: in a row
            of several deployments a query that two of them served counts twice.
        successful_queries: How many of them were right.
        accuracy: The second ÷ the first, 0–1; beside the call-level ``success_rate``.
        blacklisted_until_s: End of the open breaker, seconds since 1970 UTC; None while it is closed,
            and in rows that are not of one deployment.
    """

    deployment: str = ""
    operation: str = ""
    agent: str = ""
    n_runs: int
    failures: int
    success_rate: float | None
    quality: float | None
    reward: float | None
    mean_duration_s: float | None
    p50_s: float | None
    p95_s: float | None
    ttft_s: float | None
    cost_usd: float | None
    mean_tokens: float | None
    outcomes: dict[str, int]
    n_judged: int
    n_awaiting: int
    coverage: Coverage
    mean_last_100_s: float | None = None
    tokens_per_s: float | None = None
    memory_mb: float | None = None
    rating: float | None = None
    ratings: Mapping[str, float] = field(default_factory=dict)
    total_queries: int | None = None
    successful_queries: int | None = None
    accuracy: float | None = None
    blacklisted_until_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """Rows, most runs first, and what the window really covers."""

    rows: tuple[StatRow, ...]
    coverage: Coverage

    def __iter__(self) -> Iterator[StatRow]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> StatRow:
        return self.rows[index]


def stats_of(view: View, *, operation: str | None, by: Sequence[str], shut: Mapping[str, Shut] | None = None) -> Stats:
    """Statistics of a view.

    Args:
        view: The window.
        operation: Only this operation and those below it.
        by: Parts of the key that make a row.
        shut: Open breakers by deployment.

    Raises:
        InvalidInputError: ``by`` names something else than deployment, operation, agent.
    """
    unknown = [part for part in by if part not in DIMENSIONS]
    if unknown:
        raise InvalidInputError(f"stats by {unknown[0]!r} is not possible; choose from {', '.join(DIMENSIONS)}")

    def where(key: CellKey) -> bool:
        return is_below(key.operation, operation) and bool(key.deployment)  # what served no llm run has none

    view = view.only(where)
    coverage = view.coverage
    newest = mean_of_newest(view, by, operation)
    rows = []
    for key, cell in view.totals(*by).items():
        if cell.n_all or cell.judged:
            found = (shut or {}).get(key[by.index("deployment")]) if "deployment" in by else None
            until_s = found.until_s if found is not None else None
            names = dict(zip(by, key, strict=True))
            rows.append(_row(names, cell, coverage, mean_last_100_s=newest.get(key), blacklisted_until_s=until_s))
    rows.sort(key=lambda r: (-r.n_runs, r.deployment, r.operation, r.agent))
    return Stats(rows=tuple(rows), coverage=coverage)


def _row(
    key: dict[str, str],
    cell: Cell,
    coverage: Coverage,
    *,
    mean_last_100_s: float | None,
    blacklisted_until_s: float | None,
) -> StatRow:
    n_runs = cell.n_runs
    duration_us, ttft_us, memory_kb = cell.mean("duration_us"), cell.mean("ttft_us"), cell.mean("memory_kb")
    quality, reward, queries = quality_of(cell), cell.judged.get(REWARD), accuracy_of(cell)
    return StatRow(
        deployment=key.get("deployment", ""),
        operation=key.get("operation", ""),
        agent=key.get("agent", ""),
        n_runs=n_runs,
        failures=cell.failures,
        success_rate=cell.successes / n_runs if n_runs else None,
        quality=quality.mean,
        reward=reward.mean if reward else None,
        mean_duration_s=duration_us / 1e6 if duration_us is not None else None,
        p50_s=cell.quantile("duration_us", 0.5),
        p95_s=cell.quantile("duration_us", 0.95),
        ttft_s=ttft_us / 1e6 if ttft_us is not None else None,
        cost_usd=cell.sums["cost_nusd"] / 1e9 if cell.ns.get("cost_nusd") else None,
        mean_tokens=mean_tokens(cell),
        outcomes=dict(cell.outcomes),
        n_judged=quality.n,
        n_awaiting=cell.n_awaiting,
        coverage=replace(coverage, n_runs=n_runs, n_awaiting=cell.n_awaiting),
        mean_last_100_s=mean_last_100_s,
        tokens_per_s=tokens_per_s(cell),
        memory_mb=memory_kb / 1024 if memory_kb is not None else None,
        rating=rating_of(cell.judged.get("rating")),
        ratings=_ratings(cell),
        total_queries=queries.n or None,
        successful_queries=round(queries.total / JUDGED_UNIT) if queries.n else None,
        accuracy=queries.mean,
        blacklisted_until_s=blacklisted_until_s,
    )


def _ratings(cell: Cell) -> dict[str, float]:
    found = {name: rating_of(cell.judged.get(name)) for name in RATINGS}
    return {name: rating for name, rating in found.items() if rating is not None}

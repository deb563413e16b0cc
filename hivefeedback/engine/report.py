"""What ``loop.stats()`` answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from hivefeedback.errors import InvalidInputError
from hivefeedback.model import INVERTED
from hivefeedback.stats import JUDGED_UNIT, Cell, CellKey, Coverage, View

__all__ = ["DIMENSIONS", "StatRow", "Stats", "stats_of"]

DIMENSIONS = ("deployment", "operation", "agent")


@dataclass(frozen=True, slots=True, kw_only=True)
class StatRow:
    """Statistics of some runs; None stands for "nothing is known", never for zero.

    Args:
        deployment, operation, agent: What the row is about; empty where not asked for.
        n_runs: Runs that enter success statistics.
        failures: Runs whose outcome counts against the deployment.
        success_rate: Share of ``ok`` among ``n_runs``, 0–1.
        quality: Mean of feedback and scores, 0–1.
        reward: Mean of what was learnt, 0–1.
        mean_duration_s, p50_s, p95_s: Of ``ok`` runs, in seconds; quantiles within 1 %.
        ttft_s: Mean seconds to the first token.
        cost_usd: Sum. ``mean_tokens``: mean of tokens in + out per run.
        outcomes: Runs per outcome, the uncounted ones too.
        n_judged: Judgements behind ``quality``. ``n_awaiting``: runs that still await one.
        coverage: What the window really covers, with the row's own runs.
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


def stats_of(view: View, *, operation: str | None, by: Sequence[str]) -> Stats:
    """Statistics of a view.

    Args:
        view: The window.
        operation: Only this operation and those below it.
        by: Parts of the key that make a row.

    Raises:
        InvalidInputError: ``by`` names something else than deployment, operation, agent.
    """
    unknown = [part for part in by if part not in DIMENSIONS]
    if unknown:
        raise InvalidInputError(f"stats by {unknown[0]!r} is not possible; choose from {', '.join(DIMENSIONS)}")

    def where(key: CellKey) -> bool:
        is_asked = operation is None or key.operation == operation or key.operation.startswith(operation + "/")
        return is_asked and bool(key.deployment)  # what served no llm run has no deployment

    view = view.only(where)
    coverage = view.coverage
    cells = view.totals(*by)
    rows = [
        _row(dict(zip(by, key, strict=True)), cell, coverage)
        for key, cell in cells.items()
        if cell.n_all or cell.judged
    ]
    rows.sort(key=lambda r: (-r.n_runs, r.deployment, r.operation, r.agent))
    return Stats(rows=tuple(rows), coverage=coverage)


def _row(key: dict[str, str], cell: Cell, coverage: Coverage) -> StatRow:
    n_runs = cell.n_runs
    duration_us, ttft_us = cell.mean("duration_us"), cell.mean("ttft_us")
    n_judged, quality = _quality(cell)
    reward = cell.judged.get("reward")
    n_tokens = max(cell.ns.get("tokens_in", 0), cell.ns.get("tokens_out", 0))
    tokens = cell.sums.get("tokens_in", 0) + cell.sums.get("tokens_out", 0)
    return StatRow(
        deployment=key.get("deployment", ""),
        operation=key.get("operation", ""),
        agent=key.get("agent", ""),
        n_runs=n_runs,
        failures=cell.failures,
        success_rate=cell.outcomes.get("ok", 0) / n_runs if n_runs else None,
        quality=quality,
        reward=reward.mean if reward else None,
        mean_duration_s=duration_us / 1e6 if duration_us is not None else None,
        p50_s=cell.quantile("duration_us", 0.5),
        p95_s=cell.quantile("duration_us", 0.95),
        ttft_s=ttft_us / 1e6 if ttft_us is not None else None,
        cost_usd=cell.sums["cost_nusd"] / 1e9 if cell.ns.get("cost_nusd") else None,
        mean_tokens=tokens / n_tokens if n_tokens else None,
        outcomes=dict(cell.outcomes),
        n_judged=n_judged,
        n_awaiting=cell.n_awaiting,
        coverage=replace(coverage, n_runs=n_runs, n_awaiting=cell.n_awaiting),
    )


def _quality(cell: Cell) -> tuple[int, float | None]:
    n, total = 0, 0
    for name, judged in cell.judged.items():
        if name != "reward":
            n += judged.n
            total += judged.n * JUDGED_UNIT - judged.total if name in INVERTED else judged.total
    return n, (total / n / JUDGED_UNIT if n else None)

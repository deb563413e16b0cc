"""``loop.rank()``: deployments in the order of a ranker, with what their scores are made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from hivefeedback.hooks import Ranked
from hivefeedback.queries.basis import Basis
from hivefeedback.queries.cells import cells_of, covered
from hivefeedback.queries.checks import check_operation
from hivefeedback.queries.ranking import ranked
from hivefeedback.stats import Cell, Coverage

__all__ = ["RankRow", "Ranks", "rank", "rank_rows"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RankRow:
    """One deployment's place.

    Args:
        place: From 1.
        deployment: Its id.
        score: 0–100.
        parts: What the score is made of, as the ranker names it.
        reason: The same in words.
        n_runs: Runs in the window that enter success statistics.
        is_blacklisted: True while its breaker is open: it is not served, whatever its score.
    """

    place: int
    deployment: str
    score: float
    parts: Mapping[str, float]
    reason: str
    n_runs: int
    is_blacklisted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranks:
    """Rows, best first, and what the window really covers."""

    by: str
    operation: str
    rows: tuple[RankRow, ...]
    coverage: Coverage

    def __iter__(self) -> Iterator[RankRow]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> RankRow:
        return self.rows[index]


def rank(
    basis: Basis, *, by: str = "adaptive", operation: str | None = None, candidates: Sequence[str] | None = None
) -> Ranks:
    """Order deployments.

    Args:
        basis: The window, and what is served.
        by: Name of a ranker.
        operation: For this operation and those below it; None: for all.
        candidates: Which ones; default: those that can be drawn for the operation.

    Raises:
        UnknownNameError: No such ranker or deployment.
        PluginError: The ranker failed.
    """
    operation = check_operation(operation)
    cells = cells_of(basis.view, operation)
    answer = ranked(basis, by, operation=operation, candidates=basis.candidates(candidates, operation))
    rows = rank_rows(basis, answer, cells)
    names = {row.deployment for row in rows}
    coverage = covered(basis.view, (cell for name, cell in cells.items() if name in names))
    return Ranks(by=by, operation=operation or "", rows=rows, coverage=coverage)


def rank_rows(basis: Basis, answer: Sequence[Ranked], cells: Mapping[str, Cell]) -> tuple[RankRow, ...]:
    """A row for each place that a ranker gave."""
    return tuple(
        RankRow(
            place=place,
            deployment=r.deployment,
            score=r.score,
            parts=dict(r.parts),
            reason=r.reason,
            n_runs=cells[r.deployment].n_runs if r.deployment in cells else 0,
            is_blacklisted=r.deployment in basis.shut,
        )
        for place, r in enumerate(answer, start=1)
    )

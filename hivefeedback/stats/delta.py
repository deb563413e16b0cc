"""What a process adds to the aggregates with one commit."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from hivefeedback.stats.cell import Cell, CellKey

__all__ = ["BUCKET_S", "MAX_EXEMPLARS", "Delta", "Exemplar", "bucket_of"]

BUCKET_S = 60
"""Width of the finest time bucket, in seconds."""
MAX_EXEMPLARS = 100
"""Newest runs kept for each (deployment, operation)."""


def bucket_of(at_s: float) -> int:
    """Start of the minute that a time lies in, seconds since 1970 UTC."""
    return int(at_s // BUCKET_S) * BUCKET_S


class Exemplar(Struct, frozen=True, array_like=True, gc=False):
    """One of the newest runs of a (deployment, operation).

    ``reward`` is what was learnt from it, None before that; a judgement that comes later adds the
    run again, and the newest of a run_id counts. ``is_canary`` marks runs of a canary's arm.
    ``prompts`` are the prompts that its decision was asked for, as ``name@version``, at most 4.
    """

    started_at_s: float
    run_id: str
    duration_s: float | None = None
    outcome: str = "ok"
    trace_id: str = ""
    reward: float | None = None
    is_canary: bool = False
    prompts: tuple[str, ...] = ()


class Delta(Struct):
    """Cells to merge, by key and minute, and the newest runs by (deployment, operation).

    Merging is associative and commutative but not idempotent: a store merges the delta of one
    (producer, epoch, number) once.
    """

    cells: dict[tuple[CellKey, int], Cell] = {}
    exemplars: dict[tuple[str, str], list[Exemplar]] = {}

    def cell(self, key: CellKey, bucket: int) -> Cell:
        """The cell of a key in the minute that begins at ``bucket``; made where missing."""
        cell = self.cells.get((key, bucket))
        if cell is None:
            cell = self.cells[(key, bucket)] = Cell()
        return cell

    def add_exemplar(self, deployment: str, operation: str, exemplar: Exemplar) -> None:
        """Remember one of the newest runs."""
        self.add_exemplars(deployment, operation, (exemplar,))

    def add_exemplars(self, deployment: str, operation: str, exemplars: Iterable[Exemplar]) -> None:
        """Remember some of the newest runs."""
        newest = self.exemplars.setdefault((deployment, operation), [])
        newest += exemplars
        if len(newest) > 2 * MAX_EXEMPLARS:
            del newest[:-MAX_EXEMPLARS]

    def merge(self, other: Delta) -> None:
        """Add another delta to this one."""
        for (key, bucket), cell in other.cells.items():
            self.cell(key, bucket).merge(cell)
        for (deployment, operation), newest in other.exemplars.items():
            self.add_exemplars(deployment, operation, newest)

    def __bool__(self) -> bool:
        return bool(self.cells or self.exemplars)

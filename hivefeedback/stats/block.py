"""The cells of one time bucket as arrays: sums of many of them are then a few additions.

A cell takes 200 bytes and three for each bin so, a tenth of what its dictionaries take, and a
thousand of them are five objects for the garbage collector.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from hivefeedback.stats.cell import Cell, CellKey, Judged
from hivefeedback.stats.legend import AWAITING, Ints, Legend, Whole

__all__ = ["Block", "cells_of", "make_block"]

_LARGEST = (1 << 62) - 1


class Block(NamedTuple):
    """Some cells; the arrays are never changed.

    Args:
        keys: Number of each cell's key, each once.
        values: A row of counters for each cell; columns of the legend that came later are missing.
        bin_lengths: How many bins each cell has.
        bin_columns, bin_counts: The histograms, cell after cell: column of the legend and count.
            They are most of a window, so they take as few bytes as they can: three for most bins.
    """

    keys: Ints
    values: Ints
    bin_lengths: Ints
    bin_columns: Whole
    bin_counts: Whole

    @property
    def n_bytes(self) -> int:
        """What it takes."""
        return sum(array.nbytes for array in self)

    def bin_keys(self) -> Ints:
        """The number of the key that each bin belongs to."""
        return np.repeat(self.keys, self.bin_lengths)

    def without(self, keys: Ints) -> Block:
        """The cells of other keys."""
        kept = ~np.isin(self.keys, keys)
        if kept.all():
            return self
        kept_bins = np.repeat(kept, self.bin_lengths)
        return Block(
            self.keys[kept],
            self.values[kept],
            self.bin_lengths[kept],
            self.bin_columns[kept_bins],
            self.bin_counts[kept_bins],
        )

    def plus(self, other: Block) -> Block:
        """Both together; cells of the same key are added."""
        n, width = len(self.keys), max(self.values.shape[1], other.values.shape[1])
        row_of = {key: row for row, key in enumerate(self.keys.tolist())}
        at = np.array([row_of.setdefault(key, len(row_of)) for key in other.keys.tolist()], dtype=np.int64)
        values = np.zeros((len(row_of), width), dtype=np.int64)
        values[:n, : self.values.shape[1]] = self.values
        values[at, : other.values.shape[1]] += other.values
        rows = np.concatenate([np.repeat(np.arange(n), self.bin_lengths), np.repeat(at, other.bin_lengths)])
        order = np.argsort(rows, kind="stable")
        return Block(
            np.array(list(row_of), dtype=np.int64),
            values,
            np.bincount(rows, minlength=len(row_of)).astype(np.int64),
            np.concatenate([self.bin_columns, other.bin_columns])[order],
            np.concatenate([self.bin_counts, other.bin_counts])[order],
        )


def make_block(
    legend: Legend, cells: Iterable[tuple[CellKey, Cell]], breath: Callable[[], object] = lambda: None
) -> Block:
    """The block of some cells.

    Args:
        legend: Gets the names that it lacks.
        cells: Each key once.
        breath: Called between two cells, so that other threads get a turn.
    """
    keys: list[int] = []
    columns, values, lengths = list[int](), list[int](), list[int]()
    bin_columns, bin_counts, bin_lengths = list[int](), list[int](), list[int]()
    outcome, sum_, n_of, judged_as = (c.__getitem__ for c in (legend.outcomes, legend.sums, legend.ns, legend.judged))
    for key, cell in cells:
        keys.append(legend.number_of(key))
        before, before_bins = len(columns), len(bin_columns)
        columns += map(outcome, cell.outcomes)
        values += cell.outcomes.values()
        columns += map(sum_, cell.sums)
        values += cell.sums.values()
        columns += map(n_of, cell.ns)
        values += cell.ns.values()
        for name, judged in cell.judged.items():
            first = judged_as(name)
            columns += (first, first + 1, first + 2)
            values += (judged.n, judged.total, judged.squares)
        if cell.n_awaiting:
            columns.append(AWAITING)
            values.append(cell.n_awaiting)
        for metric, bins in cell.bins.items():
            bin_columns += map(legend.bins[metric].__getitem__, bins)
            bin_counts += bins.values()
        lengths.append(len(columns) - before)
        bin_lengths.append(len(bin_columns) - before_bins)
        breath()
    dense = np.zeros((len(keys), len(legend.columns)), dtype=np.int64)
    dense[np.repeat(np.arange(len(keys)), lengths), columns] = _ints(values)
    return Block(
        np.array(keys, dtype=np.int64),
        dense,
        np.array(bin_lengths, dtype=np.int64),
        _small(np.array(bin_columns, dtype=np.int64)),
        _small(_ints(bin_counts)),
    )


def _small(numbers: Ints) -> Whole:
    """The same numbers in as few bytes as they need."""
    if not len(numbers) or numbers.min() < 0:
        return numbers
    return numbers.astype(np.min_scalar_type(int(numbers.max())))


def _ints(values: list[int]) -> Ints:
    try:
        return np.array(values, dtype=np.int64)
    except OverflowError:  # an absurd duration: it stays absurd, and what is added to it does not wrap
        return np.array([max(-_LARGEST, min(_LARGEST, v)) for v in values], dtype=np.int64)


def cells_of(legend: Legend, rows: Ints) -> list[Cell]:
    """Cells from rows of counters, without histograms; what is zero is left out."""
    width = rows.shape[1]
    outcomes = [(name, i) for name, i in legend.outcomes.items() if i < width]
    ns = [(name, i) for name, i in legend.ns.items() if i < width]
    sums = [(name, i, legend.ns.get(name, i)) for name, i in legend.sums.items() if i < width]
    judged = [(name, i, i + 1, i + 2) for name, i in legend.judged.items() if i < width]
    return [
        Cell(
            outcomes={name: row[i] for name, i in outcomes if row[i]},
            # a sum of zero over some runs is known; one over none is not
            sums={name: row[i] for name, i, n in sums if row[i] or (n < width and row[n])},
            ns={name: row[i] for name, i in ns if row[i]},
            judged={
                name: Judged(row[n], row[total], row[squares])
                for name, n, total, squares in judged
                if row[n] or row[total] or row[squares]
            },
            n_awaiting=row[AWAITING],
        )
        for row in rows.tolist()
    ]

"""The cells of one time bucket as arrays: sums of many of them are then a few additions.

A cell takes some 500 bytes so, a fifth of what its dictionaries take, and a thousand of them are
three objects for the garbage collector.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hivefeedback.stats.cell import Cell, CellKey, Judged
from hivefeedback.stats.legend import AWAITING, Ints, Legend

__all__ = ["Block", "cells_of", "make_block"]

_LARGEST = (1 << 62) - 1


class Block(NamedTuple):
    """Some cells; the arrays are never changed.

    Args:
        keys: Number of each cell's key, each once.
        values: A row of counters for each cell; columns of the legend that came later are missing.
        bin_keys, bin_columns, bin_counts: The histograms: (key, column of the bin, count), in any order.
    """

    keys: Ints
    values: Ints
    bin_keys: NDArray[np.int32]
    bin_columns: NDArray[np.int32]
    bin_counts: NDArray[np.int64]

    def without(self, keys: Ints) -> Block:
        """The cells of other keys."""
        kept = ~np.isin(self.keys, keys)
        if kept.all():
            return self
        kept_bins = ~np.isin(self.bin_keys, keys)
        return Block(
            self.keys[kept],
            self.values[kept],
            self.bin_keys[kept_bins],
            self.bin_columns[kept_bins],
            self.bin_counts[kept_bins],
        )

    def plus(self, other: Block) -> Block:
        """Both together; cells of the same key are added."""
        width = max(self.values.shape[1], other.values.shape[1])
        order = np.argsort(self.keys)
        at = np.searchsorted(self.keys, other.keys, sorter=order)
        found = order[np.minimum(at, max(0, len(order) - 1))] if len(order) else at
        is_known = self.keys[found] == other.keys if len(order) else np.zeros(len(at), dtype=np.bool_)
        values = np.zeros((len(self.keys) + int((~is_known).sum()), width), dtype=np.int64)
        values[: len(self.keys), : self.values.shape[1]] = self.values
        values[found[is_known], : other.values.shape[1]] += other.values[is_known]
        values[len(self.keys) :, : other.values.shape[1]] = other.values[~is_known]
        return Block(
            np.concatenate([self.keys, other.keys[~is_known]]),
            values,
            np.concatenate([self.bin_keys, other.bin_keys]),
            np.concatenate([self.bin_columns, other.bin_columns]),
            np.concatenate([self.bin_counts, other.bin_counts]),
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
    numbers = np.array(keys, dtype=np.int64)
    return Block(
        numbers,
        dense,
        np.repeat(numbers, bin_lengths).astype(np.int32),
        np.array(bin_columns, dtype=np.int32),
        _ints(bin_counts),
    )


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

"""Sums over sets of time buckets, each made from the nearest one that is known.

A window that moved by a minute differs from the one before in a few buckets, and so do the parts
that an analyzer cuts it into. So a sum is kept and moved: what left is subtracted, what came is
added. All counts are integers, hence the result is exactly the sum.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from hivefeedback.stats.block import Block, cells_of
from hivefeedback.stats.cell import Cell
from hivefeedback.stats.legend import Ints, Legend

__all__ = ["Bucket", "Contents", "Grouped", "Spans"]

Bucket = tuple[int, int]
"""(start, width) of a time bucket, in seconds."""
Contents = Mapping[Bucket, Block]
Mask = NDArray[np.bool_]

MAX_SPANS = 6
"""Sums that are kept: the turn's window, its two parts, the last hour, and two more."""
MAX_PIECES = 64
"""Sums of pieces of time that are kept for ``series``, without histograms."""
MAX_BIN_SUMS = 16_000_000
"""Keys × bins of one sum, 64 MB; where there are more, histograms are summed from the buckets."""
_FAR = 0.25
"""A sum that differs in a larger share of its buckets is left to others, and a new one is begun."""


class Grouped(NamedTuple):
    """Counters summed by parts of the key; a row of ``values`` for each name."""

    names: list[tuple[str, ...]]
    values: Ints
    rows: Ints
    starts: Ints


class _Span:
    """The sum of some buckets, by number of key."""

    __slots__ = ("bins", "contents", "memo", "present", "values")

    def __init__(self) -> None:
        self.contents: dict[Bucket, Block] = {}
        self.values: Ints = np.zeros((0, 0), dtype=np.int64)
        self.present: Ints = np.zeros(0, dtype=np.int64)
        self.bins: NDArray[np.int32] | None = None
        self.memo: dict[object, dict[tuple[str, ...], Cell]] = {}

    def distance(self, contents: Contents) -> int:
        """In how many buckets it differs."""
        same = sum(self.contents.get(bucket) is block for bucket, block in contents.items())
        return len(self.contents) + len(contents) - 2 * same

    def move(self, contents: Contents, legend: Legend) -> None:
        """Become the sum of other buckets."""
        self._fit(legend)
        gone = [(b, block) for b, block in self.contents.items() if contents.get(b) is not block]
        come = [(b, block) for b, block in contents.items() if self.contents.get(b) is not block]
        if gone or come:
            self.memo.clear()
        for bucket, block in gone:
            del self.contents[bucket]
            self._add(block, -1)
        for bucket, block in come:
            self.contents[bucket] = block
            self._add(block, 1)

    def with_bins(self, legend: Legend) -> NDArray[np.int32]:
        """Histograms by number of key and column, summed when they are first asked for."""
        if self.bins is None:
            self.bins = np.zeros((len(legend.keys), len(legend.bin_columns)), dtype=np.int32)
            for block in self.contents.values():
                self._add_bins(self.bins, block, 1)
        return self.bins

    def _fit(self, legend: Legend) -> None:
        n_keys, n_columns, n_bins = len(legend.keys), len(legend.columns), len(legend.bin_columns)
        if self.values.shape != (n_keys, n_columns):
            self.values = _padded(self.values, n_keys, n_columns)
            self.present = np.pad(self.present, (0, n_keys - len(self.present)))
        if self.bins is not None and self.bins.shape != (n_keys, n_bins):
            self.bins = _padded(self.bins, n_keys, n_bins) if n_keys * n_bins <= MAX_BIN_SUMS else None

    def _add(self, block: Block, sign: int) -> None:
        width = block.values.shape[1]
        self.values[block.keys, :width] += block.values if sign > 0 else -block.values
        self.present[block.keys] += sign
        if self.bins is not None:
            self._add_bins(self.bins, block, sign)

    @staticmethod
    def _add_bins(bins: NDArray[np.int32], block: Block, sign: int) -> None:
        codes = block.bin_keys() * bins.shape[1] + block.bin_columns
        np.add.at(bins.reshape(-1), codes, block.bin_counts.astype(np.int32) * np.int32(sign))


class Spans:
    """Sums of one window; safe to ask from any thread.

    Args:
        legend: What the numbers in the blocks stand for.
    """

    def __init__(self, legend: Legend) -> None:
        self.legend, self.lock = legend, threading.RLock()
        self._spans: list[_Span] = []
        self._pieces: dict[object, _Span] = {}

    def _span(self, contents: Contents) -> _Span:
        """The sum of some buckets, the most recently asked last."""
        nearest = min(self._spans, key=lambda s: s.distance(contents), default=None)
        if nearest is None or nearest.distance(contents) > _FAR * (len(contents) + 1):
            nearest = _Span()
            self._spans = self._spans[-(MAX_SPANS - 1) :]
        else:
            self._spans.remove(nearest)
        self._spans.append(nearest)
        nearest.move(contents, self.legend)
        return nearest

    def present(self, contents: Contents) -> Mask:
        """By number of key: whether any bucket holds it."""
        with self.lock:
            return self._span(contents).present > 0

    def rows(self, contents: Contents) -> Ints:
        """Counters by number of key, a copy."""
        with self.lock:
            return self._span(contents).values.copy()

    def cells(self, contents: Contents, by: Sequence[str], mask: Mask, *, bins: bool) -> dict[tuple[str, ...], Cell]:
        """Cells by parts of the key.

        Args:
            contents: The buckets.
            by: Names of parts.
            mask: By number of key: which ones; keys that came later are left out.
            bins: With histograms.
        """
        with self.lock:
            span = self._span(contents)
            name = (tuple(by), mask.tobytes(), bins)
            known = span.memo.get(name)
            if known is None:
                known = span.memo[name] = self._made(span, by, mask, bins)
            return dict(known)

    def piece(
        self, name: object, contents: Contents, by: Sequence[str], mask: Mask, *, bins: bool
    ) -> dict[tuple[str, ...], Cell]:
        """The same for a piece of time, whose sum is kept under a name of its own."""
        with self.lock:
            span = self._pieces.pop(name, None) or _Span()
            self._pieces[name] = span
            if len(self._pieces) > MAX_PIECES:
                del self._pieces[next(iter(self._pieces))]
            span.move(contents, self.legend)
            what = (tuple(by), mask.tobytes(), bins)
            known = span.memo.get(what)
            if known is None:
                known = span.memo[what] = self._made(span, by, mask, bins, keep_bins=False)
            return dict(known)

    def _made(
        self, span: _Span, by: Sequence[str], mask: Mask, bins: bool, *, keep_bins: bool = True
    ) -> dict[tuple[str, ...], Cell]:
        grouped = _grouped(self.legend, span, by, mask)
        cells = cells_of(self.legend, grouped.values)
        if bins and cells:
            n_sums = len(self.legend.keys) * len(self.legend.bin_columns)
            is_kept = span.bins is not None or (keep_bins and n_sums <= MAX_BIN_SUMS)
            found = self._histograms(span, grouped) if is_kept else self._histograms_of_blocks(span, grouped)
            for cell, histograms in zip(cells, found, strict=True):
                cell.bins = histograms
        return dict(zip(grouped.names, cells, strict=True))

    def _histograms(self, span: _Span, grouped: Grouped) -> list[dict[str, dict[int, int]]]:
        """From the sums by key."""
        return self._named(np.add.reduceat(span.with_bins(self.legend)[grouped.rows], grouped.starts, axis=0))

    def _histograms_of_blocks(self, span: _Span, grouped: Grouped) -> list[dict[str, dict[int, int]]]:
        """From the buckets themselves."""
        n_columns = len(self.legend.bin_columns)
        group_of = np.full(len(self.legend.keys), -1, dtype=np.int64)
        group_of[grouped.rows] = np.repeat(
            np.arange(len(grouped.starts)), np.diff(np.append(grouped.starts, len(grouped.rows)))
        )
        sums = np.zeros((len(grouped.names), n_columns), dtype=np.int64)
        for block in span.contents.values():
            groups = group_of[block.bin_keys()]
            kept = groups >= 0
            counts = block.bin_counts[kept].astype(np.int64)
            np.add.at(sums.reshape(-1), groups[kept] * n_columns + block.bin_columns[kept], counts)
        return self._named(sums)

    def _named(self, sums: NDArray[np.int32] | Ints) -> list[dict[str, dict[int, int]]]:
        """Rows of sums as histograms by metric."""
        metrics = {metric: i for i, metric in enumerate(self.legend.bins)}
        columns = self.legend.bin_columns[: sums.shape[1]]
        metric_of = np.array([metrics[metric] for metric, _ in columns], dtype=np.int64)
        order = np.argsort(metric_of, kind="stable")
        of_rows, at = np.nonzero(sums[:, order])
        of_columns = order[at]
        codes = of_rows * len(metrics) + metric_of[of_columns]
        bounds = [*np.flatnonzero(np.diff(codes, prepend=-1)).tolist(), len(codes)]
        ks = np.array([k for _, k in columns], dtype=np.int64)[of_columns].tolist()
        ns = sums[of_rows, of_columns].tolist()
        names = list(metrics)
        found: list[dict[str, dict[int, int]]] = [{} for _ in range(len(sums))]
        for first, end in pairwise(bounds):
            row, metric = divmod(int(codes[first]), len(metrics))
            found[row][names[metric]] = dict(zip(ks[first:end], ns[first:end], strict=True))
        return found


def _grouped(legend: Legend, span: _Span, by: Sequence[str], mask: Mask) -> Grouped:
    rows = np.flatnonzero((span.present[: len(mask)] > 0) & mask)
    names, of_keys = legend.groups(by)
    groups = of_keys[rows]
    order = np.argsort(groups, kind="stable")
    rows, groups = rows[order], groups[order]
    starts = np.flatnonzero(np.diff(groups, prepend=-1))
    if not len(rows):
        return Grouped([], span.values[:0], rows, starts)
    values = np.add.reduceat(span.values[rows], starts, axis=0)
    return Grouped([names[g] for g in groups[starts].tolist()], values, rows, starts)


S = TypeVar("S", np.int64, np.int32)


def _padded(array: NDArray[S], n_rows: int, n_columns: int) -> NDArray[S]:
    padded = np.zeros((n_rows, n_columns), dtype=array.dtype)
    padded[: array.shape[0], : array.shape[1]] = array
    return padded

"""A view of a window that is kept current: it answers from sums, and makes slices only when asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from hivefeedback.model import BLAMED, UNCOUNTED
from hivefeedback.stats.block import Block, cells_of
from hivefeedback.stats.cell import Cell, CellKey
from hivefeedback.stats.delta import Exemplar
from hivefeedback.stats.legend import AWAITING, Ints, Legend
from hivefeedback.stats.names import REWARD
from hivefeedback.stats.repeat import Repeat
from hivefeedback.stats.spans import Bucket, Spans
from hivefeedback.stats.view import Coverage, Slice, View

__all__ = ["RunningView"]

Where = Callable[[CellKey], bool]


class RunningView(View):
    """A ``View`` of one moment of a running window; what comes later does not change it.

    It answers what a view read from the store answers, but for counters that are zero, which it
    leaves out. A sum that is asked for again costs microseconds.

    Args:
        asked_from_s, asked_to_s: The window that was asked for.
        contents: Its buckets.
        exemplars: Newest runs of each (deployment, operation).
        spans: The window's sums.
        where: Which keys.
        repeats: What agents were corrected with again and again.
    """

    def __init__(
        self,
        *,
        asked_from_s: float,
        asked_to_s: float,
        contents: dict[Bucket, Block],
        exemplars: Mapping[tuple[str, str], tuple[Exemplar, ...]],
        spans: Spans,
        where: tuple[Where, ...] = (),
        repeats: tuple[Repeat, ...] = (),
    ) -> None:
        put = object.__setattr__  # the base is frozen
        put(self, "asked_from_s", asked_from_s)
        put(self, "asked_to_s", asked_to_s)
        put(self, "exemplars", exemplars)
        put(self, "repeats", repeats)
        self._contents: dict[Bucket, Block]
        put(self, "_contents", contents)
        self._spans: Spans
        put(self, "_spans", spans)
        self._where: tuple[Where, ...]
        put(self, "_where", where)
        self._coverage: Coverage | None
        put(self, "_coverage", None)
        self._slices: tuple[Slice, ...] | None
        put(self, "_slices", None)

    def __repr__(self) -> str:
        n_buckets = len(self._contents)
        return f"RunningView(asked_from_s={self.asked_from_s!r}, asked_to_s={self.asked_to_s!r}, {n_buckets} buckets)"

    @property
    def slices(self) -> tuple[Slice, ...]:
        """Cells by time bucket, made when they are first asked for; slow for a large window."""
        if self._slices is None:
            object.__setattr__(self, "_slices", self._made_slices())
        assert self._slices is not None
        return self._slices

    def _made_slices(self) -> tuple[Slice, ...]:
        legend, mask = self._legend, self._mask(is_total=False)
        with self._spans.lock:
            found = [
                Slice(start, width, key, cell)
                for (start, width), block in sorted(self._contents.items())
                for key, cell in sorted(_cells(legend, block, mask), key=lambda pair: pair[0])
            ]
        return tuple(found)

    @property
    def coverage(self) -> Coverage:
        """What the window really covers; totals only."""
        if self._coverage is None:
            object.__setattr__(self, "_coverage", self._covered())
        assert self._coverage is not None
        return self._coverage

    def _covered(self) -> Coverage:
        mask = self._mask(is_total=True)
        with self._spans.lock:
            holding = [bucket for bucket, block in self._contents.items() if mask[block.keys].any()]
            if not holding:
                return Coverage(from_s=self.asked_from_s, to_s=self.asked_to_s)
            row = self._spans.rows(self._contents)[: len(mask)][mask].sum(axis=0)
            counted = _columns(self._legend, "outcomes", lambda name: name not in UNCOUNTED)
            return Coverage(
                from_s=min(start for start, _ in holding),
                to_s=max(start + width for start, width in holding),
                n_runs=int(row[counted].sum()),
                n_awaiting=int(row[AWAITING]),
                resolution_s=max(width for _, width in holding),
            )

    def between(self, from_s: float, to_s: float) -> RunningView:
        """The part of the view whose buckets begin in [from_s, to_s)."""
        kept = {bucket: block for bucket, block in self._contents.items() if from_s <= bucket[0] < to_s}
        return self._part(from_s, to_s, kept, self._where)

    def only(self, where: Where) -> RunningView:
        """The part of the view whose keys satisfy ``where``."""
        return self._part(self.asked_from_s, self.asked_to_s, self._contents, (*self._where, where))

    def _part(self, from_s: float, to_s: float, contents: dict[Bucket, Block], where: tuple[Where, ...]) -> RunningView:
        return RunningView(
            asked_from_s=from_s,
            asked_to_s=to_s,
            contents=contents,
            exemplars=self.exemplars,
            spans=self._spans,
            where=where,
            repeats=self.repeats,
        )

    def with_repeats(self, repeats: tuple[Repeat, ...]) -> RunningView:
        """The same view, with what agents were corrected with again and again."""
        return RunningView(
            asked_from_s=self.asked_from_s,
            asked_to_s=self.asked_to_s,
            contents=self._contents,
            exemplars=self.exemplars,
            spans=self._spans,
            where=self._where,
            repeats=repeats,
        )

    def buckets(self) -> tuple[Bucket, ...]:
        """(start, width) of each time bucket that holds anything, in seconds, in order."""
        if not self._where:
            return tuple(sorted(self._contents))
        mask = self._mask(is_total=False)
        return tuple(sorted(bucket for bucket, block in self._contents.items() if mask[block.keys].any()))

    def sums(self) -> Mapping[CellKey, Cell]:
        """One cell for each key, totals and arms, without histograms."""
        found = self._spans.cells(self._contents, CellKey._fields, self._mask(is_total=False), bins=False)
        return {CellKey(*name): cell for name, cell in found.items()}

    def totals(self, *by: str, where: Where | None = None, bins: bool = True) -> dict[tuple[str, ...], Cell]:
        """See ``View``."""
        return self._spans.cells(self._contents, by, self._mask(where, is_total=True), bins=bins)

    def series(
        self, width_s: float, *by: str, where: Where | None = None, bins: bool = False
    ) -> list[tuple[float, dict[tuple[str, ...], Cell]]]:
        """See ``View``."""
        pieces: dict[int, dict[Bucket, Block]] = {}
        for bucket in sorted(self._contents):
            pieces.setdefault(int(bucket[0] // width_s), {})[bucket] = self._contents[bucket]
        mask, spans = self._mask(where, is_total=True), self._spans
        found = [(n * width_s, spans.piece((width_s, n), piece, by, mask, bins=bins)) for n, piece in pieces.items()]
        return [(begin_s, cells) for begin_s, cells in found if cells]

    def arms(self, rollout_id: str) -> dict[str, Cell]:
        """Cells of a rollout's arms, by variant."""
        prefix = rollout_id + ":"
        mask = self._mask(lambda key: key.arm.startswith(prefix), is_total=False)
        found = self._spans.cells(self._contents, ("arm",), mask, bins=True)
        return {arm.removeprefix(prefix): cell for (arm,), cell in found.items()}

    def tallies(self, *by: str) -> dict[tuple[str, ...], tuple[int, int, int, int, int]]:
        """See ``View``."""
        legend, mask = self._legend, self._mask(is_total=False)
        with self._spans.lock:
            is_canary = np.array([key.arm.endswith(":canary") for key in legend.keys[: len(mask)]], dtype=np.bool_)
            taken = np.where(is_canary, -1, 1)
            mask &= is_canary | legend.totals()[: len(mask)]
            rows = np.flatnonzero(mask & self._spans.present(self._contents)[: len(mask)])
            values = self._spans.rows(self._contents)[rows] * taken[rows, None]
            names, of_keys = legend.groups(by)
            sums = np.zeros((len(names), 5), dtype=np.int64)
            np.add.at(sums, of_keys[rows], _tally(legend, values))
            found = np.unique(of_keys[rows]).tolist()
            numbers = sums.tolist()
        return {names[g]: tuple(numbers[g]) for g in found}

    # --- inside ---------------------------------------------------------------------------------

    @property
    def _legend(self) -> Legend:
        return self._spans.legend

    def _mask(self, where: Where | None = None, *, is_total: bool) -> NDArray[np.bool_]:
        """By number of key: whether it is asked for. Keys that come later are of no bucket of this view.

        Called without the lock: what a plugin asks for may take its time.
        """
        keys = self._legend.keys[:]
        mask = np.fromiter((not key.arm for key in keys), dtype=np.bool_) if is_total else np.ones(len(keys), np.bool_)
        for ask in (*self._where, *((where,) if where is not None else ())):
            mask &= np.fromiter(map(ask, keys), dtype=np.bool_, count=len(mask))
        return mask


def _cells(legend: Legend, block: Block, mask: NDArray[np.bool_]) -> list[tuple[CellKey, Cell]]:
    """The cells of a block."""
    bins: dict[int, dict[str, dict[int, int]]] = {}
    entries = zip(block.bin_keys().tolist(), block.bin_columns.tolist(), block.bin_counts.tolist(), strict=True)
    for number, column, n in entries:
        metric, k = legend.bin_columns[column]
        of_metric = bins.setdefault(number, {}).setdefault(metric, {})
        of_metric[k] = of_metric.get(k, 0) + n
    found = [(n, cell) for n, cell in zip(block.keys.tolist(), cells_of(legend, block.values), strict=True) if mask[n]]
    for n, cell in found:
        cell.bins = bins.get(n, {})
    return [(legend.keys[n], cell) for n, cell in found]


def _columns(legend: Legend, kind: str, where: Callable[[str], bool]) -> list[int]:
    return [i for i, (k, name) in enumerate(legend.columns) if k == kind and where(name)]


def _tally(legend: Legend, values: Ints) -> Ints:
    """Columns of ``tallies`` from rows of counters."""
    counted = _columns(legend, "outcomes", lambda name: name not in UNCOUNTED)
    good = _columns(legend, "outcomes", lambda name: name not in UNCOUNTED and name not in BLAMED)
    parts = [values[:, counted].sum(axis=1), values[:, good].sum(axis=1)]
    rewards = legend.judged.get(REWARD)
    for i in range(3):
        parts.append(values[:, rewards + i] if rewards is not None else np.zeros(len(values), dtype=np.int64))
    return np.stack(parts, axis=1)

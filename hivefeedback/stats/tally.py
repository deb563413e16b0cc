"""Runs that wait to be counted: many at once cost a tenth of one by one.

Counting a run into its cell touches a dozen dictionaries, which is as much as all else that is
done for it. Here runs are kept as they come, those that ended alike together, and counted together
whatever cells they belong to: the logarithms, sums and bins of a thousand runs are then a few array
operations, and what they have in common is counted once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from operator import attrgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hivefeedback.model import UNCOUNTED, Run
from hivefeedback.stats.cell import Cell, CellKey
from hivefeedback.stats.delta import Delta
from hivefeedback.stats.histogram import bins_of
from hivefeedback.stats.names import QUERY, REWARD

__all__ = ["Tally"]

_FEW = 32
"""Fewer runs are counted one by one: below that, arrays cost more than they save."""
_LONGEST = 1024
"""So many are counted at once at most, which takes about a millisecond."""
_SPAN = 1 << 24
"""Larger than the distance of any two bins, so that (cell, bin) fits into one integer."""

_METRICS = (
    ("tokens_in", 1),
    ("tokens_out", 1),
    ("cost_nusd", 1_000_000_000),
    ("ttft_us", 1_000_000),
    ("memory_kb", 1024),
)
"""Names of sums and their units, in the order of ``_VALUES`` behind the duration."""
_VALUES = attrgetter("duration_s", "tokens_in", "tokens_out", "cost_usd", "ttft_s", "memory_mb")

Column = Sequence[float | None]


_Kind = tuple[CellKey, int, str, float | None, float | None]
"""What runs have in common that are counted together: cell, minute, outcome, reward and success."""


class _Part(NamedTuple):
    """Runs of one kind."""

    key: CellKey
    bucket: int
    outcome: str
    reward: float | None
    query: float | None
    runs: Sequence[Run]


class Tally:
    """Runs with their cells; ``count_into`` empties it."""

    __slots__ = ("_n_runs", "_parts")

    def __init__(self) -> None:
        self._parts: dict[_Kind, list[Run]] = {}
        self._n_runs = 0

    def __len__(self) -> int:
        return self._n_runs

    @property
    def is_long(self) -> bool:
        """True where it should be counted now."""
        return self._n_runs >= _LONGEST

    def add(self, key: CellKey, bucket: int, run: Run, reward: float | None = None, query: float | None = None) -> None:
        """A run that belongs to the cell of that key and minute, with its reward if that is known, and
        with its success where it is a query of its own."""
        kind = (key, bucket, run.outcome, reward, query)
        try:
            self._parts[kind].append(run)
        except KeyError:
            self._parts[kind] = [run]
        self._n_runs += 1

    def add_all(
        self, key: CellKey, bucket: int, runs: Sequence[Run], reward: float | None = None, query: float | None = None
    ) -> None:
        """Runs of one cell and minute with the same outcome, reward and success; at least one."""
        self._parts.setdefault((key, bucket, runs[0].outcome, reward, query), []).extend(runs)
        self._n_runs += len(runs)

    def count_into(self, delta: Delta, pause: Callable[[], object] = lambda: None) -> None:
        """Count everything that waits.

        Args:
            delta: Where to.
            pause: Called between two metrics, a fraction of a millisecond apart, so that other threads get a turn.
        """
        parts, n_runs = [_Part(*kind, runs) for kind, runs in self._parts.items()], self._n_runs
        self._parts, self._n_runs = {}, 0
        if n_runs < _FEW:
            for part in parts:
                _count_one_by_one(part, delta)
            return
        order: dict[tuple[CellKey, int], int] = {}
        rows = [order.setdefault((part.key, part.bucket), len(order)) for part in parts]
        cells = [delta.cell(*place) for place in order]
        for row, part in zip(rows, parts, strict=True):
            _count_end(part, cells[row])
        lengths = [len(part.runs) for part in parts]
        index = np.repeat(np.array(rows, dtype=np.int64), lengths)
        durations, *columns = zip(*map(_VALUES, chain.from_iterable([part.runs for part in parts])), strict=True)
        _count_durations(durations, parts, lengths, index, cells)
        for (name, scale), found in zip(_METRICS, columns, strict=True):
            if found.count(None) < len(found):
                pause()
                _count(name, scale, np.array(found, dtype=np.float64), index, cells)


def _count_one_by_one(part: _Part, delta: Delta) -> None:
    cell = delta.cell(part.key, part.bucket)
    for run in part.runs:
        cell.add_run(run)
    _add_judgements(cell, part)


def _count_end(part: _Part, cell: Cell) -> None:
    """What the runs of a part have in common: how they ended, and what they earned."""
    n = len(part.runs)
    cell.outcomes[part.outcome] = cell.outcomes.get(part.outcome, 0) + n
    _add_judgements(cell, part)


def _add_judgements(cell: Cell, part: _Part) -> None:
    if part.reward is not None:
        cell.add_judged(REWARD, part.reward, len(part.runs))
    if part.query is not None:
        cell.add_judged(QUERY, part.query, len(part.runs))


def _count_durations(
    found: Column, parts: Sequence[_Part], lengths: Sequence[int], index: NDArray[np.int64], cells: Sequence[Cell]
) -> None:
    """How long the runs took, apart for those that were ``ok``."""
    if found.count(None) == len(found):
        return
    durations = np.array(found, dtype=np.float64)  # a missing value becomes NaN
    kinds = [0 if part.outcome == "ok" else 2 if part.outcome in UNCOUNTED else 1 for part in parts]
    if not any(kinds):
        _count("duration_us", 1_000_000, durations, index, cells)
        return
    kind = np.repeat(np.array(kinds), lengths)
    for name, wanted in (("duration_us", 0), ("other_us", 1)):
        is_such = kind == wanted
        _count(name, 1_000_000, durations[is_such], index[is_such], cells)


def _count(name: str, scale: int, values: NDArray[np.float64], index: NDArray[np.int64], cells: Sequence[Cell]) -> None:
    """One metric of all runs; where it is missing it is NaN."""
    is_there = ~np.isnan(values)
    if not is_there.all():
        values, index = values[is_there], index[is_there]
    if not len(values):
        return
    sums = np.zeros(len(cells), dtype=np.int64)
    np.add.at(sums, index, np.rint(values * scale).astype(np.int64))
    for cell, n, total in zip(cells, np.bincount(index, minlength=len(cells)).tolist(), sums.tolist(), strict=True):
        if n:
            cell.ns[name] = cell.ns.get(name, 0) + n
            cell.sums[name] = cell.sums.get(name, 0) + total
    bins = bins_of(values)
    lowest = int(bins.min())
    codes, counts = np.unique(index * _SPAN + (bins - lowest), return_counts=True)
    of_rows, of_bins = codes // _SPAN, codes % _SPAN + lowest
    last, mine = -1, {}
    for row, k, n in zip(of_rows.tolist(), of_bins.tolist(), counts.tolist(), strict=True):
        if row != last:  # they come sorted
            last, mine = row, cells[row].bins.setdefault(name, {})
        mine[k] = mine.get(k, 0) + n

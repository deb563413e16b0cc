"""Runs that wait to be counted: many at once cost a third of one by one.

Counting a run into its cell touches a dozen dictionaries, which is as much as all else that is
done for it. Here runs are kept as they come and counted together, whatever cells they belong to:
the logarithms, sums and bins of a thousand runs are then a few array operations.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from hivefeedback.model import UNCOUNTED, Run
from hivefeedback.stats.cell import JUDGED_UNIT, Cell, CellKey, Judged
from hivefeedback.stats.delta import Delta
from hivefeedback.stats.histogram import bins_of

__all__ = ["Tally"]

Place = tuple[CellKey, int]
_FEW = 48
"""Fewer runs are counted one by one: below that, arrays cost more than they save."""
_LONGEST = 1024
"""So many are counted at once at most, which takes one or two milliseconds."""
_SPAN = 1 << 24
"""Larger than the distance of any two bins, so that (cell, bin) fits into one integer."""

_METRICS: tuple[tuple[str, int, Callable[[Run], float | None]], ...] = (
    ("tokens_in", 1, attrgetter("tokens_in")),
    ("tokens_out", 1, attrgetter("tokens_out")),
    ("cost_nusd", 1_000_000_000, attrgetter("cost_usd")),
    ("ttft_us", 1_000_000, attrgetter("ttft_s")),
    ("memory_kb", 1024, attrgetter("memory_mb")),
)
_OUTCOME, _DURATION_S = attrgetter("outcome"), attrgetter("duration_s")


class Tally:
    """Runs with their cells; ``count_into`` empties it."""

    __slots__ = ("_places", "_rewards", "_runs")

    def __init__(self) -> None:
        self._places: list[Place] = []
        self._runs: list[Run] = []
        self._rewards: list[float | None] = []

    def __len__(self) -> int:
        return len(self._runs)

    @property
    def is_long(self) -> bool:
        """True where it should be counted now."""
        return len(self._runs) >= _LONGEST

    def add(self, key: CellKey, bucket: int, run: Run, reward: float | None = None) -> None:
        """A run that belongs to the cell of that key and minute, with its reward if that is known."""
        self._places.append((key, bucket))
        self._runs.append(run)
        self._rewards.append(reward)

    def count_into(self, delta: Delta, pause: Callable[[], object] = lambda: None) -> None:
        """Count everything that waits.

        Args:
            delta: Where to.
            pause: Called between two metrics, a fraction of a millisecond apart, so that other threads get a turn.
        """
        places, runs, rewards = self._places, self._runs, self._rewards
        self._places, self._runs, self._rewards = [], [], []
        if len(runs) < _FEW:
            for (key, bucket), run, reward in zip(places, runs, rewards, strict=True):
                cell = delta.cell(key, bucket)
                cell.add_run(run)
                if reward is not None:
                    cell.add_judged("reward", reward)
            return
        order: dict[Place, int] = {}
        rows = [order.setdefault(place, len(order)) for place in places]
        cells = [delta.cell(*place) for place in order]
        index = np.array(rows, dtype=np.int64)
        _count_ends(runs, rows, index, cells)
        for name, scale, value_of in _METRICS:
            pause()
            _count(name, scale, list(map(value_of, runs)), index, cells)
        pause()
        if rewards.count(None) < len(rewards):
            _judge(np.array(rewards, dtype=np.float64), index, cells)


def _count_ends(runs: Sequence[Run], rows: Sequence[int], index: NDArray[np.int64], cells: Sequence[Cell]) -> None:
    """Outcomes, and how long the runs took, apart for those that were ``ok``."""
    outcomes = list(map(_OUTCOME, runs))
    for (row, outcome), n in Counter(zip(rows, outcomes, strict=True)).items():
        counted = cells[row].outcomes
        counted[outcome] = counted.get(outcome, 0) + n
    durations: list[float | None] = list(map(_DURATION_S, runs))
    others: list[float | None] = []
    if outcomes.count("ok") < len(outcomes):
        pairs = list(zip(outcomes, durations, strict=True))
        durations = [d if outcome == "ok" else None for outcome, d in pairs]
        others = [None if outcome == "ok" or outcome in UNCOUNTED else d for outcome, d in pairs]
    _count("duration_us", 1_000_000, durations, index, cells)
    _count("other_us", 1_000_000, others, index, cells)


def _count(
    name: str, scale: int, found: Sequence[float | None], index: NDArray[np.int64], cells: Sequence[Cell]
) -> None:
    """One metric of all runs."""
    if found.count(None) == len(found):
        return
    values = np.array(found, dtype=np.float64)  # a missing value becomes NaN
    is_there = ~np.isnan(values)
    values, index = values[is_there], index[is_there]
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


def _judge(rewards: NDArray[np.float64], index: NDArray[np.int64], cells: Sequence[Cell]) -> None:
    """The rewards of all runs; a missing one is NaN by now."""
    is_there = ~np.isnan(rewards)
    units, index = np.rint(rewards[is_there] * JUDGED_UNIT).astype(np.int64), index[is_there]
    totals, squares = np.zeros(len(cells), dtype=np.int64), np.zeros(len(cells), dtype=np.int64)
    np.add.at(totals, index, units)
    np.add.at(squares, index, units * units)
    ns = np.bincount(index, minlength=len(cells)).tolist()
    for cell, n, total, square in zip(cells, ns, totals.tolist(), squares.tolist(), strict=True):
        if n:
            judged = cell.judged.setdefault("reward", Judged())
            judged.n, judged.total, judged.squares = judged.n + n, judged.total + total, judged.squares + square

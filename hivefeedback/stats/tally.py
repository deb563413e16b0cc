"""Runs that wait to be counted: many at once cost a third of one by one.

Counting a run into its cell touches a dozen dictionaries, which is as much as all else that is
done for it. Here runs are kept as they come and counted together, whatever cells they belong to:
the logarithms, sums and bins of a thousand runs are then a few array operations.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

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
"""So many are counted at once at most, which keeps other threads waiting for about a millisecond."""
_SPAN = 1 << 24
"""Larger than the distance of any two bins, so that (cell, bin) fits into one integer."""

_METRICS: tuple[tuple[str, int, Callable[[Run], float | None]], ...] = (
    ("duration_us", 1_000_000, lambda r: r.duration_s if r.outcome == "ok" else None),
    ("other_us", 1_000_000, lambda r: r.duration_s if r.outcome != "ok" and r.outcome not in UNCOUNTED else None),
    ("tokens_in", 1, lambda r: r.tokens_in),
    ("tokens_out", 1, lambda r: r.tokens_out),
    ("cost_nusd", 1_000_000_000, lambda r: r.cost_usd),
    ("ttft_us", 1_000_000, lambda r: r.ttft_s),
    ("memory_kb", 1024, lambda r: r.memory_mb),
)


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

    def count_into(self, delta: Delta) -> None:
        """Count everything that waits."""
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
        for (row, outcome), n in Counter(zip(rows, [r.outcome for r in runs], strict=True)).items():
            outcomes = cells[row].outcomes
            outcomes[outcome] = outcomes.get(outcome, 0) + n
        index = np.array(rows, dtype=np.int64)
        for name, scale, value_of in _METRICS:
            values = [value_of(r) for r in runs]
            if any(v is not None for v in values):
                _count(name, scale, np.array(values, dtype=np.float64), index, cells)
        if any(reward is not None for reward in rewards):
            _judge(np.array(rewards, dtype=np.float64), index, cells)


def _count(name: str, scale: int, values: NDArray[np.float64], index: NDArray[np.int64], cells: Sequence[Cell]) -> None:
    """One metric of all runs; a missing value is NaN by now."""
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
    for code, n in zip(codes.tolist(), counts.tolist(), strict=True):
        row, k = divmod(code, _SPAN)
        mine = cells[row].bins.setdefault(name, {})
        k += lowest
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

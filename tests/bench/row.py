"""One row of the table: a floor, ours, and their ratio."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Row", "cpu_us", "median"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A measurement.

    ``is_more_better`` turns the comparison round (throughputs). ``limit`` is the target: of the
    ratio where there is a floor, else of the value itself.
    """

    name: str
    ours: float
    unit: str
    floor: float | None = None
    floor_name: str = ""
    limit: float
    is_more_better: bool = False
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Ours over the floor."""
        return self.ours / self.floor if self.floor else None

    @property
    def is_reached(self) -> bool:
        """True where the target is reached."""
        value = self.ratio if self.ratio is not None else self.ours
        return value >= self.limit if self.is_more_better else value <= self.limit


def median(values: list[float]) -> float:
    """The median."""
    return statistics.median(values)


def cpu_us(call: Callable[[], object], *, n: int = 20_000, repeats: int = 9) -> float:
    """CPU time of this thread for one call, in µs: the best of some repeats, since noise only adds."""
    best = float("inf")
    for _ in range(repeats):
        gc.collect()
        start = time.thread_time_ns()
        for _ in range(n):
            call()
        best = min(best, (time.thread_time_ns() - start) / n / 1000)
    return best

"""How much may be asked in any hour: a number of calls, and money."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Lock
from typing import Literal

__all__ = ["Allowance", "Shortage"]

HOUR_S = 3600.0
Shortage = Literal["calls", "usd"]


class Allowance:
    """Calls and money of the last 3600 seconds, counted before they are spent. Safe from any thread.

    What a call may cost at most is taken first and settled when its cost is known, so that the sum
    never exceeds the limit as long as no call costs more than that.

    >>> allowance = Allowance(calls=2, usd=1.0, usd_per_call=0.6, clock=lambda: 0.0)
    >>> allowance.take(), allowance.take()
    (None, 'usd')
    >>> allowance.settle(0.1)
    >>> allowance.take(), allowance.take()
    (None, 'calls')

    Args:
        calls: Most calls in an hour.
        usd: Most USD in an hour.
        usd_per_call: What one call costs at most, in USD.
        clock: Seconds; only differences count.
    """

    def __init__(self, *, calls: int, usd: float, usd_per_call: float, clock: Callable[[], float]) -> None:
        self._calls, self._usd, self._usd_per_call, self._clock = calls, usd, usd_per_call, clock
        self._taken: deque[list[float]] = deque()
        self._unsettled: deque[list[float]] = deque()
        self._lock = Lock()

    def take(self) -> Shortage | None:
        """Take one call; else what there is not enough of."""
        now_s = self._clock()
        with self._lock:
            while self._taken and now_s - self._taken[0][0] >= HOUR_S:
                self._taken.popleft()
            if len(self._taken) >= self._calls:
                return "calls"
            if sum(usd for _, usd in self._taken) + self._usd_per_call > self._usd + 1e-12:
                return "usd"
            entry = [now_s, self._usd_per_call]
            self._taken.append(entry)
            self._unsettled.append(entry)
            return None

    def settle(self, usd: float | None) -> None:
        """What the oldest call that is not settled has cost; None: nobody knows, so what was taken stays."""
        with self._lock:
            entry = self._unsettled.popleft()
            if usd is not None:
                entry[1] = max(0.0, usd)

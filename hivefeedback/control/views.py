"""What the stages and the questions read: windows that are kept current, else the store itself."""

from __future__ import annotations

import threading
from collections.abc import Callable

from hivefeedback.hooks import Aggregates, Breath, FollowedAggregates
from hivefeedback.stats import View, Window

__all__ = ["Views"]

SPARE_S = 3660.0
"""Kept beyond what is asked for: a clock may go back an hour without costing a look at everything."""
TOO_LARGE_FOR_S = 3600.0
"""How long the store is read after the window had become too large."""


class Views:
    """Aggregates over any window. Safe to call from any thread.

    A window that reaches back no longer than ``keep_s`` is answered from sums in this process, in
    milliseconds; the first question reads everything and takes a second per 100 000 cells. Older
    ones, and stores that cannot say what changed, are read each time.

    Args:
        aggregates: Of the store.
        keep_s: How far back the running window reaches, in seconds.
        clock: Seconds since 1970 UTC.
    """

    def __init__(self, aggregates: Aggregates, *, keep_s: float, clock: Callable[[], float]) -> None:
        self._aggregates, self._keep_s, self._clock = aggregates, keep_s, clock
        self._window, self._lock = Window(), threading.Lock()
        self._not_before_s = float("-inf")

    def read(self, *, from_s: float, to_s: float) -> View:
        """What ``Aggregates.read`` answers.

        Raises:
            StoreError: The store could not be read.
        """
        aggregates, now_s = self._aggregates, self._clock()
        if isinstance(aggregates, FollowedAggregates) and from_s >= now_s - self._keep_s - SPARE_S:
            with self._lock:
                if self._follow(aggregates, from_s, now_s):
                    return self._window.view(from_s, to_s)
        return aggregates.read(from_s=from_s, to_s=to_s)

    def _follow(self, aggregates: FollowedAggregates, from_s: float, now_s: float) -> bool:
        """Bring the window up to date; False where it would be too large."""
        if 0 <= self._not_before_s - now_s <= TOO_LARGE_FOR_S:
            return False
        window, begin_s = self._window, now_s - self._keep_s - SPARE_S
        if from_s < window.from_s:  # nothing yet, or the clock went far back
            window.reset()
        changes = aggregates.changes(after=window.mark, from_s=begin_s)
        if not window.take_in(changes, from_s=begin_s, breath=Breath()):
            self._not_before_s = now_s + TOO_LARGE_FOR_S
            return False
        return True

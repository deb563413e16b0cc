"""A pause for the host's threads, inside long work in pure Python."""

from __future__ import annotations

import time

__all__ = ["Breath"]

WORK_S = 0.0003
PAUSE_S = 0.00005


class Breath:
    """Call it between the steps of a long loop: it sleeps for a moment after each 0.3 ms of work.

    A thread that computes keeps the interpreter's lock for up to 5 ms while others wait for it.
    The recorder and the committer breathe, and so should a store's ``commit``: then a thread of
    the host that wakes up meanwhile waits for a fraction of a millisecond.

    >>> breath = Breath()
    >>> for _ in range(3):
    ...     breath()
    """

    __slots__ = ("_until",)

    def __init__(self) -> None:
        self._until = time.perf_counter() + WORK_S

    def __call__(self) -> None:
        """Sleep, if enough work was done since the last time."""
        if time.perf_counter() >= self._until:
            time.sleep(PAUSE_S)
            self._until = time.perf_counter() + WORK_S

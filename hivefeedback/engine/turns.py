"""Runs the turn in the background."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from math import inf

from hivefeedback.recording import Counters

__all__ = ["BackgroundTurns"]


class BackgroundTurns:
    """A thread that calls ``turn`` every so often, and at once when woken, whatever happens in it.

    Args:
        turn: What is called.
        every_s: How often, in seconds.
        counters: Where failures are counted.
        lead: Takes or renews the lease between turns; True where this process leads only since now. Then
            a turn runs at once, so that the work of a leader that died waits for no other's next turn.
        lead_every_s: How often that is, in seconds; shorter than the lease.
    """

    def __init__(
        self,
        turn: Callable[[], object],
        every_s: float,
        counters: Counters,
        *,
        lead: Callable[[], bool] = lambda: False,
        lead_every_s: float = inf,
    ) -> None:
        self._turn, self._every_s, self._counters = turn, every_s, counters
        self._lead, self._lead_every_s = lead, lead_every_s
        self._wake, self._end = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="hivefeedback-turn", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Have the next turn run now; one that is running is followed by another. Never waits."""
        self._wake.set()

    def stop(self, timeout_s: float) -> bool:
        """Let the turn in progress end, at most for that long; False where it did not."""
        self._end.set()
        self._wake.set()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        due_s = time.monotonic() + self._every_s
        while True:
            self._wake.wait(min(self._lead_every_s, max(0.0, due_s - time.monotonic())))
            if self._end.is_set():
                return
            is_due = self._wake.is_set() or time.monotonic() >= due_s
            if not (is_due or self._safely(self._lead)):
                continue
            self._wake.clear()  # before the turn: what comes while it runs needs another one
            self._safely(self._turn)
            due_s = time.monotonic() + self._every_s

    def _safely(self, call: Callable[[], object]) -> object:
        try:
            return call()
        except Exception as error:  # noqa: BLE001  # background thread: the next turn may do better
            self._counters.note("turn_failed", f"{type(error).__name__}: {error}")
            return None

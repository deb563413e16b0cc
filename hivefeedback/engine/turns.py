"""Runs the turn in the background."""

from __future__ import annotations

import threading
from collections.abc import Callable

from hivefeedback.recording import Counters

__all__ = ["BackgroundTurns"]


class BackgroundTurns:
    """A thread that calls ``turn`` every so often, and at once when woken, whatever happens in it."""

    def __init__(self, turn: Callable[[], object], every_s: float, counters: Counters) -> None:
        self._turn, self._every_s, self._counters = turn, every_s, counters
        self._wake, self._end = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="hivefeedback-turn", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Have the next turn run now; one that is running is followed by another. Never waits."""
        self._wake.set()

    def stop(self, timeout_s: float) -> None:
        """Let the turn in progress end, at most for that long."""
        self._end.set()
        self._wake.set()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while True:
            self._wake.wait(self._every_s)
            if self._end.is_set():
                return
            self._wake.clear()  # before the turn: what comes while it runs needs another one
            try:
                self._turn()
            except Exception as error:  # noqa: BLE001  # background thread: the next turn may do better
                self._counters.note("turn_failed", f"{type(error).__name__}: {error}")

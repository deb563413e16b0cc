"""Runs the turn in the background."""

from __future__ import annotations

import threading
from collections.abc import Callable

from hivefeedback.recording import Counters

__all__ = ["BackgroundTurns"]


class BackgroundTurns:
    """A thread that calls ``turn`` every so often, whatever happens in it."""

    def __init__(self, turn: Callable[[], object], every_s: float, counters: Counters) -> None:
        self._turn, self._every_s, self._counters = turn, every_s, counters
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hivefeedback-turn", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Let the turn in progress end, at most for that long."""
        self._end.set()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._end.wait(self._every_s):
            try:
                self._turn()
            except Exception as error:  # noqa: BLE001  # background thread: the next turn may do better
                self._counters.note("turn_failed", f"{type(error).__name__}: {error}")

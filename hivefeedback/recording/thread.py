"""The recorder's thread: small slices, then a breath for the other threads."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from operator import itemgetter
from time import perf_counter
from typing import Protocol

from hivefeedback.hooks import Breath
from hivefeedback.model.item import Item
from hivefeedback.recording.counters import Counters
from hivefeedback.recording.recorder import Recorder

__all__ = ["RecorderThread", "Source"]

_THING = itemgetter(2)
_SLICE_S = 0.0003
"""How long a slice may take, if it holds more than ``slice_runs``."""
_LARGEST = 4
"""So many times ``slice_runs`` is the largest slice."""
log = logging.getLogger(__name__)


class Source(Protocol):
    """The ring, as the recorder sees it."""

    dropped: dict[str, int]

    def take(self, limit: int) -> list[Item]: ...

    def wait(self, timeout_s: float) -> None: ...

    def wake(self) -> None: ...


class RecorderThread:
    """Takes slices from the ring until it is stopped.

    Items whose thing is callable are markers: they run on this thread, in their turn.
    """

    def __init__(
        self, source: Source, recorder: Recorder, counters: Counters, *, slice_runs: int, clock: Callable[[], float]
    ) -> None:
        self._source, self._recorder, self._counters = source, recorder, counters
        self._slice_runs, self._clock = slice_runs, clock
        self._limit = slice_runs
        self._is_stopping = False
        self._breath = Breath()
        self._thread = threading.Thread(target=self._run, name="hivefeedback-recorder", daemon=True)

    def start(self) -> None:
        """Begin to learn."""
        self._thread.start()

    @property
    def is_current(self) -> bool:
        """True on the recorder's own thread."""
        return threading.current_thread() is self._thread

    def stop(self, timeout_s: float) -> bool:
        """Learn what is in the ring and end; False where that took too long."""
        self._is_stopping = True
        self._source.wake()
        if self._thread.is_alive() and not self.is_current:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            items = self._source.take(self._limit)
            try:
                if items:
                    self._work(items)
                elif self._is_stopping:
                    self._recorder.note_dropped(self._source.dropped)
                    self._recorder.hand_over(self._clock(), is_final=True)
                    return
                else:
                    self._idle()
            except Exception as error:  # background thread: it must go on whatever an item holds
                self._counters.note("recorder_errors", f"{type(error).__name__}: {error}")
                log.debug("recorder", exc_info=True)

    def _work(self, items: list[Item]) -> None:
        if any(map(callable, map(_THING, items))):
            self._work_with_markers(items)
        else:
            start_s = perf_counter()
            self._recorder.process(items)
            self._adapt(len(items), perf_counter() - start_s)
        if not self._is_stopping:
            self._breath()

    def _adapt(self, n_items: int, took_s: float) -> None:
        """Runs that are quickly learnt come in larger slices: what counts is how long others wait."""
        fits = int(n_items * _SLICE_S / took_s) if took_s > 0.0 else self._limit
        self._limit = max(self._slice_runs, min(fits, 2 * self._limit, _LARGEST * self._slice_runs))

    def _work_with_markers(self, items: list[Item]) -> None:
        batch: list[Item] = []
        for item in items:
            if callable(item[2]):
                if batch:
                    self._recorder.process(batch)
                    batch = []
                self._mark(item[2])
            else:
                batch.append(item)
        if batch:
            self._recorder.process(batch)

    def _mark(self, call: Callable[[], object]) -> None:
        """A marker in its turn; what is behind it in the slice is not lost where it fails."""
        try:
            call()
        except Exception as error:  # noqa: BLE001  # background thread: it must go on
            self._counters.note("recorder_errors", f"{type(error).__name__}: {error}")

    def _idle(self) -> None:
        now_s = self._clock()
        self._recorder.note_dropped(self._source.dropped)
        self._recorder.tick(now_s)
        self._source.wait(self._recorder.idle_s(now_s))

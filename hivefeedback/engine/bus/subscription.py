"""One subscriber: what waits for it, what it was told, and what it failed on."""

from __future__ import annotations

import inspect
import itertools
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Literal, Protocol

from hivefeedback.engine.bus.wanted import Wanted
from hivefeedback.errors import InvalidInputError
from hivefeedback.model import Event
from hivefeedback.recording import Counters

__all__ = ["ATTEMPTS", "Failed", "Source", "Subscription", "Waiting", "name_of"]

log = logging.getLogger(__name__)

ATTEMPTS = 3
"""How often a subscriber is told an event on which it fails."""
_AGAIN_S = (0.05, 0.2)

Failed = Callable[[str, Event, str], None]
"""Told of an event that a subscriber failed on: its name, the event, the reason."""


class Source(Protocol):
    """Where a subscriber's events come from."""

    def put(self, events: Sequence[Event]) -> int:
        """Events of a commit, on the thread that learns; answers how many there was no room for."""

    def take(self) -> Iterator[tuple[int, Event]]:
        """What there is now, each with its position in the log, or 0."""

    def clear(self) -> int:
        """Forget what waits in memory; answers how many."""


class Waiting:
    """What waits for a subscriber in memory, up to a bound. One writer, one reader, no lock.

    >>> waiting = Waiting(2)
    >>> waiting.put(["a", "b", "c"]), list(waiting.take())
    (1, [(0, 'a'), (0, 'b')])
    """

    def __init__(self, size: int) -> None:
        self._size, self._n_put, self._n_taken = size, 0, 0
        self._batches: deque[Sequence[Event]] = deque()

    def put(self, events: Sequence[Event]) -> int:
        """See ``Source``."""
        room = self._size - (self._n_put - self._n_taken)
        kept = events if len(events) <= room else events[: max(0, room)]
        if kept:
            self._n_put += len(kept)
            self._batches.append(kept)
        return len(events) - len(kept)

    def take(self) -> Iterator[tuple[int, Event]]:
        """See ``Source``. What comes meanwhile is left for the next call."""
        for _ in range(len(self._batches)):
            for event in self._batches.popleft():
                self._n_taken += 1
                yield 0, event

    def clear(self) -> int:
        """See ``Source``."""
        self._batches.clear()
        n, self._n_taken = self._n_put - self._n_taken, self._n_put
        return n


class Subscription:
    """What ``loop.subscribe`` answers; ``close`` it, or use it as a context manager.

    A subscriber that is slow loses events, counted in ``n_dropped``, those among them that it would not
    have wanted, since they are looked at on its own thread; one that raises is told the event
    up to three times, then the event is a dead letter; one that fails on several events in a row is
    quarantined. Nobody else waits for it.
    """

    def __init__(
        self,
        fn: Callable[[Event], object],
        wanted: Wanted,
        source: Source,
        *,
        name: str,
        max_errors: int,
        on_failed: Failed,
        counters: Counters,
    ) -> None:
        _check_callable(fn)
        self._fn, self._wanted, self._source = fn, wanted, source
        self._max_errors, self._on_failed, self._counters = max_errors, on_failed, counters
        self._wake, self._end = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._is_busy = self._is_finishing = False
        self._n_failed_in_row = 0
        self.name, self.follows_log = name, False
        self.state: Literal["open", "closed", "quarantined"] = "open"
        self.position = 0
        """Of one that follows the log: the event that it was told last. Keep it to go on from there."""
        self.n_delivered = 0
        self.n_dropped = 0
        self.n_failed = 0
        self.last_error = ""

    # --- the threads of the loop ------------------------------------------------------------------

    def put(self, events: Sequence[Event]) -> None:
        """Events of a commit."""
        if self.state != "open":
            return
        self._drop(self._source.put(events))
        self._wake.set()

    def _drop(self, n: int) -> None:
        if n:
            self.n_dropped += n
            self._counters.note("subscriber_dropped", f"{self.name} is too slow; events are not told to it", n)

    def start(self, every_s: float | None) -> None:
        """Deliver on a thread of its own; ``every_s``: look also without being told that there is something."""
        self._wake, self._end = threading.Event(), threading.Event()
        self._wake.set()
        self._thread = threading.Thread(
            target=self._run, args=(every_s,), name=f"hivefeedback-subscriber-{self.name}"[:60], daemon=True
        )
        self._thread.start()

    def _run(self, every_s: float | None) -> None:
        while self.state == "open":
            if not self._is_finishing:
                self._wake.wait(every_s)
            self._wake.clear()
            is_last = self._is_finishing
            self.deliver()
            if is_last:
                return

    def deliver(self) -> None:
        """Tell the subscriber what there is now, on this thread."""
        if self._is_busy:  # it does something that leads here; what comes of that is told next time
            return
        self._is_busy = True
        try:
            for position, event in self._source.take():
                if self.state != "open":
                    return
                if not self._has_told(event):
                    return
                self.position = position or self.position
        except Exception as error:  # noqa: BLE001  # background thread: the store may be broken in any way
            self._counters.note("store_errors", f"{self.name}: {type(error).__name__}: {error}")
        finally:
            self._is_busy = False

    def _has_told(self, event: Event) -> bool:
        """Tell it, or make it a dead letter; False where it was closed in between."""
        reason = ""
        for attempt in range(ATTEMPTS):
            try:
                if self._wanted.has(event):
                    self._fn(event)
                    self.n_delivered += 1
                    self._n_failed_in_row = 0
                return True
            except Exception as error:  # noqa: BLE001  # the plugin guard: a subscriber is a stranger's code
                reason = f"{type(error).__name__}: {error}"[:500]
            if self._thread is not None and attempt < len(_AGAIN_S):
                self._end.wait(_AGAIN_S[attempt])
            if self.state != "open":
                return False
        self._fail(event, reason)
        return True

    def _fail(self, event: Event, reason: str) -> None:
        self.n_failed += 1
        self._n_failed_in_row += 1
        self.last_error = reason
        self._counters.note("subscriber_failed", f"{self.name}: {reason}")
        self._on_failed(self.name, event, reason)
        if self._n_failed_in_row >= self._max_errors:
            self.state = "quarantined"
            self._counters.note("subscriber_quarantined", f"{self.name} failed on {self._n_failed_in_row} in a row")
            log.warning("subscriber %r is quarantined: %s; mend it and subscribe anew", self.name, reason)

    def renew(self) -> None:
        """In a forked child: the thread is gone, and what waited is told by the parent."""
        self._is_busy = False
        self._source.clear()
        if self._thread is not None:
            self.start(None)

    def finish(self, timeout_s: float) -> None:
        """Tell it what waits, then nothing more; at most for that long."""
        self._is_finishing = True
        self._wake.set()
        if self._thread is None:
            self.deliver()
        elif self._thread is not threading.current_thread():
            self._thread.join(timeout_s)
        self.close(0.0)
        self._drop(self._source.clear())

    # --- the application --------------------------------------------------------------------------

    def tell(self, event: Event) -> None:
        """Tell the subscriber one event, on this thread; raises what it raises."""
        self._fn(event)

    def close(self, timeout_s: float = 1.0) -> None:
        """Tell it nothing more; waits for the call in progress, at most ``timeout_s`` seconds. Again: nothing."""
        if self.state == "open":
            self.state = "closed"
        self._end.set()
        self._wake.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)

    def __enter__(self) -> Subscription:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


_numbers = itertools.count(1)


def name_of(fn: object, given: str) -> str:
    """The name of a subscriber: the given one, or what its function is called."""
    return given or f"{getattr(fn, '__qualname__', type(fn).__name__).rpartition('.')[2]}-{next(_numbers)}"


def _check_callable(fn: object) -> None:
    if not callable(fn):
        raise InvalidInputError(f"{fn!r:.100} cannot be called; expected a function of one event")
    if inspect.iscoroutinefunction(fn):
        raise InvalidInputError(
            f"{fn!r:.100} is async; use: async with loop.events() as events: async for event in events"
        )

"""Events for coroutines: ``async with loop.events() as events: async for event in events``."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from types import TracebackType

from hivefeedback.engine.bus.bus import Bus
from hivefeedback.engine.bus.subscription import Waiting
from hivefeedback.engine.bus.wanted import Wanted
from hivefeedback.model import Event
from hivefeedback.recording import Counters

__all__ = ["EventStream"]


class EventStream:
    """An asynchronous iterator over what is learnt from when it is entered until it is left or the loop closes.

    Whoever reads slower than events come loses some, counted in ``n_dropped``. What ``where`` raises is
    raised where the events are read.
    """

    def __init__(self, bus: Bus, wanted: Wanted, counters: Counters, *, size: int) -> None:
        self._bus, self._wanted, self._counters = bus, wanted, counters
        self._waiting = Waiting(size)
        self._ready: deque[Event] = deque()
        self._is_over = False
        self.n_dropped = 0

    async def __aenter__(self) -> EventStream:
        self._loop, self._wake = asyncio.get_running_loop(), asyncio.Event()
        self._bus.listen(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish()

    def put(self, events: Sequence[Event]) -> None:
        """Events of a commit, on the thread that learns."""
        n_lost = self._waiting.put(events)
        if n_lost:
            self.n_dropped += n_lost
            self._counters.note("subscriber_dropped", "an event stream is read too slowly", n_lost)
        self._rouse()

    def finish(self, timeout_s: float = 0.0) -> None:
        """Nothing more comes; what is there can still be read."""
        self._is_over = True
        self._bus.leave(self)
        self._rouse()

    def _rouse(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._wake.set)
        except RuntimeError:  # the event loop was closed, so nobody reads any more
            self._is_over = True
            self._bus.leave(self)

    def __aiter__(self) -> EventStream:
        return self

    async def __anext__(self) -> Event:
        while not self._ready:
            is_over = self._is_over  # asked before, so that what came in meanwhile is read
            self._ready += [event for _, event in self._waiting.take() if self._wanted.has(event)]
            if self._ready:
                break
            if is_over:
                raise StopAsyncIteration
            await self._wake.wait()
            self._wake.clear()
        return self._ready.popleft()

"""The memory store: nothing outlives the process. For tests, trials and loops that may forget.

``memory://`` is a store of its own at each open; all opens of ``memory://name`` in one process
share one, for the life of the process.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from hivefeedback.hooks import Aggregates, Commit, Config, EventLog, Journal, State
from hivefeedback_stores.rules import closed, read_only_error
from hivefeedback_stores.shelf import Shelf
from hivefeedback_stores.shelf_events import Events
from hivefeedback_stores.shelf_parts import ShelfAggregates, ShelfConfig, ShelfJournal, ShelfLog, ShelfState
from hivefeedback_stores.urls import name_of

__all__ = ["MAX_EVENTS", "MemoryStore"]

MAX_EVENTS = 200_000
"""Events that are kept, the newest: some 150 MB, which a process that never ends can afford."""


class _Room:
    """A shelf and its lock; the lock is new after a fork, since its holder is not in the child."""

    def __init__(self) -> None:
        self.shelf = Shelf(events=Events(MAX_EVENTS))
        self._lock, self._pid = threading.RLock(), os.getpid()

    @property
    def lock(self) -> threading.RLock:
        if self._pid != os.getpid():
            self._lock, self._pid = threading.RLock(), os.getpid()
        return self._lock


_named: dict[str, _Room] = {}
_naming = threading.Lock()


def _room_of(name: str) -> _Room:
    if not name:
        return _Room()
    with _naming:
        return _named.setdefault(name, _Room())


class _Access:
    """The shelf of a room, under its lock."""

    def __init__(self, url: str, read_only: bool) -> None:
        self._room, self._url, self._read_only = _room_of(name_of(url)), url, read_only
        self.is_closed = False

    @contextmanager
    def read(self) -> Iterator[Shelf]:
        if self.is_closed:
            raise closed(self._url)
        with self._room.lock:
            yield self._room.shelf

    @contextmanager
    def write(self) -> Iterator[Shelf]:
        if self._read_only:
            raise read_only_error(self._url)
        with self.read() as shelf:
            yield shelf


class MemoryStore:
    """A store in this process's memory.

    Args:
        url: ``memory://`` or ``memory://name``.
        read_only: Refuse writes.
        clock: Seconds since 1970 UTC, for the expiry of records.
        monotonic: Seconds that never go back, for the lease.

    >>> store = MemoryStore("memory://")
    >>> store.journal.head()
    0
    """

    commit_every_s = 0.1

    def __init__(
        self,
        url: str = "memory://",
        *,
        read_only: bool = False,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.url = url
        self._access, self._clock = _Access(url, read_only), clock
        self.log: EventLog = ShelfLog(self._access)
        self.aggregates: Aggregates = ShelfAggregates(self._access)
        self.journal: Journal = ShelfJournal(self._access)
        self.config: Config = ShelfConfig(self._access, monotonic)
        self.state: State = ShelfState(self._access, clock)

    def commit(self, commit: Commit) -> None:
        """Apply a commit, all or nothing, once."""
        with self._access.write() as shelf:
            shelf.apply(commit, self._clock())

    def check(self) -> Sequence[str]:
        """Nothing can be wrong with what no file holds."""
        with self._access.read():
            return ()

    def close(self) -> None:
        """Forget the store, if it has no name; further calls raise ClosedError."""
        self._access.is_closed = True

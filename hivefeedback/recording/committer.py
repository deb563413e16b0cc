"""Writes commits to the store, looks up runs of late feedback, follows the journal.

A thread of its own, so that learning never waits for a slow store. What cannot be written is
kept up to a bound and tried again; beyond the bound it is dropped, counted and named.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from math import isfinite
from typing import Protocol

import msgspec

from hivefeedback.errors import StoreError
from hivefeedback.hooks import Commit, Store
from hivefeedback.model import Event, Feedback, encode_event
from hivefeedback.recording.counters import Counters
from hivefeedback.recording.lookup import Found, look_up

__all__ = ["Committer", "Observer", "write"]

log = logging.getLogger(__name__)

_MAX_JOBS = 1000
"""Commits beyond that are added to the last one that waits."""
_RETRY_S = (0.05, 0.2, 0.5, 1.0, 2.0)


def write(store: Store, commit: Commit, counters: Counters) -> None:
    """Apply a commit; an event that the store refuses for good is dropped, counted and named.

    Raises:
        StoreError: The store could not do it now.
    """
    try:
        store.commit(commit)
    except StoreError:
        raise
    except Exception as error:  # noqa: BLE001  # background thread: one bad event must not hold up the rest
        counters.note("commits_refused", f"{type(error).__name__}: {error}")
        good = [event for event in commit.events if _is_writable(event)]
        counters["events_unwritable"] += len(commit.events) - len(good)
        store.commit(msgspec.structs.replace(commit, events=good))


def _is_writable(event: Event) -> bool:
    """True for valid text and finite numbers; JSON has no others."""
    try:
        times = (event.event_time_s, event.ingest_time_s, event.sample_rate)
        value = getattr(event.body, "value", 0.0)
        encode_event(event).decode("utf-8")
        return all(map(isfinite, times)) and (value is None or isfinite(value))
    except (TypeError, ValueError, OverflowError, msgspec.MsgspecError):
        return False


class Observer(Protocol):
    """What the committer tells the loop."""

    def on_poll(self) -> None:
        """Time to look for a new configuration."""

    def on_found(self, feedback_event: Event, found: Found) -> None:
        """A lookup's answer."""


class Committer:
    """The store's thread.

    Args:
        store: Where to.
        observer: Told of polls and lookups.
        counters: Where lost events and errors are counted.
        max_events: Events that may wait.
        poll_every_s: Time between two looks at the journal.
    """

    def __init__(
        self, store: Store, observer: Observer, counters: Counters, *, max_events: int, poll_every_s: float
    ) -> None:
        self._store, self._observer, self._counters = store, observer, counters
        self._max_events, self._poll_every_s = max_events, poll_every_s
        self._jobs: deque[Commit | Event | threading.Event] = deque()
        self._in_work: Commit | Event | threading.Event | None = None
        self._lock = threading.Lock()
        self._n_waiting = 0
        self._wake = threading.Event()
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name="hivefeedback-committer", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def send(self, commit: Commit) -> None:
        """Take a commit; never waits."""
        n_events = len(commit.events)
        with self._lock:
            is_full = self._n_waiting + n_events > self._max_events
            if is_full or len(self._jobs) >= _MAX_JOBS:
                if n_events:
                    self._counters.note("events_uncommitted", "the store is too slow or gone; events are lost")
                    self._counters["events_uncommitted"] += n_events - 1
                commit, n_events = msgspec.structs.replace(commit, events=()), 0  # sums are small: keep them
                if self._has_joined_last(commit):
                    return
            self._n_waiting += n_events
            self._jobs.append(commit)
        self._wake.set()

    @property
    def n_waiting(self) -> int:
        """Commits and lookups that wait."""
        return len(self._jobs)

    def _has_joined_last(self, commit: Commit) -> bool:
        """Add a commit's sums to the one that was sent last, so that a store that stays away does not fill
        the memory; False where that one is being written."""
        last = self._jobs[-1] if self._jobs else None
        if not isinstance(last, Commit) or last is self._in_work:
            return False
        last.delta.merge(commit.delta)
        records = {(r.namespace, r.key): r for r in (*last.records, *commit.records)}
        self._jobs[-1] = msgspec.structs.replace(last, records=list(records.values()))
        return True

    def look_up(self, feedback_event: Event) -> None:
        """Ask for the run of late feedback; never waits."""
        if len(self._jobs) < self._max_events:
            self._jobs.append(feedback_event)
            self._wake.set()
        else:
            self._counters.note("lookups_dropped", "the store is too slow; feedback on old runs is not joined")

    def mark(self, done: threading.Event) -> None:
        """Set ``done`` when everything sent so far is written."""
        self._jobs.append(done)
        self._wake.set()

    def stop(self, timeout_s: float) -> bool:
        """Write what waits and end; False where that took too long."""
        self._is_stopping = True
        self._wake.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        next_poll = 0.0
        while True:
            self._wake.wait(max(0.0, next_poll - time.monotonic()) if not self._jobs else 0.0)
            self._wake.clear()
            while self._jobs:
                with self._lock:
                    job = self._in_work = self._jobs[0]
                self._do(job)
                with self._lock:
                    self._jobs.popleft()
                    self._in_work = None
                    if isinstance(job, Commit):
                        self._n_waiting -= len(job.events)
                if time.monotonic() >= next_poll:
                    break
            if self._is_stopping and not self._jobs:
                return
            if time.monotonic() >= next_poll and not self._is_stopping:
                next_poll = time.monotonic() + self._poll_every_s
                self._safely(self._observer.on_poll)

    def _do(self, job: Commit | Event | threading.Event) -> None:
        if isinstance(job, Commit):
            self._commit(job)
        elif isinstance(job, threading.Event):
            job.set()
        else:
            self._safely(lambda: self._find(job))

    def _find(self, event: Event) -> None:
        feedback = event.body
        if isinstance(feedback, Feedback):
            self._observer.on_found(event, look_up(self._store, feedback))

    def _commit(self, commit: Commit) -> None:
        """Write until it works; the number makes a repeat harmless."""
        attempt = 0
        while True:
            try:
                write(self._store, commit, self._counters)
                return
            except Exception as error:  # noqa: BLE001  # background thread: the store may be broken in any way
                self._counters.note("store_errors", f"{type(error).__name__}: {error}")
                is_hopeless = self._is_stopping or not isinstance(error, StoreError)  # no store's own word
                if is_hopeless and attempt >= len(_RETRY_S):
                    self._counters["events_uncommitted"] += len(commit.events)
                    return
                self._pause(_RETRY_S[min(attempt, len(_RETRY_S) - 1)])
                attempt += 1

    def _pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self._is_stopping and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 0.1))
        if self._is_stopping:
            time.sleep(0.02)

    def _safely(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001  # background thread: it must go on
            self._counters.note("store_errors", f"{type(error).__name__}: {error}")

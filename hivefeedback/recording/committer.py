"""Writes commits to the store, asks it what the recorder wants to know, follows the journal.

A thread of its own, so that learning never waits for a slow store. What cannot be written is
kept up to a bound and tried again; beyond the bound it is dropped, counted and named.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from math import isfinite
from typing import Protocol

import msgspec
from msgspec import Struct

from hivefeedback.errors import StoreError
from hivefeedback.hooks import Commit, Store
from hivefeedback.model import Event, Run, encode_event
from hivefeedback.recording.counters import Counters
from hivefeedback.recording.feedback.lookup import recorded
from hivefeedback.recording.telling import tell_saved

__all__ = ["Committer", "Observer", "Outgoing", "write"]

log = logging.getLogger(__name__)

_MAX_COMMITS = 1000
"""Of commits beyond that only the sums are kept."""
_TOGETHER = 4096
"""Events up to which commits that wait are written as one."""
_MAX_BYTES = 256 << 20
_RETRY_S = (0.05, 0.2, 0.5, 1.0, 2.0)


class Outgoing(Struct):
    """A commit on its way.

    Args:
        commit: What is to be written.
        given: Ids of its runs that the application gave; the log may hold them already, from before
            a restart. Empty once that was looked up.
        n_bytes: Size of its free texts, which the number of events says nothing about.
        repeated: Runs whose id the log held already: they were taken out.
        n_given: Commits in it whose sender waits to hear of that.
    """

    commit: Commit
    given: tuple[str, ...] = ()
    n_bytes: int = 0
    repeated: list[Event] = msgspec.field(default_factory=list)
    n_given: int = 0

    def __post_init__(self) -> None:
        self.n_given = int(bool(self.given))


def write(store: Store, outgoing: Outgoing, counters: Counters) -> None:
    """Apply a commit; an event that the store refuses for good is dropped, counted and named.

    Raises:
        StoreError: The store could not do it now.
    """
    _drop_repeated(store, outgoing, counters)
    commit = outgoing.commit
    try:
        store.commit(commit)
    except StoreError:
        raise
    except Exception as error:  # noqa: BLE001  # background thread: one bad event must not hold up the rest
        counters.note("commits_refused", f"{type(error).__name__}: {error}")
        good = [event for event in commit.events if _is_writable(event)]
        counters["events_unwritable"] += len(commit.events) - len(good)
        commit = outgoing.commit = msgspec.structs.replace(commit, events=good)  # a retry counts none twice
        store.commit(commit)
    tell_saved(store, commit)


def _drop_repeated(store: Store, outgoing: Outgoing, counters: Counters) -> None:
    """Take out runs whose given id the log holds. Looked up once, before the first try: after it the
    log may hold them by this very commit. Two processes that are given one id at the same moment
    both count it."""
    if not outgoing.given:
        return
    known, outgoing.given = recorded(store.log, outgoing.given), ()
    if not known:
        return
    commit = outgoing.commit
    outgoing.repeated = [e for e in commit.events if e.event_id in known and isinstance(e.body, Run)]
    events = [e for e in commit.events if not (e.event_id in known and isinstance(e.body, Run))]
    outgoing.commit = msgspec.structs.replace(commit, events=events)
    for event in outgoing.repeated:
        counters.note("duplicate_run", f"run_id {event.event_id!r} is in the log already; the first one counts")


def _is_writable(event: Event) -> bool:
    """True for valid text and finite numbers; JSON has no others."""
    try:
        times = (event.event_time_s, event.ingest_time_s, event.sample_rate)
        value = getattr(event.body, "value", 0.0)
        encode_event(event).decode("utf-8")
        return all(map(isfinite, times)) and (value is None or isfinite(value))
    except (TypeError, ValueError, OverflowError, msgspec.MsgspecError):
        return False


def _fit(last: Outgoing, outgoing: Outgoing) -> bool:
    return len(last.commit.events) + len(outgoing.commit.events) <= _TOGETHER


def _join(last: Outgoing, outgoing: Outgoing) -> None:
    """Add a commit to the one before it: a store that is slow is slow for each commit, however small, and one
    that stays away must not fill the memory with sums."""
    commit = outgoing.commit
    last.commit.delta.merge(commit.delta)
    records = {(r.namespace, r.key): r for r in (*last.commit.records, *commit.records)}
    events = [*last.commit.events, *commit.events]
    last.commit = msgspec.structs.replace(last.commit, events=events, records=list(records.values()))
    last.given += outgoing.given
    last.n_bytes += outgoing.n_bytes
    last.n_given += outgoing.n_given


class Observer(Protocol):
    """What the committer tells the loop."""

    def on_poll(self) -> None:
        """Time to look for a new configuration."""

    def on_checked(self, repeated: Sequence[Event]) -> None:
        """A commit with given ids was written; these runs were in the log already."""


_Job = Outgoing | threading.Event | Callable[[], object]


class Committer:
    """The store's thread.

    Args:
        store: Where to.
        observer: Told of polls, and of runs that were in the log already.
        counters: Where lost events and errors are counted.
        max_events: Events that may wait.
        max_bytes: Free text that may wait with them.
        poll_every_s: Time between two looks at the journal.
    """

    def __init__(
        self,
        store: Store,
        observer: Observer,
        counters: Counters,
        *,
        max_events: int,
        poll_every_s: float,
        max_bytes: int = _MAX_BYTES,
    ) -> None:
        self._store, self._observer, self._counters = store, observer, counters
        self._max_events, self._max_bytes, self._poll_every_s = max_events, max_bytes, poll_every_s
        self._jobs: deque[_Job] = deque()
        self._in_work: _Job | None = None
        self._lock = threading.Lock()
        self._n_waiting = self._n_bytes = self._n_commits = 0
        self._wake = threading.Event()
        self._next_poll = 0.0
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name="hivefeedback-committer", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def send(self, commit: Commit, given: Sequence[str] = (), n_bytes: int = 0) -> bool:
        """Take a commit, with the ids of its runs that were given and the size of its texts; never waits.
        False where it is written together with the one before it, under that one's number."""
        outgoing = Outgoing(commit, tuple(given), n_bytes)
        with self._lock:
            is_full = self._is_full(outgoing)
            if is_full:
                self._lose_events(outgoing)
            self._n_waiting += len(outgoing.commit.events)
            self._n_bytes += outgoing.n_bytes
            last = self._jobs[-1] if self._jobs else None
            if isinstance(last, Outgoing) and last is not self._in_work and (is_full or _fit(last, outgoing)):
                _join(last, outgoing)
                return False
            self._jobs.append(outgoing)
            self._n_commits += 1
        self._wake.set()
        return True

    def _is_full(self, outgoing: Outgoing) -> bool:
        n_events, n_bytes = self._n_waiting + len(outgoing.commit.events), self._n_bytes + outgoing.n_bytes
        return n_events > self._max_events or n_bytes > self._max_bytes or self._n_commits >= _MAX_COMMITS

    def _lose_events(self, outgoing: Outgoing) -> None:
        """Sums are small: they are kept."""
        n_events = len(outgoing.commit.events)
        if n_events:
            self._counters.note("events_uncommitted", "the store is too slow or gone; events are lost", n_events)
        outgoing.commit = msgspec.structs.replace(outgoing.commit, events=())
        outgoing.given, outgoing.n_bytes = (), 0

    def do(self, call: Callable[[], object]) -> bool:
        """Ask the store something in its turn; never waits. False where too much waits already."""
        if len(self._jobs) >= self._max_events:
            self._counters.note("lookups_dropped", "the store is too slow; feedback on old runs is not joined")
            return False
        self._jobs.append(call)
        self._wake.set()
        return True

    def mark(self, done: threading.Event) -> None:
        """Set ``done`` when everything sent so far is written."""
        self._jobs.append(done)
        self._wake.set()

    def look(self) -> None:
        """Look at the journal as soon as what waits is written, not only at the next poll; never waits."""
        self._next_poll = 0.0
        self._wake.set()

    def stop(self, timeout_s: float) -> bool:
        """Write what waits and end; False where that took too long."""
        self._is_stopping = True
        self._wake.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            self._wake.wait(max(0.0, self._next_poll - time.monotonic()) if not self._jobs else 0.0)
            self._wake.clear()
            while self._jobs:
                self.do_next()
                if time.monotonic() >= self._next_poll:
                    break
            if self._is_stopping and not self._jobs:
                return
            if time.monotonic() >= self._next_poll and not self._is_stopping:
                self._next_poll = time.monotonic() + self._poll_every_s
                self._safely(self._observer.on_poll)

    def do_next(self) -> bool:
        """Do the next job, if any: on this thread, or once it has ended on whoever ends it."""
        with self._lock:
            if not self._jobs:
                return False
            job = self._in_work = self._jobs[0]
        if isinstance(job, Outgoing):
            n_events, n_bytes = len(job.commit.events), job.n_bytes
            self._commit(job)
        elif isinstance(job, threading.Event):
            job.set()
        else:
            self._safely(job)
        with self._lock:
            self._jobs.popleft()
            self._in_work = None
            if isinstance(job, Outgoing):
                self._n_commits -= 1
                self._n_waiting -= n_events
                self._n_bytes -= n_bytes
        return True

    def _commit(self, outgoing: Outgoing) -> None:
        """Write until it works; the number makes a repeat harmless."""
        attempt = 0
        while True:
            try:
                write(self._store, outgoing, self._counters)
                break
            except Exception as error:  # noqa: BLE001  # background thread: the store may be broken in any way
                self._counters.note("store_errors", f"{type(error).__name__}: {error}")
                is_hopeless = self._is_stopping or not isinstance(error, StoreError)  # no store's own word
                if is_hopeless and attempt >= len(_RETRY_S):
                    self._counters["events_uncommitted"] += len(outgoing.commit.events)
                    break
                self._pause(_RETRY_S[min(attempt, len(_RETRY_S) - 1)])
                attempt += 1
        for _ in range(outgoing.n_given):
            repeated, outgoing.repeated = outgoing.repeated, []
            self._observer.on_checked(repeated)

    def _pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self._is_stopping and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 0.1))
        if self._is_stopping:
            time.sleep(0.02)

    def _safely(self, call: Callable[[], object]) -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001  # background thread: it must go on
            self._counters.note("store_errors", f"{type(error).__name__}: {error}")

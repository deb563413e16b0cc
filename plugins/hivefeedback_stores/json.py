"""The JSON store: one file that people can read, for small set-ups.

Each write takes a lock file, reads what others wrote, merges, writes a temporary file, syncs it
and puts it in the place of the old one: a killed process or a power cut leaves the old or the new
file, never a broken one, and several processes lose nothing to each other. Since each commit
writes the whole file, the recorder gathers for a second (``commit_every_s``).

It keeps a short log, the newest 1000 runs of each deployment, so it offers no replay; aggregates,
journal and records are kept in full. A file that cannot be read is never overwritten.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hivefeedback.errors import StoreUnreachableError
from hivefeedback.hooks import Aggregates, Commit, Config, EventLog, Journal, State
from hivefeedback.model import Control, Run
from hivefeedback_stores.json_file import read_shelf, written_shelf
from hivefeedback_stores.rules import closed, read_only_error
from hivefeedback_stores.shelf import Shelf
from hivefeedback_stores.shelf_events import Events
from hivefeedback_stores.shelf_parts import ShelfAggregates, ShelfConfig, ShelfJournal, ShelfLog, ShelfState
from hivefeedback_stores.urls import path_of

__all__ = ["MAX_RUNS", "JsonStore"]

MAX_RUNS = 1000
"""Newest runs of each deployment that the log keeps; so many decisions, feedback and scores for each, and so many
events that the loop made itself."""
_Signature = tuple[int, int, int, bytes]


class _Access:
    """The shelf of a file: read again when the file changed, written when a change ends."""

    def __init__(self, url: str, path: Path, *, read_only: bool, lock_timeout_s: float) -> None:
        self._url, self._path, self._read_only, self._lock_timeout_s = url, path, read_only, lock_timeout_s
        self._shelf, self._revision = Shelf(), 0
        self._signature: _Signature | None = None
        self._lock, self._pid = threading.RLock(), os.getpid()
        self.is_closed = False

    def prepare(self) -> None:
        """Make the folder and the file, or see that a file to read is there."""
        if self._read_only:
            if not self._path.is_file():
                what = "is a folder" if self._path.is_dir() else "does not exist"
                raise StoreUnreachableError(f"{self._path} {what}; check the store's URL {self._url}")
            with self.read():
                return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreUnreachableError(f"the folder of {self._path} cannot be made: {error}") from error
        with self.write():
            pass  # an unwritable folder is told at the start, not at the first commit

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if self._pid != os.getpid():  # after a fork the lock's holder may not be here
            self._lock, self._pid = threading.RLock(), os.getpid()
        with self._lock:
            if self.is_closed:
                raise closed(self._url)
            yield

    @contextmanager
    def read(self) -> Iterator[Shelf]:
        with self._alone():
            self._refresh()
            yield self._shelf

    @contextmanager
    def write(self) -> Iterator[Shelf]:
        if self._read_only:
            raise read_only_error(self._url)
        with self._alone(), self._locked_file():
            self._refresh()
            try:
                yield self._shelf
                self._save()
            except BaseException:
                self._signature = None  # the shelf may be half changed: read it again
                self._shelf = Shelf()
                raise

    @contextmanager
    def _locked_file(self) -> Iterator[None]:
        from filelock import FileLock, Timeout

        lock = FileLock(f"{self._path}.lock", timeout=self._lock_timeout_s)
        try:
            lock.acquire()
        except Timeout as error:
            raise StoreUnreachableError(
                f"{self._path} was locked by another program for {self._lock_timeout_s:g} s; close it or try again"
            ) from error
        except OSError as error:
            raise StoreUnreachableError(
                f"{self._path}.lock cannot be made: {error}; check the folder's rights"
            ) from error
        try:
            yield
        finally:
            lock.release()

    def _refresh(self) -> None:
        try:
            with self._path.open("rb") as file:
                signature = _signature(file.fileno())
                if signature == self._signature:
                    return
                data = file.read()
        except FileNotFoundError:
            data, signature = b"", None
        except OSError as error:
            raise StoreUnreachableError(f"{self._path} cannot be read: {error}; check the file's rights") from error
        if not data.strip():
            if self._signature is not None or signature is not None:
                self._shelf, self._revision, self._signature = Shelf(), 0, signature
            return
        self._signature = None  # stays so if the file cannot be read
        self._shelf, self._revision = read_shelf(self._path, data)
        self._signature = signature

    def _save(self) -> None:
        data = written_shelf(self._shelf, self._revision + 1)
        beside = self._path.with_name(self._path.name + ".tmp")  # one name is enough under the lock
        try:
            with beside.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, self._path)
            _sync_folder(self._path.parent)
            with self._path.open("rb") as file:
                self._signature = _signature(file.fileno())
        except OSError as error:
            raise StoreUnreachableError(
                f"{self._path} cannot be written: {error}; check the rights and the space on the disk"
            ) from error
        self._revision += 1


def _signature(descriptor: int) -> _Signature:
    """What tells one version of the file from another.

    The head holds the revision: times and inodes alone repeat when writes follow within a tick.
    """
    stat = os.fstat(descriptor)
    head = os.read(descriptor, 256)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return stat.st_mtime_ns, stat.st_size, stat.st_ino, head


def _sync_folder(folder: Path) -> None:
    """Make the new name durable, where folders can be opened (not on Windows)."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class JsonStore:
    """A store in one JSON file.

    Args:
        url: ``json:///relative.json`` or ``json:////absolute.json``; folders are made.
        read_only: Refuse writes, and do not make the file.
        lock_timeout_s: How long to wait for another program's lock (10: a write takes far less).
        clock: Seconds since 1970 UTC, for the expiry of records.
        monotonic: Seconds that never go back, for the lease.
    """

    commit_every_s = 1.0

    def __init__(
        self,
        url: str,
        *,
        read_only: bool = False,
        lock_timeout_s: float = 10.0,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.url = url
        self._clock = clock
        self._access = _Access(url, path_of(url, "json"), read_only=read_only, lock_timeout_s=lock_timeout_s)
        self.log: EventLog = ShelfLog(self._access)
        self.aggregates: Aggregates = ShelfAggregates(self._access)
        self.journal: Journal = ShelfJournal(self._access)
        self.config: Config = ShelfConfig(self._access, monotonic)
        self.state: State = ShelfState(self._access, clock)
        self._access.prepare()

    def commit(self, commit: Commit) -> None:
        """Apply a commit, all or nothing, once."""
        with self._access.write() as shelf:
            if shelf.apply(commit, self._clock()):
                _shorten(shelf.events)

    def check(self) -> Sequence[str]:
        """Nothing where the file can be read; else reading it raises."""
        with self._access.read():
            return ()

    def close(self) -> None:
        """Further calls raise ClosedError; the file was complete all along."""
        self._access.is_closed = True


def _shorten(events: Events) -> None:
    """Keep the newest runs of each deployment, as many other events for each, and as many that the loop itself
    made: what processes tell each other pushes no feedback out."""
    runs: Counter[str] = Counter()
    gone = set[int]()
    for position, event in reversed(events.by_position.items()):
        if isinstance(event.body, Run):
            runs[event.body.deployment] += 1
            if runs[event.body.deployment] > MAX_RUNS:
                gone.add(position)
    allowed = MAX_RUNS * max(1, len(runs))
    others: Counter[bool] = Counter()
    for position, event in reversed(events.by_position.items()):
        if not isinstance(event.body, Run):
            is_own = isinstance(event.body, Control)
            others[is_own] += 1
            if others[is_own] > allowed:
                gone.add(position)
    if gone:
        events.remove(lambda position, _: position in gone)

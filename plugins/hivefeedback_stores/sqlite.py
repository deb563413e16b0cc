"""The SQLite store, the default: one file, several processes, every event kept.

Durability: what ``commit`` wrote outlives a killed process; a power cut may lose the last commits
(``synchronous=NORMAL``) and never damages the file. Journal entries, their texts and erasures are
on the disk when the call returns (``synchronous=FULL``), together with every commit before them.

The file must lie on a local disk: SQLite's locks do not hold on network file systems.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence

from hivefeedback.errors import StoreError
from hivefeedback.hooks import Aggregates, Commit, Config, EventLog, Journal, State
from hivefeedback.model import decode_event
from hivefeedback_stores.codec import decode_entry, packed
from hivefeedback_stores.sqlite_aggregates import SqliteAggregates
from hivefeedback_stores.sqlite_blocks import unreadable_blocks
from hivefeedback_stores.sqlite_database import Database
from hivefeedback_stores.sqlite_folding import Written, add_delta
from hivefeedback_stores.sqlite_log import Sources, SqliteLog, insert_events
from hivefeedback_stores.sqlite_parts import SqliteConfig, SqliteJournal, SqliteState, put_records
from hivefeedback_stores.urls import path_of

__all__ = ["SqliteStore"]

MAX_SENTENCES = 20
"""What ``check`` says at most: a broken file has thousands of the same."""


class SqliteStore:
    """A store in one SQLite file.

    Args:
        url: ``sqlite:///relative.db`` or ``sqlite:////absolute.db``; folders are made.
        read_only: Refuse writes, and do not make the file.
        busy_timeout_s: How long to wait for another program's lock (5: a compaction or a backup
            takes less, and the recorder keeps what could not be committed).
        clock: Seconds since 1970 UTC, for the expiry of records.
        monotonic: Seconds that never go back, for the lease.
    """

    commit_every_s = 0.1

    def __init__(
        self,
        url: str,
        *,
        read_only: bool = False,
        busy_timeout_s: float = 5.0,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.url = url
        self._clock = clock
        path = path_of(url, "sqlite")
        self._database = Database(url, path, read_only=read_only, busy_timeout_s=busy_timeout_s)
        self._written = Written()
        self.log: EventLog = SqliteLog(self._database)
        self.aggregates: Aggregates = SqliteAggregates(self._database)
        self.journal: Journal = SqliteJournal(self._database)
        self.config: Config = SqliteConfig(self._database, monotonic)
        self.state: State = SqliteState(self._database, self._clock)

    def commit(self, commit: Commit) -> None:
        """Apply a commit in one transaction, once."""
        with self._database.alone():  # an import commits from a second thread
            with self._database.write() as connection:
                self._written.begin(self._database.n_lost)
                sources = Sources(connection)
                if not _is_new(connection, sources, commit):
                    return
                insert_events(connection, commit.events, sources)
                add_delta(connection, commit.delta, self._written)
                put_records(connection, commit.records, self._clock())
            self._written.keep()

    def check(self) -> Sequence[str]:
        """Check the file's structure, and read every event and entry."""
        with self._database.read() as connection:
            said = [f"{self._database.path}: {row[0]}" for row in connection.execute("PRAGMA quick_check(5)")]
            said = [s for s in said if not s.endswith(": ok")]
            said += _unreadable(connection)
        return said[:MAX_SENTENCES]

    def close(self) -> None:
        """Close the connections; further calls raise ClosedError."""
        self._database.close()


def _is_new(connection: sqlite3.Connection, sources: Sources, commit: Commit) -> bool:
    source, seen = sources.known(commit.producer, commit.epoch)
    if not seen.add(commit.number):
        return False
    connection.execute("UPDATE sources SET seen = ? WHERE source = ?", (packed(seen), source))
    return True


def _unreadable(connection: sqlite3.Connection) -> list[str]:
    said: list[str] = []
    for expected, (seq, data) in enumerate(connection.execute("SELECT seq, entry FROM journal ORDER BY seq"), 1):
        if seq != expected:
            said.append(f"journal entry {expected} is missing")
            break
        said += _tried(f"journal entry {seq}", decode_entry, data)
    for position, data in connection.execute("SELECT position, payload FROM events"):
        said += _tried(f"event at position {position}", decode_event, data)
    return [*said, *unreadable_blocks(connection)]


def _tried(what: str, read: Callable[[bytes], object], data: bytes) -> list[str]:
    try:
        read(data)
    except StoreError as error:
        return [f"{what}: {error}"]
    return []

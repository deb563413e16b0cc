"""Connections and transactions of one SQLite file.

Two connections per process: one writes under a lock, one reads under another, so that a long read
never delays a commit (WAL). Several processes may have the file open.

Durability: commits run with ``synchronous=NORMAL``: a killed process loses nothing that was
committed, a power cut may lose the last commits and never damages the file. Transactions that ask
for ``is_durable`` run with ``synchronous=FULL``: the log is on the disk when they return, and so
is every commit before them.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from hivefeedback.errors import StoreUnreachableError
from hivefeedback_stores.forks import close_before_fork
from hivefeedback_stores.rules import closed, read_only_error
from hivefeedback_stores.sqlite_backup import back_up
from hivefeedback_stores.sqlite_errors import is_busy, translated
from hivefeedback_stores.sqlite_schema import VERSION, check_schema, create_schema, migrate_schema, version_of

__all__ = ["Database"]

log = logging.getLogger(__name__)

CACHE_KIB = 16_000
"""Pages that the writer keeps in memory; ids without order (traces) touch leaves all over an index."""
PAUSE_S = 1.0
"""How long a fork waits for a running transaction before it goes on without closing."""


class Database:
    """One SQLite file.

    Args:
        url: The store's URL, for messages.
        path: The file; its folder is made where missing.
        read_only: Never write, not even to make the file.
        busy_timeout_s: How long to wait for another program's lock.

    Raises:
        StoreUnreachableError, StoreCorruptError, StoreVersionError: It cannot be opened.
    """

    def __init__(self, url: str, path: Path, *, read_only: bool, busy_timeout_s: float) -> None:
        self.url, self.path, self.read_only = url, path, read_only
        self._busy_timeout_s = busy_timeout_s
        self._is_closed = self._is_migrated = False
        self._held: list[threading.RLock] = []
        self._inherited: list[sqlite3.Connection] = []
        self._reader: sqlite3.Connection | None = None
        self._writer: sqlite3.Connection | None = None
        self._read_file: tuple[int, int] | None = None
        self._written_file: tuple[int, int] | None = None
        self.n_lost = 0
        """How often the file was found removed or replaced."""
        self._begin()
        try:
            with translated(path, busy_timeout_s):
                self._check() if read_only else self._prepare()
        except BaseException:
            self.close()  # nobody else will: what cannot be opened has no owner
            raise
        close_before_fork(self)

    def _check(self) -> None:
        if not self.path.is_file():
            what = "is a folder" if self.path.is_dir() else "does not exist"
            raise StoreUnreachableError(f"{self.path} {what}; check the store's URL {self.url}")
        with self.read() as connection:
            if not check_schema(connection, self.path):
                raise StoreUnreachableError(f"{self.path} is empty; open it once for writing")

    def _prepare(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreUnreachableError(f"the folder of {self.path} cannot be made: {error}") from error
        with self.read() as connection:
            is_there = check_schema(connection, self.path)
        try:
            with self.write():  # also where it is there: that it cannot be written is told at the start
                pass
        except StoreUnreachableError as error:
            is_locked = isinstance(error.__cause__, sqlite3.Error) and is_busy(error.__cause__)
            if not (is_there and is_locked):  # somebody writes for long: reading goes, writing waits its turn
                raise

    def _connect(self, *, writes: bool) -> sqlite3.Connection:
        uri = self.path.absolute().as_uri()
        if self.read_only:
            return self._connect_read_only(uri)
        connection = self._opened(uri)
        try:
            if writes:
                self._use_wal(connection)
                connection.execute("PRAGMA synchronous = NORMAL")
                connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            else:
                connection.execute("PRAGMA query_only = ON")
        except BaseException:
            connection.close()
            raise
        return connection

    def _opened(self, uri: str) -> sqlite3.Connection:
        return sqlite3.connect(
            uri, timeout=self._busy_timeout_s, isolation_level=None, check_same_thread=False, uri=True
        )

    def _connect_read_only(self, uri: str) -> sqlite3.Connection:
        connection = self._opened(uri + "?mode=ro")
        try:
            connection.execute("SELECT 1 FROM sqlite_master").fetchone()
        except sqlite3.OperationalError:
            connection.close()
            if os.path.exists(f"{self.path}-wal"):
                raise
            # a folder that may not be written has no room for SQLite's shared memory; with no
            # write-ahead log left nobody is writing, and the file can be read as it lies there
            connection = self._opened(uri + "?immutable=1")
        except BaseException:
            connection.close()
            raise
        return connection

    def _use_wal(self, connection: sqlite3.Connection) -> None:
        deadline_s = time.monotonic() + self._busy_timeout_s
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                # two programs that switch a new file at once are refused without waiting
                if not is_busy(error) or time.monotonic() > deadline_s:
                    raise
                time.sleep(0.01)

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """One consistent state, to look at."""
        self.renew()
        with self._read_lock, translated(self.path, self._busy_timeout_s):
            if self._is_closed:
                raise closed(self.url)
            if self._reader is not None and self._read_file not in (None, self._file()):
                self._reader.close()
                self._reader = self._read_file = None
            if self._reader is None:
                if self.n_lost and self._file() is None:
                    raise _removed(self.path)  # a commit begins a new one
                self._reader = self._connect(writes=False)
            with _transaction(self._reader, "BEGIN"):
                yield self._reader
            self._read_file = self._read_file or self._file()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """No other thread writes before the block has ended: for what must be noted as soon as it is committed."""
        self.renew()
        with self._write_lock:
            yield

    @contextmanager
    def write(self, *, is_durable: bool = False, is_secure: bool = False) -> Iterator[sqlite3.Connection]:
        """One transaction: all of the block or nothing.

        Args:
            is_durable: On the disk when the block has ended.
            is_secure: Overwrite what is deleted, in the file and in the write-ahead log.
        """
        if self.read_only:
            raise read_only_error(self.url)
        self.renew()
        with self._write_lock, translated(self.path, self._busy_timeout_s):
            if self._is_closed:
                raise closed(self.url)
            if self._writer is not None and self._written_file not in (None, self._file()):
                self._writer.close()
                self._writer = self._written_file = None
                self._is_migrated, self.n_lost = False, self.n_lost + 1
                raise _removed(self.path)
            if self._writer is None:
                self._writer = self._connect(writes=True)
            with _pragmas(self._writer, is_durable=is_durable, is_secure=is_secure):
                with _transaction(self._writer, "BEGIN IMMEDIATE"):
                    if not self._is_migrated:
                        self._ready(self._writer)
                    yield self._writer
                self._is_migrated = True
                self._written_file = self._written_file or self._file()
                if is_secure:
                    self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _file(self) -> tuple[int, int] | None:
        """What lies at the path now; None where nothing does. A file that is deleted or replaced goes on as
        long as it is open, and what is written into it is lost with it."""
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _ready(self, writer: sqlite3.Connection) -> None:
        """Make the tables, or bring those of an older version up to date."""
        if check_schema(writer, self.path):
            self._upgrade(writer)
        else:
            create_schema(writer)

    def _upgrade(self, writer: sqlite3.Connection) -> None:
        """Bring an older file up to date, after a copy of it was made; nobody else can write meanwhile."""
        version = version_of(writer)
        if version == str(VERSION):
            return
        with closing(self._connect(writes=False)) as source:
            copy = back_up(source, self.path, version)
        migrate_schema(writer)
        log.warning("%s is brought from schema %s to %s; as it was it lies in %s", self.path, version, VERSION, copy)

    def close(self) -> None:
        """Close the connections; a second call does nothing."""
        self.renew()
        with self._write_lock, self._read_lock:
            self._is_closed = True
            self._disconnect()

    def _disconnect(self) -> None:
        for connection in (self._reader, self._writer):
            if connection is not None:
                connection.close()
        self._reader = self._writer = None
        self._read_file = self._written_file = None

    # --- around a fork ---

    def pause(self) -> None:
        """Close the connections before a fork and hold the locks, waiting for transactions a second."""
        for lock in (self._write_lock, self._read_lock):
            if not lock.acquire(timeout=PAUSE_S):
                return
            self._held.append(lock)
        self._disconnect()

    def resume(self) -> None:
        """Let go of what ``pause`` holds."""
        while self._held:
            self._held.pop().release()

    def renew(self) -> None:
        """Begin anew in a child. Whoever is told of the fork first does so; a second time would take the
        connections away from threads that use them already."""
        if self._pid != os.getpid():
            self._begin()

    def _begin(self) -> None:
        """Connections that the parent left open are let be."""
        self._inherited += [c for c in (self._reader, self._writer) if c is not None]
        self._held.clear()
        self._read_lock, self._write_lock = threading.RLock(), threading.RLock()
        self._reader = self._writer = None
        self._read_file = self._written_file = None
        self._pid = os.getpid()


def _removed(path: Path) -> StoreUnreachableError:
    return StoreUnreachableError(
        f"{path} was removed or replaced while it was open; what it held is gone, and a new one is begun. "
        "End the programs that use a store before its file is touched"
    )


@contextmanager
def _transaction(connection: sqlite3.Connection, begin: str) -> Iterator[None]:
    connection.execute(begin)
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def _pragmas(connection: sqlite3.Connection, *, is_durable: bool, is_secure: bool) -> Iterator[None]:
    """Settings that SQLite takes between transactions only."""
    if is_durable:
        connection.execute("PRAGMA synchronous = FULL")
    if is_secure:
        connection.execute("PRAGMA secure_delete = ON")
    try:
        yield
    finally:
        if is_durable:
            connection.execute("PRAGMA synchronous = NORMAL")
        if is_secure:
            connection.execute("PRAGMA secure_delete = OFF")

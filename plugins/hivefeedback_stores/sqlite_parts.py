"""Journal, configuration and records in SQLite: small tables, one row per thing."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence

from hivefeedback.hooks import Lease, Record
from hivefeedback.model import Configuration, JournalEntry
from hivefeedback_stores.bodies import check_adopted, hash_of
from hivefeedback_stores.codec import decode_config, decode_entry, encode
from hivefeedback_stores.lease import Heartbeat, Observer
from hivefeedback_stores.rules import appended, check_version, released
from hivefeedback_stores.sqlite_database import Database
from hivefeedback_stores.sqlite_rows import insert_rows
from hivefeedback_stores.sqlite_schema import get_meta, put_meta

__all__ = ["SqliteConfig", "SqliteJournal", "SqliteState", "put_records"]


def _heartbeat(connection: sqlite3.Connection) -> Heartbeat:
    row = connection.execute("SELECT holder, token, beat, length_s FROM lease").fetchone()
    return Heartbeat(*row) if row else Heartbeat()


def _put_heartbeat(connection: sqlite3.Connection, h: Heartbeat) -> None:
    connection.execute("INSERT OR REPLACE INTO lease VALUES (1, ?, ?, ?, ?)", (h.holder, h.token, h.beat, h.length_s))


def _head(connection: sqlite3.Connection) -> int:
    (head,) = connection.execute("SELECT max(seq) FROM journal").fetchone()
    return head or 0


class SqliteJournal:
    """``Journal`` in SQLite; appends and texts are on the disk when they return."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def head(self) -> int:
        with self._database.read() as connection:
            return _head(connection)

    def read(self, *, after: int = 0) -> Sequence[JournalEntry]:
        with self._database.read() as connection:
            rows = connection.execute("SELECT entry FROM journal WHERE seq > ? ORDER BY seq", (after,)).fetchall()
            return tuple(decode_entry(data) for (data,) in rows)

    def append(self, entry: JournalEntry, *, expected_head: int) -> JournalEntry:
        with self._database.write(is_durable=True) as connection:
            written = appended(entry, expected_head, _head(connection), _heartbeat(connection))
            data = encode("a journal entry", written)
            connection.execute("INSERT INTO journal VALUES (?, ?)", (written.seq, data))
        return written

    def put_body(self, text: str) -> str:
        with self._database.write(is_durable=True) as connection:
            name = hash_of(text, get_meta(connection, "salt"))
            connection.execute("INSERT OR IGNORE INTO bodies VALUES (?, ?)", (name, text))
        return name

    def body(self, content_hash: str) -> str | None:
        with self._database.read() as connection:
            row = connection.execute("SELECT text FROM bodies WHERE hash = ?", (content_hash,)).fetchone()
        return str(row[0]) if row else None

    def erase_body(self, content_hash: str) -> bool:
        with self._database.write(is_durable=True, is_secure=True) as connection:
            return connection.execute("DELETE FROM bodies WHERE hash = ?", (content_hash,)).rowcount > 0

    def salt(self) -> str:
        with self._database.read() as connection:
            return get_meta(connection, "salt")

    def bodies(self) -> Iterable[tuple[str, str]]:
        with self._database.read() as connection:
            return list(connection.execute("SELECT hash, text FROM bodies ORDER BY hash"))

    def adopt(self, salt: str, bodies: Iterable[tuple[str, str]]) -> None:
        with self._database.write(is_durable=True) as connection:
            has_own = connection.execute("SELECT 1 FROM bodies LIMIT 1").fetchone() is not None
            check_adopted(salt, get_meta(connection, "salt") if has_own else salt)
            put_meta(connection, "salt", salt)
            connection.executemany("INSERT OR IGNORE INTO bodies VALUES (?, ?)", bodies)


class SqliteConfig:
    """``Config`` in SQLite."""

    def __init__(self, database: Database, monotonic: Callable[[], float]) -> None:
        self._database, self._observer = database, Observer(monotonic)

    def load(self) -> Configuration | None:
        with self._database.read() as connection:
            row = connection.execute("SELECT config FROM checkpoint").fetchone()
            return decode_config(row[0]) if row else None

    def save(self, config: Configuration) -> None:
        data = encode("the configuration", config)
        with self._database.write() as connection:
            connection.execute(
                "INSERT INTO checkpoint VALUES (1, ?, ?) ON CONFLICT (one) DO UPDATE "
                "SET version = excluded.version, config = excluded.config WHERE version <= excluded.version",
                (config.version, data),
            )

    def acquire(self, holder: str, *, length_s: float) -> Lease | None:
        with self._database.write() as connection:
            taken = self._observer.judge(_heartbeat(connection), holder, length_s)
            if taken is None:
                return None
            _put_heartbeat(connection, taken)
        return Lease(holder, taken.token, length_s)

    def release(self, holder: str) -> None:
        with self._database.write() as connection:
            present = _heartbeat(connection)
            if present.holder == holder:
                _put_heartbeat(connection, released(present))


_RECORD = "SELECT namespace, key, value, version, expires_at_s FROM records"
_NEXT_VERSION = (
    "ON CONFLICT (namespace, key) DO UPDATE "
    "SET value = excluded.value, version = version + 1, expires_at_s = excluded.expires_at_s"
)
_LIVE = "(expires_at_s IS NULL OR expires_at_s > ?)"


def _record(connection: sqlite3.Connection, namespace: str, key: str, now_s: float) -> Record | None:
    query = f"{_RECORD} WHERE namespace = ? AND key = ? AND {_LIVE}"
    row = connection.execute(query, (namespace, key, now_s)).fetchone()
    return Record(*row) if row else None


def _put_record(connection: sqlite3.Connection, record: Record, now_s: float, expected: int | None = None) -> Record:
    """Write a record under its next version; expired ones go on the way."""
    _forget_expired(connection, now_s)
    present = _record(connection, record.namespace, record.key, now_s)
    check_version(record, present, expected)
    version = (present.version if present else 0) + 1
    row = (record.namespace, record.key, record.value, version, record.expires_at_s)
    connection.execute("INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?)", row)
    return Record(*row)


def put_records(connection: sqlite3.Connection, records: Sequence[Record], now_s: float) -> None:
    """Write records, each under its next version, whatever version is there."""
    if not records:
        return
    _forget_expired(connection, now_s)
    rows = [(r.namespace, r.key, r.value, 1, r.expires_at_s) for r in records]
    insert_rows(connection, "INSERT INTO records", rows, _NEXT_VERSION)
    if any(r.expires_at_s is not None and r.expires_at_s <= now_s for r in records):
        _forget_expired(connection, now_s)


def _forget_expired(connection: sqlite3.Connection, now_s: float) -> None:
    connection.execute("DELETE FROM records WHERE expires_at_s <= ?", (now_s,))


class SqliteState:
    """``State`` in SQLite."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database, self._clock = database, clock

    def get(self, namespace: str, key: str) -> Record | None:
        with self._database.read() as connection:
            return _record(connection, namespace, key, self._clock())

    def put(self, record: Record, *, expected: int | None = None) -> Record:
        with self._database.write() as connection:
            return _put_record(connection, record, self._clock(), expected)

    def delete(self, namespace: str, key: str) -> bool:
        query = f"DELETE FROM records WHERE namespace = ? AND key = ? AND {_LIVE}"
        with self._database.write() as connection:
            return connection.execute(query, (namespace, key, self._clock())).rowcount > 0

    def list(self, namespace: str, *, prefix: str = "") -> Sequence[Record]:
        query = f"{_RECORD} WHERE namespace = ? AND key >= ? AND {_LIVE} ORDER BY key"
        with self._database.read() as connection:
            rows = connection.execute(query, (namespace, prefix, self._clock()))
            found: list[Record] = []
            for row in rows:
                if not row[1].startswith(prefix):
                    break  # keys are in order, so those with the prefix lie together
                found.append(Record(*row))
        return found

    def namespaces(self) -> Sequence[str]:
        query = f"SELECT DISTINCT namespace FROM records WHERE {_LIVE} ORDER BY namespace"
        with self._database.read() as connection:
            return [namespace for (namespace,) in connection.execute(query, (self._clock(),))]

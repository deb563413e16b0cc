"""Tables of the SQLite store, and the refusal of what it cannot read.

Events carry beside their JSON only what they are read, found and dropped by. What feedback may join
a run by lies in a table of its own, so that an event pays for the ids that it has and no others.
Deltas wait as they came and are folded into cells by the dozen (see ``sqlite_aggregates``); cells and
exemplars carry the number of the newest delta in them, by which others see what changed.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from hivefeedback.errors import StoreCorruptError, StoreVersionError
from hivefeedback_stores.bodies import new_salt

__all__ = [
    "VERSION",
    "check_schema",
    "create_schema",
    "get_meta",
    "has_blocks",
    "has_revisions",
    "migrate_schema",
    "put_meta",
    "version_of",
]

VERSION = 3
"""1 knew no revisions of cells and exemplars, 2 no blocks of events."""

_BLOCKS = (
    """CREATE TABLE IF NOT EXISTS blocks (
        first INTEGER PRIMARY KEY, last INTEGER NOT NULL, source INTEGER NOT NULL, seq_low INTEGER NOT NULL,
        seq_high INTEGER NOT NULL, at_low REAL NOT NULL, at_high REAL NOT NULL, payload BLOB NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS blocks_by_seq ON blocks (source, seq_high, seq_low, last)",
)

_TABLES = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE sources (
        source INTEGER PRIMARY KEY, producer TEXT NOT NULL, epoch INTEGER NOT NULL, seen BLOB NOT NULL,
        UNIQUE (producer, epoch))""",
    """CREATE TABLE events (
        position INTEGER PRIMARY KEY, source INTEGER, seq INTEGER, at_s REAL, kind INTEGER, event_id TEXT,
        payload BLOB)""",
    "CREATE UNIQUE INDEX events_once ON events (source, seq)",
    "CREATE INDEX events_by_id ON events (event_id)",
    """CREATE TABLE joins (
        what INTEGER, value TEXT, position INTEGER, PRIMARY KEY (what, value, position)) WITHOUT ROWID""",
    *_BLOCKS,
    """CREATE TABLE cells (
        start_s INTEGER, width_s INTEGER, deployment TEXT, operation TEXT, agent TEXT, arm TEXT, fingerprint TEXT,
        cell BLOB NOT NULL, revision INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (start_s, width_s, deployment, operation, agent, arm, fingerprint)) WITHOUT ROWID""",
    """CREATE TABLE exemplars (
        deployment TEXT, operation TEXT, newest BLOB NOT NULL, revision INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (deployment, operation)) WITHOUT ROWID""",
    "CREATE INDEX cells_by_revision ON cells (revision)",
    "CREATE INDEX exemplars_by_revision ON exemplars (revision)",
    "CREATE TABLE deltas (number INTEGER PRIMARY KEY, delta BLOB NOT NULL)",
    "CREATE TABLE journal (seq INTEGER PRIMARY KEY, entry BLOB NOT NULL)",
    "CREATE TABLE bodies (hash TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE checkpoint (
        one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL, config BLOB NOT NULL)""",
    """CREATE TABLE lease (
        one INTEGER PRIMARY KEY CHECK (one = 1), holder TEXT NOT NULL, token INTEGER NOT NULL, beat INTEGER NOT NULL,
        length_s REAL NOT NULL)""",
    """CREATE TABLE records (
        namespace TEXT, key TEXT, value BLOB NOT NULL, version INTEGER NOT NULL, expires_at_s REAL,
        PRIMARY KEY (namespace, key)) WITHOUT ROWID""",
    "CREATE INDEX records_by_expiry ON records (expires_at_s) WHERE expires_at_s IS NOT NULL",
)

_FROM_1 = (
    "ALTER TABLE cells ADD COLUMN revision INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE exemplars ADD COLUMN revision INTEGER NOT NULL DEFAULT 0",
    "CREATE INDEX cells_by_revision ON cells (revision)",
    "CREATE INDEX exemplars_by_revision ON exemplars (revision)",
)


def create_schema(connection: sqlite3.Connection) -> None:
    """Make the tables of a new store; inside a transaction."""
    for statement in _TABLES:
        connection.execute(statement)
    put_meta(connection, "schema_version", str(VERSION))
    put_meta(connection, "salt", new_salt())


def version_of(connection: sqlite3.Connection) -> str:
    """Version of the tables that are there."""
    return get_meta(connection, "schema_version")


def migrate_schema(connection: sqlite3.Connection) -> None:
    """Bring the tables of an older version up to date; inside a transaction."""
    if has_blocks(connection):
        return
    for statement in (*(() if has_revisions(connection) else _FROM_1), *_BLOCKS):
        connection.execute(statement)
    put_meta(connection, "schema_version", str(VERSION))


def has_revisions(connection: sqlite3.Connection) -> bool:
    """False where a store of version 1 could not be migrated yet, since it is only read."""
    return get_meta(connection, "schema_version") != "1"


def has_blocks(connection: sqlite3.Connection) -> bool:
    """False where a store of version 1 or 2 could not be migrated yet."""
    return get_meta(connection, "schema_version") not in ("1", "2")


def check_schema(connection: sqlite3.Connection, path: Path) -> bool:
    """True where the tables are there, False where the file is empty.

    Raises:
        StoreVersionError: A newer hivefeedback wrote it.
        StoreCorruptError: It belongs to another program.
    """
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables:
        return False
    version = get_meta(connection, "schema_version") if {"meta", "events", "journal"} <= tables else ""
    if not version.isdigit():
        raise StoreCorruptError(f"{path} is an SQLite database of another program; name another file for the store")
    if int(version) > VERSION:
        raise StoreVersionError(
            f"{path} was written by a newer hivefeedback (schema {version}; this one reads up to {VERSION}); "
            "upgrade hivefeedback, or name another file"
        )
    return True


def get_meta(connection: sqlite3.Connection, name: str) -> str:
    """A fact about the store; empty where it is not there."""
    row = connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return str(row[0]) if row else ""


def put_meta(connection: sqlite3.Connection, name: str, value: str) -> None:
    """Keep a fact about the store."""
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

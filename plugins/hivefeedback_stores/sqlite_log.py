"""The event log in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Literal

from hivefeedback.errors import StoreCorruptError
from hivefeedback.hooks import Selector
from hivefeedback.model import Body, DecisionRecord, Event, Feedback, Run, Score, decode_event
from hivefeedback_stores.codec import encode, event_bytes
from hivefeedback_stores.erasure import Join, Placed, check_selector, choose_run, matches, to_erase
from hivefeedback_stores.rules import joins_of
from hivefeedback_stores.sqlite_aggregates import forget_exemplars, take_shares
from hivefeedback_stores.sqlite_database import Database
from hivefeedback_stores.sqlite_schema import get_meta, put_meta
from hivefeedback_stores.takeback import shares_of

__all__ = ["SqliteLog", "insert_events"]

RETAIN_STEP = 50_000
"""Events per transaction of ``retain``, so that it does not hold up commits."""
DECISION, RUN, FEEDBACK, SCORE, CONTROL = range(5)
_INSERT = f"INSERT OR IGNORE INTO events VALUES ({', '.join('?' * 12)})"
_Columns = tuple[int, str | None, str | None, str | None, str | None, str | None]


def insert_events(connection: sqlite3.Connection, events: Sequence[Event], sources: dict[tuple[str, int], int]) -> None:
    """Append events; those whose (producer, epoch, seq) is there are skipped.

    Args:
        sources: Number of each (producer, epoch).
    """
    (last,) = connection.execute("SELECT max(position) FROM events").fetchone()
    first = max(last or 0, int(get_meta(connection, "last_position") or 0)) + 1
    connection.executemany(_INSERT, [_row(first + i, sources[(e.producer, e.epoch)], e) for i, e in enumerate(events)])


def _row(position: int, source: int, event: Event) -> tuple[object, ...]:
    columns = _columns(event.body)
    return (position, source, event.seq, event.event_time_s, event.event_id, *columns, event_bytes(event))


def _columns(body: Body) -> _Columns:
    """Kind, and what it is found by: run, trace, decision, response, session."""
    if isinstance(body, Run):
        decided, answered = body.decision_id or None, body.response_id or None
        return RUN, None, body.trace_id or None, decided, answered, body.session_id or None
    if isinstance(body, Feedback):
        decided, answered = body.decision_id or None, body.response_id or None
        return FEEDBACK, body.run_id or None, body.trace_id or None, decided, answered, body.session_id or None
    if isinstance(body, Score):
        return SCORE, body.run_id, None, None, None, None
    return DECISION if isinstance(body, DecisionRecord) else CONTROL, None, None, None, None, None


class SqliteLog:
    """``EventLog`` in SQLite."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self, *, after: int = 0, limit: int = 10_000) -> Sequence[tuple[int, Event]]:
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT position, payload FROM events WHERE position > ? ORDER BY position LIMIT ?",
                (after, max(0, limit)),
            ).fetchall()
        return _decoded(rows)

    def find(self, event_id: str) -> Event | None:
        with self._database.read() as connection:
            found = _Rows(connection).newest("event_id = ?", "position DESC", event_id)
        return found[0][1] if found else None

    def find_run(
        self, *, trace_id: str = "", decision_id: str = "", response_id: str = "", session_id: str = ""
    ) -> Event | None:
        for join, value in joins_of(trace_id, decision_id, response_id, session_id):
            with self._database.read() as connection:
                rows = _Rows(connection)
                if join == "trace_id":
                    return choose_run(join, rows.runs_by(join, value))
                found = rows.newest(f"{join} = ? AND kind = {RUN}", "at_s DESC, position DESC", value)
            return found[0][1] if found else None
        return None

    def count(self) -> int:
        with self._database.read() as connection:
            (n,) = connection.execute("SELECT count(*) FROM events").fetchone()
        return int(n)

    def erase(self, selector: Selector) -> int:
        check_selector(selector)
        with self._database.write(is_durable=True, is_secure=True) as connection:
            rows = _Rows(connection)
            gone = to_erase(rows, selector)
            take_shares(connection, shares_of(rows, gone.values()))
            forget_exemplars(connection, {e.event_id for e in gone.values() if isinstance(e.body, Run)})
            _keep_position(connection)
            connection.executemany("DELETE FROM events WHERE position = ?", [(p,) for p in gone])
        return len(gone)

    def retain(self, *, before_s: float) -> int:
        with self._database.read() as connection:
            low, high = connection.execute("SELECT min(position), max(position) FROM events").fetchone()
        if low is None:
            return 0
        gone = 0
        for start in range(low, high + 1, RETAIN_STEP):
            with self._database.write() as connection:
                _keep_position(connection)
                gone += connection.execute(
                    "DELETE FROM events WHERE position >= ? AND position < ? AND at_s < ?",
                    (start, start + RETAIN_STEP, before_s),
                ).rowcount
        return gone


def _keep_position(connection: sqlite3.Connection) -> None:
    """Before events go: remember the last position, so that none is given twice."""
    (last,) = connection.execute("SELECT max(position) FROM events").fetchone()
    if last is not None:
        put_meta(connection, "last_position", str(max(last, int(get_meta(connection, "last_position") or 0))))


def _decoded(rows: Iterable[tuple[int, bytes]]) -> list[Placed]:
    found: list[Placed] = []
    for position, payload in rows:
        try:
            found.append((position, decode_event(payload)))
        except StoreCorruptError as error:
            raise StoreCorruptError(f"event at position {position}: {error}") from error
    return found


class _Rows:
    """The look-ups of an erasure, in one transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def _where(self, condition: str, *values: object) -> list[Placed]:
        return _decoded(self._connection.execute(f"SELECT position, payload FROM events WHERE {condition}", values))

    def newest(self, condition: str, order: str, value: str) -> list[Placed]:
        """The first event in that order."""
        return self._where(f"{condition} ORDER BY {order} LIMIT 1", value)

    def matching(self, selector: Selector) -> list[Placed]:
        """Only rows whose JSON holds the encoded names are decoded: the encoder writes a text in one way."""
        names = [n for n in (selector.deployment, selector.agent, selector.session, selector.user) if n]
        before_s = float("inf") if selector.before_s is None else selector.before_s
        condition = f"kind <> {CONTROL} AND at_s < ?" + " AND instr(payload, ?)" * len(names)
        rows = self._where(condition, before_s, *(encode("a name to erase", n) for n in names))
        return [(p, e) for p, e in rows if matches(e, selector)]

    def with_id(self, event_id: str) -> Sequence[Placed]:
        return self._where("event_id = ? ORDER BY position", event_id)

    def runs_by(self, join: Join, value: str) -> Sequence[Placed]:
        return self._where(f"{join} = ? AND kind = {RUN} ORDER BY position", value)

    def said_by(self, join: Join | Literal["run_id"], value: str) -> Sequence[Placed]:
        return self._where(f"{join} = ? AND kind IN ({FEEDBACK}, {SCORE}) ORDER BY position", value)

"""The event log in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Literal

from hivefeedback.errors import StoreCorruptError
from hivefeedback.hooks import Breath, Selector
from hivefeedback.model import Control, DecisionRecord, Event, Feedback, Run, Score, decode_event
from hivefeedback_stores.codec import encode, event_bytes, packed
from hivefeedback_stores.erasure import Join, Placed, check_selector, choose_run, matches, said_of, to_erase
from hivefeedback_stores.rules import joins_of
from hivefeedback_stores.seen import Seen
from hivefeedback_stores.sqlite_aggregates import forget_exemplars, take_shares
from hivefeedback_stores.sqlite_database import Database
from hivefeedback_stores.sqlite_schema import get_meta, put_meta
from hivefeedback_stores.takeback import shares_of

__all__ = ["Sources", "SqliteLog", "insert_events"]

STEP = 20_000
"""Positions per transaction of ``erase`` and ``retain``, so that they do not hold up commits for long."""
DECISION, RUN, FEEDBACK, SCORE, CONTROL = range(5)
_KINDS: dict[type, int] = {DecisionRecord: DECISION, Run: RUN, Feedback: FEEDBACK, Score: SCORE, Control: CONTROL}
_RUNS: dict[str, int] = {"trace_id": 1, "decision_id": 2, "response_id": 3, "session_id": 4}
"""Number of each join of a run in the table ``joins``."""
_SAID = {name: number + 4 for name, number in _RUNS.items()} | {"run_id": 9}
"""The same for feedback and scores."""
_CHUNK = 128
"""Events written between two pauses for the host's threads."""
_TOGETHER = 64
"""Events written by one statement; SQLite before 3.32 takes 999 values at a time."""
_JoinRow = tuple[int, str, int]
_EventRow = tuple[int, int, int, float, int, str, bytes]
_ROW = "(?, ?, ?, ?, ?, ?, ?)"
_INSERT = f"INSERT OR IGNORE INTO events VALUES {_ROW}"
_INSERT_MANY = f"INSERT OR IGNORE INTO events VALUES {', '.join([_ROW] * _TOGETHER)}"


class Sources(dict[tuple[str, int], int]):
    """Number of each (producer, epoch), looked up when it is first asked for."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__()
        self._connection = connection

    def __missing__(self, name: tuple[str, int]) -> int:
        query = "SELECT source FROM sources WHERE producer = ? AND epoch = ?"
        row = self._connection.execute(query, name).fetchone()
        if row is not None:
            self[name] = int(row[0])
        else:
            new = "INSERT INTO sources (producer, epoch, seen) VALUES (?, ?, ?)"
            self[name] = self._connection.execute(new, (*name, packed(Seen()))).lastrowid or 0
        return self[name]


def insert_events(connection: sqlite3.Connection, events: Sequence[Event], sources: Sources) -> None:
    """Append events; those whose (producer, epoch, seq) is there are skipped."""
    (last,) = connection.execute("SELECT max(position) FROM events").fetchone()
    first = max(last or 0, int(get_meta(connection, "last_position") or 0)) + 1
    n_new, breath = 0, Breath()
    for start in range(0, len(events), _CHUNK):
        placed = list(enumerate(events[start : start + _CHUNK], first + start))
        rows: list[_EventRow] = [
            (p, sources[e.producer, e.epoch], e.seq, e.event_time_s, _KINDS[e.body.__class__], e.event_id, data)
            for (p, e), data in zip(placed, map(event_bytes, events[start : start + _CHUNK]), strict=True)
        ]
        n_before = connection.total_changes
        _insert(connection, rows)
        n_new += connection.total_changes - n_before
        joins = _joins(placed)
        if joins:
            connection.executemany("INSERT OR IGNORE INTO joins VALUES (?, ?, ?)", joins)
        breath()
    if n_new < len(events):  # positions of skipped events will be given again
        connection.execute(
            "DELETE FROM joins WHERE position >= ? AND position NOT IN (SELECT position FROM events)", (first,)
        )


def _insert(connection: sqlite3.Connection, rows: Sequence[_EventRow]) -> None:
    """Write rows by the dozen: each statement lets go of the interpreter's lock and has to get it back."""
    whole = len(rows) - len(rows) % _TOGETHER
    for start in range(0, whole, _TOGETHER):
        connection.execute(_INSERT_MANY, list(chain.from_iterable(rows[start : start + _TOGETHER])))
    connection.executemany(_INSERT, rows[whole:])


def _joins(placed: Iterable[Placed]) -> list[_JoinRow]:
    """What the events can be found by, beside their ids; written out, since it is done for each event."""
    found: list[_JoinRow] = []
    for position, event in placed:
        body = event.body
        if isinstance(body, Run):
            if body.trace_id:
                found.append((1, body.trace_id, position))
            if body.decision_id:
                found.append((2, body.decision_id, position))
            if body.response_id:
                found.append((3, body.response_id, position))
            if body.session_id:
                found.append((4, body.session_id, position))
        elif isinstance(body, Feedback):
            found += [(what, getattr(body, name), position) for name, what in _SAID.items() if getattr(body, name)]
        elif isinstance(body, Score):
            found.append((_SAID["run_id"], body.run_id, position))
    return found


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
            found = _Rows(connection).where("event_id = ? ORDER BY position DESC LIMIT 1", event_id)
        return found[0][1] if found else None

    def find_run(
        self, *, trace_id: str = "", decision_id: str = "", response_id: str = "", session_id: str = ""
    ) -> Event | None:
        for join, value in joins_of(trace_id, decision_id, response_id, session_id):
            with self._database.read() as connection:
                rows = _Rows(connection)
                if join == "trace_id":
                    return choose_run(join, rows.runs_by(join, value))
                found = rows.joined(_RUNS[join], value, "at_s DESC, position DESC LIMIT 1")
            return found[0][1] if found else None
        return None

    def said_of(self, run: Event) -> Sequence[Event]:
        with self._database.read() as connection:
            return [event for _, event in said_of(_Rows(connection), run)]

    def count(self) -> int:
        with self._database.read() as connection:
            (n,) = connection.execute("SELECT count(*) FROM events").fetchone()
        return int(n)

    def erase(self, selector: Selector) -> int:
        check_selector(selector)
        return sum(self._erase(selector, start) for start in self._steps())

    def _erase(self, selector: Selector, start: int) -> int:
        with self._database.write(is_durable=True, is_secure=True) as connection:
            rows = _Rows(connection, range(start, start + STEP))
            gone = to_erase(rows, selector)
            if gone:
                take_shares(connection, shares_of(rows, gone.values()))
                forget_exemplars(connection, {e.event_id for e in gone.values() if isinstance(e.body, Run)})
                _delete(connection, gone)
        return len(gone)

    def _steps(self) -> range:
        """Begins of the pieces that long work is done in."""
        with self._database.read() as connection:
            low, high = connection.execute("SELECT min(position), max(position) FROM events").fetchone()
        return range(low or 0, (high or -1) + 1, STEP)

    def retain(self, *, before_s: float) -> int:
        gone = 0
        for start in self._steps():
            with self._database.write() as connection:
                _keep_position(connection)
                gone += connection.execute(
                    "DELETE FROM events WHERE position >= ? AND position < ? AND at_s < ?",
                    (start, start + STEP, before_s),
                ).rowcount
        if gone:
            with self._database.write() as connection:  # joins of younger gaps point nowhere and are found by nobody
                connection.execute(
                    "DELETE FROM joins WHERE position < (SELECT coalesce(min(position), 1 << 62) FROM events)"
                )
        return gone


def _keep_position(connection: sqlite3.Connection) -> None:
    """Before events go: remember the last position, so that none is given twice."""
    (last,) = connection.execute("SELECT max(position) FROM events").fetchone()
    if last is not None:
        put_meta(connection, "last_position", str(max(last, int(get_meta(connection, "last_position") or 0))))


def _delete(connection: sqlite3.Connection, gone: Mapping[int, Event]) -> None:
    _keep_position(connection)
    connection.executemany("DELETE FROM events WHERE position = ?", [(p,) for p in gone])
    connection.executemany("DELETE FROM joins WHERE what = ? AND value = ? AND position = ?", _joins(gone.items()))


def _decoded(rows: Iterable[tuple[int, bytes]]) -> list[Placed]:
    found: list[Placed] = []
    for position, payload in rows:
        try:
            found.append((position, decode_event(payload)))
        except StoreCorruptError as error:
            raise StoreCorruptError(f"event at position {position}: {error}") from error
    return found


class _Rows:
    """The look-ups of an erasure, in one transaction; matches are looked for among some positions."""

    def __init__(self, connection: sqlite3.Connection, among: range = range(0)) -> None:
        self._connection, self._among = connection, among

    def where(self, condition: str, *values: object) -> list[Placed]:
        """Events for which an SQL condition holds."""
        return _decoded(self._connection.execute(f"SELECT position, payload FROM events WHERE {condition}", values))

    def joined(self, what: int, value: str, order: str = "position") -> list[Placed]:
        """Events that carry a value, in an order."""
        positions = "position IN (SELECT position FROM joins WHERE what = ? AND value = ?)"
        return self.where(f"{positions} ORDER BY {order}", what, value)

    def matching(self, selector: Selector) -> list[Placed]:
        """Only rows whose JSON holds the encoded names are decoded: the encoder writes a text in one way."""
        names = [n for n in (selector.deployment, selector.agent, selector.session, selector.user) if n]
        before_s = float("inf") if selector.before_s is None else selector.before_s
        condition = f"position >= ? AND position < ? AND kind <> {CONTROL} AND at_s < ?"
        condition += " AND instr(payload, ?)" * len(names)
        encoded = [encode("a name to erase", n) for n in names]
        rows = self.where(condition, self._among.start, self._among.stop, before_s, *encoded)
        return [(p, e) for p, e in rows if matches(e, selector)]

    def with_id(self, event_id: str) -> Sequence[Placed]:
        return self.where("event_id = ? ORDER BY position", event_id)

    def runs_by(self, join: Join, value: str) -> Sequence[Placed]:
        return self.joined(_RUNS[join], value)

    def said_by(self, join: Join | Literal["run_id"], value: str) -> Sequence[Placed]:
        return self.joined(_SAID[join], value)

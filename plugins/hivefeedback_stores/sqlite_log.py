"""The event log in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from heapq import merge
from itertools import groupby, islice
from operator import attrgetter, itemgetter
from typing import Literal

from hivefeedback.errors import StoreCorruptError
from hivefeedback.hooks import Breath, Selector
from hivefeedback.model import Control, DecisionRecord, Event, Feedback, Run, Score, decode_event
from hivefeedback_stores.codec import decode_packed, encode, event_bytes, packed
from hivefeedback_stores.erasure import Join, Placed, Remembered, check_selector, choose_run, matches, said_of, to_erase
from hivefeedback_stores.rules import joins_of
from hivefeedback_stores.seen import Seen
from hivefeedback_stores.sqlite_aggregates import forget_exemplars, take_shares
from hivefeedback_stores.sqlite_blocks import (
    FEWEST,
    are_for_block,
    blocks_with,
    count_blocks,
    encode_block,
    ends_of_blocks,
    events_at,
    events_behind,
    events_with_id,
    insert_block,
    latest_at,
    seqs_between,
    take_blocks,
)
from hivefeedback_stores.sqlite_database import Database
from hivefeedback_stores.sqlite_rows import insert_rows
from hivefeedback_stores.sqlite_schema import put_meta
from hivefeedback_stores.takeback import shares_of

__all__ = ["Sources", "SqliteLog", "insert_events"]

STEP = 20_000
"""Positions per transaction of ``erase``, ``retain`` and ``older``, so that they do not hold up others for long; more
than in any block."""
DECISION, RUN, FEEDBACK, SCORE, CONTROL = range(5)
_KINDS: dict[type, int] = {DecisionRecord: DECISION, Run: RUN, Feedback: FEEDBACK, Score: SCORE, Control: CONTROL}
_RUNS: dict[str, int] = {"trace_id": 1, "decision_id": 2, "response_id": 3, "session_id": 4}
"""Number of each join of a run in the table ``joins``."""
_SAID = {name: number + 4 for name, number in _RUNS.items()} | {"run_id": 9}
"""The same for feedback and scores."""
_CHUNK = 256
"""Events written between two pauses for the host's threads, and in one block."""
_ASKED = 500
"""Ids that are asked for by one statement."""
_SOURCE = attrgetter("producer", "epoch")
_JoinRow = tuple[int, str, int]
_EventRow = tuple[int, int, int, float, int, str, bytes]
_FORGET_JOIN = "DELETE FROM joins WHERE what = ? AND value = ? AND position = ?"


class Sources(dict[tuple[str, int], int]):
    """Number of each (producer, epoch), looked up when it is first asked for."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__()
        self._connection = connection

    def __missing__(self, name: tuple[str, int]) -> int:
        return self.known(*name)[0]

    def known(self, producer: str, epoch: int) -> tuple[int, Seen]:
        """The number, and the commits that were applied; looked up."""
        query = "SELECT source, seen FROM sources WHERE producer = ? AND epoch = ?"
        row = self._connection.execute(query, (producer, epoch)).fetchone()
        if row is not None:
            source, seen = int(row[0]), decode_packed("the numbers of applied commits", row[1], Seen)
        else:
            new, seen = "INSERT INTO sources (producer, epoch, seen) VALUES (?, ?, ?)", Seen()
            source = self._connection.execute(new, (producer, epoch, packed(seen))).lastrowid or 0
        self[producer, epoch] = source
        return source, seen


def insert_events(connection: sqlite3.Connection, events: Sequence[Event], sources: Sources) -> None:
    """Append events; those whose (producer, epoch, seq) is there are skipped."""
    events = _unseen(connection, events, sources)
    position, breath = _last_position(connection) + 1, Breath()
    has_block, rows, joins = False, list[_EventRow](), list[_JoinRow]()
    for some, is_for_block in _pieces(events):
        data = encode_block(some) if is_for_block and len(some) >= FEWEST else None
        if data is not None:
            insert_block(connection, position, sources[some[0].producer, some[0].epoch], some, data)
            has_block = True
        else:
            rows += [_row(p, e, sources) for p, e in enumerate(some, position)]
        joins += _joins(enumerate(some, position))
        position += len(some)
        breath()
    _insert(connection, rows)
    insert_rows(connection, "INSERT OR IGNORE INTO joins", joins)
    if has_block:  # for whoever looks at rows alone
        put_meta(connection, "last_position", str(position - 1))


def _last_position(connection: sqlite3.Connection) -> int:
    (last,) = connection.execute(
        "SELECT max(coalesce((SELECT max(position) FROM events), 0), "
        "coalesce((SELECT last FROM blocks ORDER BY first DESC LIMIT 1), 0), "
        "coalesce((SELECT CAST(value AS INTEGER) FROM meta WHERE name = 'last_position'), 0))"
    ).fetchone()
    return int(last)


def _unseen(connection: sqlite3.Connection, events: Sequence[Event], sources: Sources) -> Sequence[Event]:
    """The events whose (producer, epoch, seq) is not there yet, each once."""
    known: dict[tuple[str, int], set[int]] = {}
    for source in set(map(_SOURCE, events)):
        seqs = [e.seq for e in events if e.epoch == source[1] and e.producer == source[0]]
        found = _seqs(connection, sources[source], min(seqs), max(seqs))
        if not found.isdisjoint(seqs) or len(set(seqs)) < len(seqs):
            known[source] = found
    return _each_once(events, known) if known else events


def _seqs(connection: sqlite3.Connection, source: int, low: int, high: int) -> set[int]:
    """Numbers of a source's events in a range, and those that lie in one block with them."""
    rows, blocks = "source = ? AND seq BETWEEN ? AND ?", "source = ? AND seq_high >= ? AND seq_low <= ?"
    some = f"SELECT EXISTS (SELECT 1 FROM events WHERE {rows}) OR EXISTS (SELECT 1 FROM blocks WHERE {blocks})"
    values = (source, low, high)
    if connection.execute(some, (*values, *values)).fetchone() == (0,):  # nearly always
        return set()
    found = {seq for (seq,) in connection.execute(f"SELECT seq FROM events WHERE {rows}", values)}
    return found | seqs_between(connection, *values)


def _each_once(events: Sequence[Event], known: Mapping[tuple[str, int], set[int]]) -> list[Event]:
    kept = []
    for event in events:
        seen = known.get((event.producer, event.epoch))
        if seen is None or event.seq not in seen:
            kept.append(event)
            if seen is not None:
                seen.add(event.seq)
    return kept


def _pieces(events: Sequence[Event]) -> Iterator[tuple[Sequence[Event], bool]]:
    """The events in order, in pieces of one source, and whether a piece can lie in a block."""
    for start in range(0, len(events), _CHUNK):
        some = events[start : start + _CHUNK]
        if len(set(map(_SOURCE, some))) == 1 and are_for_block(some):
            yield some, True
        else:
            for (_, _, is_for_block), piece in groupby(some, _kind_of):
                yield list(piece), is_for_block


def _kind_of(event: Event) -> tuple[str, int, bool]:
    return event.producer, event.epoch, are_for_block((event,))


def _row(position: int, e: Event, sources: Sources) -> _EventRow:
    source = sources[e.producer, e.epoch]
    return position, source, e.seq, e.event_time_s, _KINDS[e.body.__class__], e.event_id, event_bytes(e)


def _insert(connection: sqlite3.Connection, rows: Sequence[_EventRow]) -> None:
    insert_rows(connection, "INSERT OR IGNORE INTO events", rows)


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
        limit = max(0, limit)
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT position, payload FROM events WHERE position > ? ORDER BY position LIMIT ?", (after, limit)
            ).fetchall()
            blocks = events_behind(connection, after, limit)
        return list(islice(merge(_decoded(rows), blocks, key=itemgetter(0)), limit))

    def find(self, event_id: str) -> Event | None:
        with self._database.read() as connection:
            found = _Rows(connection).with_id(event_id)
        return found[-1][1] if found else None

    def among(self, ids: Collection[str]) -> set[str]:
        """Which of these ids are there; those in blocks are not asked for often."""
        names = list(ids)
        found: set[str] = set()
        with self._database.read() as connection:
            for start in range(0, len(names), _ASKED):
                some = names[start : start + _ASKED]
                marks = ", ".join("?" * len(some))
                rows = connection.execute(f"SELECT event_id FROM events WHERE event_id IN ({marks})", some)
                found.update(event_id for (event_id,) in rows)
            found.update(name for name in names if name not in found and events_with_id(connection, name))
        return found

    def find_run(
        self, *, trace_id: str = "", decision_id: str = "", response_id: str = "", session_id: str = ""
    ) -> Event | None:
        for join, value in joins_of(trace_id, decision_id, response_id, session_id):
            with self._database.read() as connection:
                rows = _Rows(connection)
                if join in ("trace_id", "decision_id"):
                    return choose_run(join, rows.runs_by(join, value))
                return rows.latest(_RUNS[join], value)
        return None

    def runs_by(self, *, trace_id: str = "", decision_id: str = "") -> Sequence[Event]:
        for join, value in joins_of(trace_id, decision_id, "", ""):
            with self._database.read() as connection:
                return [event for _, event in _Rows(connection).runs_by(join, value)]
        return []

    def said_of(self, run: Event) -> Sequence[Event]:
        with self._database.read() as connection:
            return [event for _, event in said_of(_Rows(connection), run)]

    def count(self) -> int:
        with self._database.read() as connection:
            (n,) = connection.execute("SELECT count(*) FROM events").fetchone()
            return int(n) + count_blocks(connection)

    def erase(self, selector: Selector) -> int:
        check_selector(selector)
        return sum(self._erase(selector, start) for start in self._steps())

    def _erase(self, selector: Selector, start: int) -> int:
        with self._database.write(is_durable=True, is_secure=True) as connection:
            rows = Remembered(_Rows(connection, range(start, start + STEP)))
            gone = to_erase(rows, selector)
            if gone:
                take_shares(connection, shares_of(rows, gone.values()))
                forget_exemplars(connection, {e.event_id for e in gone.values() if isinstance(e.body, Run)})
                _delete(connection, gone)
        return len(gone)

    def _steps(self) -> range:
        """Begins of the pieces that long work is done in."""
        with self._database.read() as connection:
            ends = connection.execute("SELECT min(position), max(position) FROM events").fetchone()
            ends = [end for end in (*ends, *ends_of_blocks(connection)) if end is not None]
        return range(min(ends), max(ends) + 1, STEP) if ends else range(0)

    def retain(self, *, before_s: float) -> int:
        gone = 0
        for start in self._steps():
            with self._database.write() as connection:
                _keep_position(connection)
                gone += _retain_blocks(connection, range(start, start + STEP), before_s)
                gone += connection.execute(
                    "DELETE FROM events WHERE position >= ? AND position < ? AND at_s < ?",
                    (start, start + STEP, before_s),
                ).rowcount
        if gone:
            with self._database.write() as connection:  # joins of younger gaps point nowhere and are found by nobody
                ends = connection.execute("SELECT min(position) FROM events").fetchone()
                left = [end for end in (ends[0], ends_of_blocks(connection)[0]) if end is not None]
                connection.execute("DELETE FROM joins WHERE position < ?", (min(left, default=1 << 62),))
        return gone

    def older(self, *, before_s: float, after: int = 0, limit: int = 10_000) -> Sequence[tuple[int, Event]]:
        found: list[Placed] = []
        for start in self._steps():  # piece by piece, so that nobody who reads has to wait for all
            if len(found) >= limit:
                break
            if start + 2 * STEP > after:  # a block that begins a piece earlier may reach behind
                found += self._older(before_s, after, range(start, start + STEP))
        return found[: max(0, limit)]

    def _older(self, before_s: float, after: int, among: range) -> Iterator[Placed]:
        query = (
            "SELECT position, payload FROM events WHERE position >= ? AND position < ? AND at_s < ? ORDER BY position"
        )
        with self._database.read() as connection:
            rows = connection.execute(query, (max(among.start, after + 1), among.stop, before_s)).fetchall()
            blocks = blocks_with(connection, among, before_s, (), lambda e: e.event_time_s < before_s)
        return merge(_decoded(rows), (placed for placed in blocks if placed[0] > after), key=itemgetter(0))

    def drop(self, placed: Sequence[Placed]) -> int:
        gone = 0
        for start in range(0, len(placed), STEP):
            some = dict(placed[start : start + STEP])
            with self._database.write() as connection:
                _keep_position(connection)
                n_whole = _drop_whole_blocks(connection, some)
                _unpack(connection, some)
                before = connection.total_changes
                connection.executemany("DELETE FROM events WHERE position = ?", [(p,) for p in some])
                gone += n_whole + connection.total_changes - before
                connection.executemany(_FORGET_JOIN, _joins(some.items()))
        return gone


def _drop_whole_blocks(connection: sqlite3.Connection, placed: Mapping[int, Event]) -> int:
    """Drop the blocks of which every event is among these; answers how many events went."""
    ends = (min(placed), max(placed))
    blocks = connection.execute("SELECT first, last FROM blocks WHERE first >= ? AND last <= ?", ends).fetchall()
    whole = [(first, last) for first, last in blocks if all(p in placed for p in range(first, last + 1))]
    connection.executemany("DELETE FROM blocks WHERE first = ?", [(first,) for first, _ in whole])
    return sum(last - first + 1 for first, last in whole)


def _keep_position(connection: sqlite3.Connection) -> None:
    """Before events go: remember the last position, so that none is given twice."""
    last = _last_position(connection)
    if last:
        put_meta(connection, "last_position", str(last))


def _retain_blocks(connection: sqlite3.Connection, among: range, before_s: float) -> int:
    """Drop what is older from the blocks that begin among some positions; answers how many events went."""
    values = (among.start, among.stop, before_s)
    whole = "FROM blocks WHERE first >= ? AND first < ? AND at_high < ?"
    (n,) = connection.execute(f"SELECT coalesce(sum(last - first + 1), 0) {whole}", values).fetchone()
    connection.execute(f"DELETE {whole}", values)
    _unpack(connection, dict(blocks_with(connection, among, before_s, (), lambda e: e.event_time_s < before_s)))
    return int(n)


def _unpack(connection: sqlite3.Connection, positions: Iterable[int]) -> None:
    """Make rows of the events of all blocks that hold one of these positions."""
    sources = Sources(connection)
    for events in take_blocks(connection, positions):
        _insert(connection, [_row(p, e, sources) for p, e in events])


def _delete(connection: sqlite3.Connection, gone: Mapping[int, Event]) -> None:
    _keep_position(connection)
    _unpack(connection, gone)
    connection.executemany("DELETE FROM events WHERE position = ?", [(p,) for p in gone])
    connection.executemany(_FORGET_JOIN, _joins(gone.items()))


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
        """Events with rows of their own for which an SQL condition holds."""
        return _decoded(self._connection.execute(f"SELECT position, payload FROM events WHERE {condition}", values))

    def joined(self, what: int, value: str) -> list[Placed]:
        """Events that carry a value."""
        positions = "position IN (SELECT position FROM joins WHERE what = ? AND value = ?)"
        rows = self.where(f"{positions} ORDER BY position", what, value)
        return sorted((*rows, *events_at(self._connection, self._in_blocks(what, value))), key=itemgetter(0))

    def latest(self, what: int, value: str) -> Event | None:
        """The event of the latest time that carries a value; of two the later one."""
        positions = "position IN (SELECT position FROM joins WHERE what = ? AND value = ?)"
        rows = self.where(f"{positions} ORDER BY at_s DESC, position DESC LIMIT 1", what, value)
        found = latest_at(self._connection, self._in_blocks(what, value))
        both = [*rows, *((found,) if found is not None else ())]
        return max(both, key=lambda placed: (placed[1].event_time_s, placed[0]))[1] if both else None

    def _in_blocks(self, what: int, value: str) -> list[int]:
        query = (
            "SELECT position FROM joins WHERE what = ? AND value = ? AND position NOT IN (SELECT position FROM events)"
        )
        return [position for (position,) in self._connection.execute(query, (what, value))]

    def matching(self, selector: Selector) -> list[Placed]:
        """Only rows and blocks whose JSON holds the encoded names are decoded: the encoder writes a text
        in one way."""
        names = [n for n in (selector.deployment, selector.agent, selector.session, selector.user) if n]
        before_s = float("inf") if selector.before_s is None else selector.before_s
        condition = f"position >= ? AND position < ? AND kind <> {CONTROL} AND at_s < ?"
        condition += " AND instr(payload, ?)" * len(names)
        encoded = [encode("a name to erase", n) for n in names]
        rows = self.where(condition, self._among.start, self._among.stop, before_s, *encoded)
        found = [(p, e) for p, e in rows if matches(e, selector)]
        return found + blocks_with(
            self._connection, self._among, before_s, encoded, lambda event: matches(event, selector)
        )

    def with_id(self, event_id: str) -> Sequence[Placed]:
        rows = self.where("event_id = ? ORDER BY position", event_id)
        return sorted((*rows, *events_with_id(self._connection, event_id)), key=itemgetter(0))

    def runs_by(self, join: Join, value: str) -> Sequence[Placed]:
        return self.joined(_RUNS[join], value)

    def said_by(self, join: Join | Literal["run_id"], value: str) -> Sequence[Placed]:
        return self.joined(_SAID[join], value)

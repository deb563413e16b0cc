"""Aggregates in SQLite.

A commit's delta is written down as it came, in one row; sixteen of them are folded into the cells
at once, since most of a merge is finding, decoding and writing the same cells again. A read merges
what still waits.

Deltas are numbered without end, and a cell carries the number of the newest delta that was folded
into it. So whoever has seen everything up to a number lacks the cells with larger ones, and on top
of them the deltas with larger ones that still wait. Where something was taken back (an erasure) the
*epoch* changes, and everything is to be read anew.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import overload

from msgspec import Struct

from hivefeedback.hooks import Breath
from hivefeedback.stats import Cell, CellKey, Changes, Delta, Exemplar, Slice, View, newest
from hivefeedback_stores.buckets import DAY_S, Horizon, buckets_of, is_read
from hivefeedback_stores.codec import decode_packed, packed
from hivefeedback_stores.sqlite_database import Database
from hivefeedback_stores.sqlite_schema import get_meta, has_revisions, put_meta
from hivefeedback_stores.takeback import CellAt, Share, take_back

__all__ = ["SqliteAggregates", "Written", "add_delta", "fold", "forget_exemplars", "put_cell", "take_shares"]

FOLD_AT = 16
"""Deltas that may wait: a fold then costs a few ms, a read decodes at most so many more rows."""

Place = tuple[int, int, str, str, str, str, str]
"""(start, width, and the five parts of a cell's key)."""
_PLACE = "start_s, width_s, deployment, operation, agent, arm, fingerprint"
_EXEMPLARS = "SELECT deployment, operation, newest FROM exemplars"
_AT = "start_s = ? AND width_s = ? AND deployment = ? AND operation = ? AND agent = ? AND arm = ? AND fingerprint = ?"


class _Waiting(Struct, array_like=True):
    """A delta as it lies in its row."""

    cells: list[tuple[CellKey, int, Cell]]
    exemplars: list[tuple[str, str, list[Exemplar]]]


class Written:
    """Deltas that this process wrote down and that wait, so that a fold need not read them back.

    One that was written in a transaction counts once that is committed (``keep``).
    """

    def __init__(self) -> None:
        self._kept: dict[int, _Waiting] = {}
        self._new: tuple[int, _Waiting] | None = None

    def note(self, number: int, row: _Waiting) -> None:
        """A delta that was just written under a number."""
        self._new = (number, row)

    def keep(self) -> None:
        """The transaction is committed."""
        if self._new is not None:
            self._kept[self._new[0]] = self._new[1]
            self._new = None
        while len(self._kept) > 2 * FOLD_AT:  # another process folded them
            del self._kept[next(iter(self._kept))]

    def take(self) -> dict[int, _Waiting]:
        """All that are kept, for a fold that may change them; a fold that fails reads them back."""
        kept, self._kept, self._new = self._kept, {}, None
        return kept


def add_delta(connection: sqlite3.Connection, delta: Delta, written: Written) -> None:
    """Write a delta down; folds when enough of them wait."""
    if not delta:
        return
    row = _Waiting(
        [(key, minute, cell) for (key, minute), cell in delta.cells.items()],
        [(*name, kept) for name, kept in delta.exemplars.items()],
    )
    number = _last_number(connection) + 1
    connection.execute("INSERT INTO deltas VALUES (?, ?)", (number, packed(row)))
    (n,) = connection.execute("SELECT count(*) FROM deltas").fetchone()
    if n < FOLD_AT:
        written.note(number, row)
    else:
        fold(connection, {**written.take(), number: row})


def _last_number(connection: sqlite3.Connection) -> int:
    """Number of the newest delta, or of the compaction that came after it."""
    (waiting,) = connection.execute("SELECT max(number) FROM deltas").fetchone()
    return max(waiting or 0, int(get_meta(connection, "folded") or 0))


def _waiting(connection: sqlite3.Connection, after: int, at_hand: Mapping[int, _Waiting]) -> Iterator[_Waiting]:
    query = "SELECT number FROM deltas WHERE number > ? ORDER BY number"
    for (number,) in connection.execute(query, (after,)).fetchall():
        row = at_hand.get(number)
        if row is None:
            (data,) = connection.execute("SELECT delta FROM deltas WHERE number = ?", (number,)).fetchone()
            row = decode_packed("a waiting delta", data, _Waiting)
        yield row


def _gathered(
    connection: sqlite3.Connection, after: int = -1, at_hand: Mapping[int, _Waiting] = MappingProxyType({})
) -> Delta:
    """All deltas that wait and have a larger number, merged; those at hand may be changed by it."""
    delta, breath = Delta(), Breath()
    for row in _waiting(connection, after, at_hand):
        for key, minute, cell in row.cells:
            known = delta.cells.get((key, minute))
            if known is None:
                delta.cells[(key, minute)] = cell
            else:
                known.merge(cell)
                breath()
        for deployment, operation, kept in row.exemplars:
            delta.exemplars.setdefault((deployment, operation), []).extend(kept)
    return delta


def fold(connection: sqlite3.Connection, at_hand: Mapping[int, _Waiting] = MappingProxyType({})) -> None:
    """Merge what waits into the cells and exemplars."""
    delta, horizon, breath = _gathered(connection, at_hand=at_hand), _horizon(connection), Breath()
    if not delta:
        return
    number = _last_number(connection)
    for (key, minute), cell in delta.cells.items():
        _merge_cell(connection, (*horizon.bucket(minute), *key), cell, number)
        breath()
    for name, added in delta.exemplars.items():
        breath()
        kept = newest([*_exemplars_of(connection, name), *added])
        connection.execute("INSERT OR REPLACE INTO exemplars VALUES (?, ?, ?, ?)", (*name, packed(kept), number))
    connection.execute("DELETE FROM deltas")
    put_meta(connection, "folded", str(number))


def _exemplars_of(connection: sqlite3.Connection, name: tuple[str, str]) -> list[Exemplar]:
    row = connection.execute("SELECT newest FROM exemplars WHERE deployment = ? AND operation = ?", name).fetchone()
    return decode_packed("an exemplar", row[0], list[Exemplar]) if row else []


def _merge_cell(connection: sqlite3.Connection, place: Place, cell: Cell, number: int) -> None:
    row = connection.execute(f"SELECT cell FROM cells WHERE {_AT}", place).fetchone()
    if row is not None:
        known = decode_packed("a cell", row[0], Cell)
        known.merge(cell)
        cell = known
    put_cell(connection, place, cell, number)


def put_cell(connection: sqlite3.Connection, place: Place, cell: Cell | None, number: int = 0) -> None:
    """Replace a cell, or with None remove it; ``number`` is that of the newest delta in it."""
    if cell is None:
        connection.execute(f"DELETE FROM cells WHERE {_AT}", place)
    else:
        row = (*place, packed(cell), number)
        connection.execute("INSERT OR REPLACE INTO cells VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)


def _horizon(connection: sqlite3.Connection) -> Horizon:
    return Horizon(*(int(get_meta(connection, name) or 0) for name in Horizon.__struct_fields__))


def _cells_where(connection: sqlite3.Connection, condition: str, *values: object) -> list[tuple[Place, Cell]]:
    rows = connection.execute(f"SELECT {_PLACE}, cell FROM cells WHERE {condition}", values)
    return [(row[:7], decode_packed("a cell", row[7], Cell)) for row in rows]


def take_shares(connection: sqlite3.Connection, shares: Iterable[Share]) -> None:
    """Take back what erased events had added."""
    fold(connection)
    put_meta(connection, "epoch", secrets.token_hex(8))

    def cells(deployment: str, operation: str, arm: str, minute: int) -> Sequence[CellAt[Place]]:
        condition = "start_s = ? AND width_s = ? AND deployment = ? AND operation = ? AND arm = ?"
        return [
            (place, CellKey(*place[2:]), cell)
            for bucket in buckets_of(minute)
            for place, cell in _cells_where(connection, condition, *bucket, deployment, operation, arm)
        ]

    for share in shares:
        take_back(share, cells, lambda place, cell: put_cell(connection, place, cell))


def forget_exemplars(connection: sqlite3.Connection, run_ids: set[str]) -> None:
    """Remove exemplars that name one of these runs; nothing may wait."""
    for deployment, operation, data in connection.execute(_EXEMPLARS).fetchall():
        known = decode_packed("an exemplar", data, list[Exemplar])
        kept = [e for e in known if e.run_id not in run_ids]
        name = (deployment, operation)
        if not kept:
            connection.execute("DELETE FROM exemplars WHERE deployment = ? AND operation = ?", name)
        elif len(kept) < len(known):
            connection.execute("INSERT OR REPLACE INTO exemplars VALUES (?, ?, ?, 0)", (*name, packed(kept)))


class SqliteAggregates:
    """``Aggregates`` in SQLite."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self, *, from_s: float, to_s: float) -> View:
        with self._database.read() as connection:
            horizon, delta = _horizon(connection), _gathered(connection)
            found = dict(_cells_where(connection, "start_s > ? AND start_s < ?", from_s - DAY_S, to_s))
            kept = {
                (d, o): decode_packed("an exemplar", data, list[Exemplar])
                for d, o, data in connection.execute(_EXEMPLARS)
            }
        for (key, minute), cell in delta.cells.items():
            place = (*horizon.bucket(minute), *key)
            found.setdefault(place, Cell()).merge(cell)
        for name, added in delta.exemplars.items():
            kept.setdefault(name, []).extend(added)
        slices = tuple(
            Slice(place[0], place[1], CellKey(*place[2:]), cell)
            for place, cell in sorted(found.items(), key=lambda item: item[0])
            if is_read(place[0], place[1], from_s, to_s)
        )
        exemplars = {name: tuple(newest(several)) for name, several in kept.items()}
        return View(asked_from_s=from_s, asked_to_s=to_s, slices=slices, exemplars=exemplars)

    def changes(self, *, after: str, from_s: float) -> Changes:
        with self._database.read() as connection:
            horizon, last = _horizon(connection), _last_number(connection)
            epoch = get_meta(connection, "epoch")
            since = _since(after, epoch, last) if has_revisions(connection) else None
            cells, exemplars = _rows_after(connection, since, from_s)
            delta = _gathered(connection, -1 if since is None else since)
        return Changes(
            mark=f"{epoch}:{last}",
            is_whole=since is None,
            hours_before_s=horizon.hours_before,
            days_before_s=horizon.days_before,
            replaced=_decoded(cells),
            added=[s for s in _slices(delta, horizon) if s.start_s + s.width_s > from_s],
            newest={(d, o): _Packed(data) for d, o, data in exemplars},
            newer=delta.exemplars,
        )

    def compact(self, *, now_s: float) -> None:
        with self._database.read() as connection:
            if _horizon(connection) == Horizon.at(now_s):
                return
        with self._database.write() as connection:
            fold(connection)
            number = _last_number(connection) + 1
            put_meta(connection, "folded", str(number))
            horizon = Horizon.at(now_s)
            for name in Horizon.__struct_fields__:
                put_meta(connection, name, str(getattr(horizon, name)))
            connection.execute("DELETE FROM cells WHERE start_s < ?", (horizon.gone_before,))
            for place, cell in _cells_where(connection, "start_s < ? AND width_s < ?", horizon.hours_before, DAY_S):
                wider = (*horizon.bucket(place[0]), *place[2:])
                if wider[1] > place[1]:
                    put_cell(connection, place, None)
                    _merge_cell(connection, wider, cell, number)


class _Packed(Sequence[Exemplar]):
    """Newest runs that are decoded when somebody looks: hardly anyone looks at all of a thousand lists."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._decoded: list[Exemplar] | None = None

    def _all(self) -> list[Exemplar]:
        if self._decoded is None:
            self._decoded = decode_packed("an exemplar", self._data, list[Exemplar])
        return self._decoded

    @overload
    def __getitem__(self, index: int) -> Exemplar: ...
    @overload
    def __getitem__(self, index: slice) -> list[Exemplar]: ...
    def __getitem__(self, index: int | slice) -> Exemplar | list[Exemplar]:
        return self._all()[index]

    def __iter__(self) -> Iterator[Exemplar]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())


_CellRow = tuple[int, int, str, str, str, str, str, bytes]


def _rows_after(
    connection: sqlite3.Connection, since: int | None, from_s: float
) -> tuple[list[_CellRow], list[tuple[str, str, bytes]]]:
    """Rows of cells that ended after a time, and of exemplars; with ``since`` only those that changed after it.

    SQLite is told the index: it cannot know that hardly anything is new.
    """
    window, bounds = "start_s > ? AND start_s + width_s > ?", (from_s - DAY_S, from_s)
    if since is None:
        cells = connection.execute(f"SELECT {_PLACE}, cell FROM cells WHERE {window}", bounds)
        exemplars = connection.execute(_EXEMPLARS)
    else:
        by_revision = "INDEXED BY cells_by_revision WHERE revision > ?"
        cells = connection.execute(f"SELECT {_PLACE}, cell FROM cells {by_revision} AND {window}", (since, *bounds))
        by_revision = "INDEXED BY exemplars_by_revision WHERE revision > ?"
        exemplars = connection.execute(f"{_EXEMPLARS} {by_revision}", (since,))
    return sorted(cells), exemplars.fetchall()


def _since(after: str, epoch: str, last: int) -> int | None:
    """The number that a mark stands for; None where it is of another epoch or of nowhere."""
    name, _, number = after.partition(":")
    if not number.isdigit() or name != epoch or int(number) > last:
        return None
    return int(number)


def _slices(delta: Delta, horizon: Horizon) -> Iterator[Slice]:
    for (key, minute), cell in delta.cells.items():
        yield Slice(*horizon.bucket(minute), key, cell)


def _decoded(rows: Iterable[_CellRow]) -> Iterator[Slice]:
    """Slices, one at a time: a day's decoded cells at once would take some hundred MB."""
    for row in rows:
        yield Slice(row[0], row[1], CellKey(*row[2:7]), decode_packed("a cell", row[7], Cell))

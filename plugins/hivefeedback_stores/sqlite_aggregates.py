"""Aggregates in SQLite.

A commit's delta is written down as it came, in one row, and folded into the cells later (see
``sqlite_folding``). A read merges what still waits.

Deltas are numbered without end, and a cell carries the number of the newest delta that was folded
into it. So whoever has seen everything up to a number lacks the cells with larger ones, and on top
of them the deltas with larger ones that still wait. Where something was taken back (an erasure) the
*epoch* changes, and everything is to be read anew.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import overload

from hivefeedback.stats import Cell, CellKey, Changes, Delta, Exemplar, Slice, View, newest
from hivefeedback_stores.buckets import DAY_S, Horizon, buckets_of, is_read
from hivefeedback_stores.codec import decode_packed, packed
from hivefeedback_stores.sqlite_database import Database
from hivefeedback_stores.sqlite_folding import (
    NAMES,
    Place,
    add_cell,
    fold,
    gathered,
    horizon_of,
    last_number,
    merge_cells,
)
from hivefeedback_stores.sqlite_schema import get_meta, has_revisions, put_meta
from hivefeedback_stores.takeback import CellAt, Share, take_back

__all__ = ["SqliteAggregates", "forget_exemplars", "take_shares"]

_PLACE = ", ".join(NAMES)
_EXEMPLARS = "SELECT deployment, operation, newest FROM exemplars"
_AT = " AND ".join(f"{name} = ?" for name in NAMES)


def _put_cell(connection: sqlite3.Connection, place: Place, cell: Cell | None) -> None:
    """Replace a cell, or with None remove it."""
    if cell is None:
        connection.execute(f"DELETE FROM cells WHERE {_AT}", place)
    else:
        row = (*place, packed(cell), 0)
        connection.execute("INSERT OR REPLACE INTO cells VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)


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
        take_back(share, cells, lambda place, cell: _put_cell(connection, place, cell))


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
            horizon, delta = horizon_of(connection), gathered(connection)
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
            horizon, (last, _) = horizon_of(connection), last_number(connection)
            epoch = get_meta(connection, "epoch")
            since = _since(after, epoch, last) if has_revisions(connection) else None
            cells, exemplars = _rows_after(connection, since, from_s)
            delta = gathered(connection, -1 if since is None else since)
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
            if horizon_of(connection) == Horizon.at(now_s):
                return
        with self._database.write() as connection:
            fold(connection)
            number = last_number(connection)[0] + 1
            put_meta(connection, "folded", str(number))
            horizon = Horizon.at(now_s)
            for name in Horizon.__struct_fields__:
                put_meta(connection, name, str(getattr(horizon, name)))
            connection.execute("DELETE FROM cells WHERE start_s < ?", (horizon.gone_before,))
            wider: dict[Place, Cell] = {}
            for place, cell in _cells_where(connection, "start_s < ? AND width_s < ?", horizon.hours_before, DAY_S):
                bucket = horizon.bucket(place[0])
                if bucket[1] > place[1]:
                    _put_cell(connection, place, None)
                    add_cell(wider, (*bucket, *place[2:]), cell)
            merge_cells(connection, wider, number)


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

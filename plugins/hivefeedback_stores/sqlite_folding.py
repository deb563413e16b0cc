"""Deltas in SQLite: written down as they come, folded into the cells by the dozen.

Most of a merge is finding, decoding and writing the same cells again; so sixteen deltas are merged
with each other first. A fold's statements do not grow with its cells but by the hundred.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from msgspec import Struct

from hivefeedback.hooks import Breath
from hivefeedback.stats import Cell, CellKey, Delta, Exemplar, newest
from hivefeedback_stores.buckets import Horizon
from hivefeedback_stores.codec import decode_packed, packed
from hivefeedback_stores.sqlite_rows import found_at, insert_rows
from hivefeedback_stores.sqlite_schema import get_meta, put_meta

__all__ = [
    "FOLD_AT",
    "NAMES",
    "Place",
    "Written",
    "add_cell",
    "add_delta",
    "fold",
    "gathered",
    "horizon_of",
    "last_number",
    "merge_cells",
]

FOLD_AT = 16
"""Deltas that may wait: a fold then costs a few ms, a read decodes at most so many more rows."""

Place = tuple[int, int, str, str, str, str, str]
"""(start, width, and the five parts of a cell's key)."""
NAMES = ("start_s", "width_s", "deployment", "operation", "agent", "arm", "fingerprint")


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
        self._file = 0

    def begin(self, file: int) -> None:
        """A transaction begins; what one that failed wrote down is not there, nor what lay in another file."""
        if file != self._file:
            self._kept, self._file = {}, file
        self._new = None

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
    last, n = last_number(connection)
    number = last + 1
    connection.execute("INSERT INTO deltas VALUES (?, ?)", (number, packed(row)))
    if n + 1 < FOLD_AT:
        written.note(number, row)
    else:
        fold(connection, written.take())  # its own row is read back: a fold changes cells, and a commit may be repeated


def last_number(connection: sqlite3.Connection) -> tuple[int, int]:
    """Number of the newest delta, or of the compaction that came after it; and how many deltas wait."""
    folded = "coalesce((SELECT CAST(value AS INTEGER) FROM meta WHERE name = 'folded'), 0)"
    last, n = connection.execute(f"SELECT max(coalesce(max(number), 0), {folded}), count(*) FROM deltas").fetchone()
    return int(last), int(n)


def _waiting(connection: sqlite3.Connection, after: int, at_hand: Mapping[int, _Waiting]) -> Iterator[_Waiting]:
    query = "SELECT number FROM deltas WHERE number > ? ORDER BY number"
    for (number,) in connection.execute(query, (after,)).fetchall():
        row = at_hand.get(number)
        if row is None:
            (data,) = connection.execute("SELECT delta FROM deltas WHERE number = ?", (number,)).fetchone()
            row = decode_packed("a waiting delta", data, _Waiting)
        yield row


def gathered(
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
    delta, horizon = gathered(connection, at_hand=at_hand), horizon_of(connection)
    if not delta:
        return
    number, _ = last_number(connection)
    added: dict[Place, Cell] = {}
    for (key, minute), cell in delta.cells.items():
        add_cell(added, (*horizon.bucket(minute), *key), cell)
    merge_cells(connection, added, number)
    _merge_exemplars(connection, delta.exemplars, number)
    connection.execute("DELETE FROM deltas")
    put_meta(connection, "folded", str(number))


def add_cell(cells: dict[Place, Cell], place: Place, cell: Cell) -> None:
    known = cells.get(place)
    if known is None:
        cells[place] = cell
    else:
        known.merge(cell)


def _merge_exemplars(
    connection: sqlite3.Connection, exemplars: Mapping[tuple[str, str], list[Exemplar]], number: int
) -> None:
    breath = Breath()
    for some, known in found_at(connection, "exemplars", "newest", ("deployment", "operation"), list(exemplars)):
        rows = []
        for name in some:
            kept = decode_packed("an exemplar", known[name], list[Exemplar]) if name in known else []
            rows.append((*name, packed(newest([*kept, *exemplars[name]])), number))
            breath()
        insert_rows(connection, "INSERT OR REPLACE INTO exemplars", rows)


def merge_cells(connection: sqlite3.Connection, cells: Mapping[Place, Cell], number: int) -> None:
    breath = Breath()
    for some, known in found_at(connection, "cells", "cell", NAMES, list(cells)):
        rows = []
        for place in some:
            cell = cells[place]
            if place in known:
                cell = decode_packed("a cell", known[place], Cell)
                cell.merge(cells[place])
            rows.append((*place, packed(cell), number))
            breath()
        insert_rows(connection, "INSERT OR REPLACE INTO cells", rows)


def horizon_of(connection: sqlite3.Connection) -> Horizon:
    return Horizon(*(int(get_meta(connection, name) or 0) for name in Horizon.__struct_fields__))

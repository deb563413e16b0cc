"""What the memory and the JSON store hold: plain data, and the way to reach it.

The five parts of a store are written once against ``Access``: the memory store hands out its one
shelf under a lock, the JSON store reads its file before and writes it after.
"""

from __future__ import annotations

import secrets
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from hivefeedback.hooks import Breath, Commit, Record
from hivefeedback.model import Configuration, JournalEntry
from hivefeedback.stats import MAX_EXEMPLARS, Cell, CellKey, Delta, Exemplar, newest
from hivefeedback_stores.bodies import new_salt
from hivefeedback_stores.buckets import Horizon
from hivefeedback_stores.lease import Heartbeat
from hivefeedback_stores.rules import is_live
from hivefeedback_stores.seen import Seen
from hivefeedback_stores.shelf_events import Events

__all__ = ["Access", "Place", "Shelf"]

Place = tuple[int, int, CellKey]
"""(start, width, key) of a cell."""

K = TypeVar("K")
_CHUNK = 64
"""Events added between two looks at the time, some 30 µs."""


@dataclass(slots=True)
class Shelf:
    """Everything that a store keeps, as plain data.

    Args:
        lent: Cells that a view may still show; they are copied before they change.
        epoch: Changes with each new shelf and each erasure: what was known of it is worth nothing then.
        number: Grows with each change of the aggregates; ``cells_at`` and ``exemplars_at`` say when each
            one changed, in this order. Neither outlives the process.
    """

    salt: str = field(default_factory=new_salt)
    events: Events = field(default_factory=Events)
    seen: dict[tuple[str, int], Seen] = field(default_factory=dict)
    horizon: Horizon = field(default_factory=Horizon)
    cells: dict[Place, Cell] = field(default_factory=dict)
    lent: set[Place] = field(default_factory=set)
    exemplars: dict[tuple[str, str], list[Exemplar]] = field(default_factory=dict)
    journal: list[JournalEntry] = field(default_factory=list)
    bodies: dict[str, str] = field(default_factory=dict)
    checkpoint: Configuration | None = None
    heartbeat: Heartbeat = field(default_factory=Heartbeat)
    records: dict[tuple[str, str], Record] = field(default_factory=dict)
    epoch: str = field(default_factory=lambda: secrets.token_hex(8))
    number: int = 0
    cells_at: dict[Place, int] = field(default_factory=dict)
    exemplars_at: dict[tuple[str, str], int] = field(default_factory=dict)

    def merge(self, delta: Delta, breath: Breath) -> None:
        """Add a delta to the cells, each at the width that its time has now."""
        self.number += 1
        for (key, minute), cell in delta.cells.items():
            self.merge_cell((*self.horizon.bucket(minute), key), cell)
            breath()
        for name, added in delta.exemplars.items():
            kept = self.exemplars.setdefault(name, [])
            kept += added
            _touch(self.exemplars_at, name, self.number)
            if len(kept) > 2 * MAX_EXEMPLARS:  # sorted and cut when read; twice the bound saves most sorts
                self.exemplars[name] = newest(kept)

    def merge_cell(self, place: Place, cell: Cell) -> None:
        """Add one cell at its place."""
        _touch(self.cells_at, place, self.number)
        mine = self.cells.get(place)
        if mine is None or place in self.lent:
            copy = self.cells[place] = Cell()
            self.lent.discard(place)
            if mine is not None:
                copy.merge(mine)
            mine = copy
        mine.merge(cell)

    def put_cell(self, place: Place, cell: Cell | None) -> None:
        """Replace a cell, or with None remove it."""
        self.lent.discard(place)
        if cell is None:
            self.cells.pop(place, None)
            self.cells_at.pop(place, None)
        else:
            self.cells[place] = cell
            _touch(self.cells_at, place, self.number)

    def forget_copies(self) -> None:
        """Something was taken back: whoever follows has to read everything anew."""
        self.epoch = secrets.token_hex(8)

    def record(self, namespace: str, key: str, now_s: float) -> Record | None:
        """A record that has not expired."""
        found = self.records.get((namespace, key))
        return found if found is not None and is_live(found, now_s) else None

    def put_record(self, record: Record, now_s: float) -> Record:
        """Write a record under its next version; forgets expired ones when there are many."""
        name = (record.namespace, record.key)
        old = self.record(*name, now_s)
        if old is None and len(self.records) % 256 == 255:
            self.records = {n: r for n, r in self.records.items() if is_live(r, now_s)}
        written = Record(*name, record.value, (old.version if old else 0) + 1, record.expires_at_s)
        self.records[name] = written
        return written

    def apply(self, commit: Commit, now_s: float) -> bool:
        """Apply a commit; False where its number was applied before."""
        if not self.seen.setdefault((commit.producer, commit.epoch), Seen()).add(commit.number):
            return False
        breath = Breath()
        for start in range(0, len(commit.events), _CHUNK):
            self.events.extend(commit.events[start : start + _CHUNK])
            breath()
        self.merge(commit.delta, breath)
        for record in commit.records:
            self.put_record(record, now_s)
        return True


def _touch(changed_at: dict[K, int], name: K, number: int) -> None:
    changed_at.pop(name, None)  # so that it becomes the last
    changed_at[name] = number


class Access(Protocol):
    """The way to a shelf; both raise ClosedError after ``close``."""

    def read(self) -> AbstractContextManager[Shelf]:
        """The shelf, to look at."""

    def write(self) -> AbstractContextManager[Shelf]:
        """The shelf, to change; kept when the block ends, forgotten when it raises."""

"""Aggregates in Redis.

As in SQLite a commit's delta waits as it came, and some dozen of them are folded into the cells at
once, by whichever process brought the last of the dozen. Cells are merged by the client, since Lua has
no integers; Redis takes them only if nobody else has changed any meanwhile.

Deltas, folds and compactions are numbered together, and a cell carries the number of its last change.
Whoever has seen everything up to a number lacks the cells with larger ones, and the deltas with larger
ones that still wait; and on top of the cells that are replaced those that wait and were seen before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from hivefeedback.errors import StoreUnreachableError
from hivefeedback.hooks import Breath
from hivefeedback.stats import Cell, CellKey, Changes, Delta, Exemplar, Slice, View, newest
from hivefeedback_stores.buckets import DAY_S, HOUR_S, Horizon, is_read
from hivefeedback_stores.codec import decode_packed, packed
from hivefeedback_stores.redis_cells import (
    Head,
    Moment,
    Name,
    Waiting,
    cell_field,
    decoded_cells,
    head_of,
    key_of,
    name_of,
    snapshot,
    some_cells,
    some_newest,
    whole_buckets,
)
from hivefeedback_stores.redis_client import Server
from hivefeedback_stores.redis_fence import Fence
from hivefeedback_stores.redis_keys import Bucket
from hivefeedback_stores.redis_rewrite import Change, numbered, rewrite

__all__ = ["FOLD_AT", "Place", "RedisAggregates", "delta_bytes", "placed", "view_of"]

FOLD_AT = 64
"""Deltas that wait until they are folded: of one process some 6 s, of ten less than one."""
MAX_TRIES = 50
_NONE = 1 << 53
"""A number that nothing has."""
Place = tuple[Bucket, CellKey]
"""Where a cell lies."""


def delta_bytes(delta: Delta) -> bytes:
    """A delta as it waits; empty where there is nothing in it."""
    if not delta:
        return b""
    cells = [(key, minute, cell) for (key, minute), cell in delta.cells.items()]
    return packed(Waiting(cells, [(*name, kept) for name, kept in delta.exemplars.items()]))


class RedisAggregates:
    """``FollowedAggregates`` in one shard.

    Args:
        server: The shard.
        fence: What the leader's compactions are let in by.
    """

    def __init__(self, server: Server, fence: Fence) -> None:
        self.server, self._fence = server, fence

    def read(self, *, from_s: float, to_s: float) -> View:
        cells, kept = self.contents(from_s, to_s)
        return view_of(cells, kept, from_s, to_s)

    def contents(self, from_s: float, to_s: float) -> tuple[dict[Place, Cell], dict[Name, list[Exemplar]]]:
        """Cells and newest runs of a window, with what waits."""
        moment = snapshot(self.server, lambda bucket: is_read(*bucket, from_s, to_s))
        cells = {(b, key): cell for b, rows in moment.cells.items() for key, cell in decoded_cells(rows)}
        kept = {name_of(n): decode_packed("an exemplar", d, list[Exemplar]) for n, d in moment.newest.items()}
        waiting = _gathered(moment.head)
        for place, (cell, _) in waiting.cells.items():
            if is_read(*place[0], from_s, to_s):
                cells.setdefault(place, Cell()).merge(cell)
        for name, (more, _) in waiting.runs.items():
            kept.setdefault(name, []).extend(more)
        return cells, kept

    def changes(self, *, after: str, from_s: float) -> Changes:
        def is_wanted(bucket: Bucket) -> bool:
            return bucket[0] + bucket[1] > from_s

        moment = snapshot(self.server, is_wanted, after)
        head, since = moment.head, moment.since
        replaced = {(b, key_of(field)) for b, rows in moment.cells.items() for field, _ in rows}
        runs = {name_of(n): decode_packed("an exemplar", d, list[Exemplar]) for n, d in moment.newest.items()}
        newer: dict[Name, list[Exemplar]] = {}
        added: list[Slice] = []
        for number, delta in head.deltas():
            is_new = number > since
            for place, cell in placed(head, delta):
                if is_wanted(place[0]) and (is_new or place in replaced):
                    added.append(Slice(*place[0], place[1], cell))
            for deployment, operation, more in delta.exemplars:
                if is_new or (deployment, operation) in runs:
                    newer.setdefault((deployment, operation), []).extend(more)
        return Changes(
            mark=head.mark_at(head.number),
            is_whole=since < 0,
            hours_before_s=head.horizon.hours_before,
            days_before_s=head.horizon.days_before,
            replaced=_decoded(moment),
            added=added,
            newest=runs,
            newer=newer,
        )

    def fold(self) -> bool:
        """Merge what waits into the cells; False where another process has changed them meanwhile."""
        head = head_of(self.server, names_after=_NONE)
        if not head.waiting:
            return True
        waiting = _gathered(head)
        cells, merged_runs = self._merged(head, waiting), self._merged_runs(head, waiting)
        if cells is None or merged_runs is None:
            return False
        change = Change(
            cells={bucket: (False, rows, []) for bucket, rows in cells.items()},
            newest=merged_runs,
            folded=len(head.waiting),
            last_folded=head.last_waiting,
            needs={"generation": head.generation},
        )
        return rewrite(self.server, change) >= 0

    def fold_all(self) -> Head:
        """Fold until nothing waits; answers the head then. Commits that come later wait again."""
        for _ in range(MAX_TRIES):
            self.fold()
            head = head_of(self.server)
            if not head.waiting:
                return head
        return head

    def _merged(self, head: Head, waiting: _Gathered) -> dict[Bucket, list[tuple[bytes, bytes]]] | None:
        places: dict[Bucket, list[bytes]] = {}
        for bucket, key in waiting.cells:
            places.setdefault(bucket, []).append(cell_field(key))
        known = some_cells(self.server, head, places)
        if known is None:
            return None
        merged: dict[Bucket, list[tuple[bytes, bytes]]] = {}
        breath = Breath()
        for (bucket, key), (cell, number) in waiting.cells.items():
            field = cell_field(key)
            data = known.get((bucket, field))
            if data is not None:
                cell.merge(decode_packed("a cell", data, Cell))
            merged.setdefault(bucket, []).append((field, numbered(cell, number)))
            breath()
        return merged

    def _merged_runs(self, head: Head, waiting: _Gathered) -> list[tuple[bytes, bytes | None]] | None:
        names = {packed(name): name for name in waiting.runs}
        known = some_newest(self.server, head, list(names))
        if known is None:
            return None
        merged: list[tuple[bytes, bytes | None]] = []
        breath = Breath()
        for field, name in names.items():
            before = decode_packed("an exemplar", known[field], list[Exemplar]) if field in known else []
            more, number = waiting.runs[name]
            merged.append((field, numbered(newest([*before, *more]), number)))
            breath()
        return merged

    # --- compaction ---

    def compact(self, *, now_s: float) -> None:
        target, n_lost = Horizon.at(now_s), 0
        if head_of(self.server, names_after=_NONE, waiting_after=_NONE).horizon == target:
            return
        self.fold_all()  # what waits is of the time before
        while n_lost < MAX_TRIES:
            head = head_of(self.server, names_after=_NONE, waiting_after=_NONE)
            if head.horizon == target:
                return
            if not self._take_step(head, target):
                n_lost += 1  # late feedback was folded into these buckets meanwhile
        raise StoreUnreachableError(f"{self.server.address.shown} changes faster than it can be compacted; try again")

    def _take_step(self, head: Head, target: Horizon) -> bool:
        """Move one hour or one day; the last step moves the rest and drops what is too old."""
        horizon = _next_step(head, target)
        moved = [b for b in head.buckets if horizon.bucket(b[0])[1] > b[1]]
        wide = {horizon.bucket(start) for start, _ in moved}
        gone = {b for b in (*head.buckets, *wide) if b[0] < horizon.gone_before}
        cells = whole_buckets(self.server, {*moved, *(wide & head.buckets.keys())} - gone) or {}
        merged: dict[Place, Cell] = {}
        breath = Breath()
        for bucket, rows in cells.items():
            into = horizon.bucket(bucket[0]) if bucket in moved else bucket
            for key, cell in decoded_cells(rows):
                merged.setdefault((into, key), Cell()).merge(cell)
                breath()
        change = Change(horizon=horizon, needs={"layout": head.layout}, token=self._fence.token)
        for bucket in {*moved, *(gone & head.buckets.keys())}:
            change.cells[bucket] = (True, [], [])
        for (bucket, key), cell in merged.items():
            change.cells.setdefault(bucket, (False, [], []))[1].append((cell_field(key), numbered(cell)))
        change.scores = {bucket: head.buckets.get(bucket, -1) for bucket in change.cells}
        return rewrite(self.server, change) >= 0


def _next_step(head: Head, target: Horizon) -> Horizon:
    """The horizon behind the oldest hour or day that is to be moved, or the target where that is the last."""
    wide = {target.bucket(start) for start, width in head.buckets if target.bucket(start)[1] > width}
    waiting = sorted(bucket for bucket in wide if bucket[0] >= target.gone_before)
    if len(waiting) < 2:
        return target
    start, width = waiting[0]
    hours, days, gone = head.horizon.hours_before, head.horizon.days_before, head.horizon.gone_before
    return Horizon(max(hours, start + HOUR_S), max(days, start + DAY_S) if width == DAY_S else days, gone)


def placed(head: Head, delta: Waiting) -> Iterator[tuple[Place, Cell]]:
    """Cells of a delta, each with the place where it would be folded into."""
    for key, minute, cell in delta.cells:
        yield (head.horizon.bucket(minute), key), cell


class _Gathered(NamedTuple):
    """All that waits, merged; each with the number of the newest delta in it."""

    cells: dict[Place, tuple[Cell, int]]
    runs: dict[Name, tuple[list[Exemplar], int]]


def _gathered(head: Head) -> _Gathered:
    found = _Gathered({}, {})
    breath = Breath()
    for number, delta in head.deltas():
        for place, cell in placed(head, delta):
            known = found.cells.get(place)
            if known is not None:
                known[0].merge(cell)
                breath()
            found.cells[place] = (known[0] if known is not None else cell, number)
        for deployment, operation, more in delta.exemplars:
            runs, _ = found.runs.get((deployment, operation), ([], 0))
            runs.extend(more)
            found.runs[deployment, operation] = (runs, number)
    return found


def view_of(cells: Mapping[Place, Cell], kept: Mapping[Name, Sequence[Exemplar]], from_s: float, to_s: float) -> View:
    """The view of a window."""
    return View(
        asked_from_s=from_s,
        asked_to_s=to_s,
        slices=tuple(_slices(cells.items())),
        exemplars={name: tuple(newest(several)) for name, several in kept.items()},
    )


def _slices(cells: Iterable[tuple[Place, Cell]]) -> Iterator[Slice]:
    for (bucket, key), cell in sorted(cells, key=lambda item: item[0]):
        yield Slice(*bucket, key, cell)


def _decoded(moment: Moment) -> Iterator[Slice]:
    """Slices, one at a time: a day's decoded cells at once would take some hundred MB."""
    for bucket in sorted(moment.cells):
        for key, cell in decoded_cells(moment.cells[bucket]):
            yield Slice(*bucket, key, cell)

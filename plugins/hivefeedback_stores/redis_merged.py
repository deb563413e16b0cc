"""The aggregates of several shards as one.

Each shard folds and compacts its own cells; what a cell holds in all is the sum over the shards, in which
single parts may be negative: an erasure takes what all shards have counted back in one of them.

What changed since a mark is gathered from all shards: a cell that changed in one is read in the others as
well, since it replaces what a copy knows of it. Where shards were compacted at different times, everything
is told anew, which happens about once an hour.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from hivefeedback.errors import StoreUnreachableError
from hivefeedback.stats import Cell, Changes, Exemplar, Judged, Slice, View, newest
from hivefeedback_stores.codec import decode_packed
from hivefeedback_stores.redis_aggregates import Place, RedisAggregates, placed, view_of
from hivefeedback_stores.redis_cells import Moment, Name, head_of, key_of, name_of, snapshot, some_cells
from hivefeedback_stores.redis_cells import some_newest as newest_of
from hivefeedback_stores.redis_client import Server
from hivefeedback_stores.redis_keys import Bucket

__all__ = ["MergedAggregates", "difference", "tidied"]

_MAX_PASSES = 100
_EVEN, _UNEVEN = "=", "~"
"""What a mark begins with: whether all shards were compacted up to the same time."""
_IsWanted = Callable[[Bucket], bool]


class MergedAggregates:
    """``FollowedAggregates`` over several shards.

    Args:
        parts: One for each shard.
    """

    def __init__(self, parts: Sequence[RedisAggregates]) -> None:
        self._parts = parts

    def read(self, *, from_s: float, to_s: float) -> View:
        cells: dict[Place, Cell] = {}
        kept: dict[Name, list[Exemplar]] = {}
        for part in self._parts:
            more, runs = part.contents(from_s, to_s)
            for place, cell in more.items():
                cells.setdefault(place, Cell()).merge(cell)
            for name, several in runs.items():
                kept.setdefault(name, []).extend(several)
        tidy = {place: rest for place, cell in cells.items() if (rest := tidied(cell)) != Cell()}
        return view_of(tidy, {name: several for name, several in kept.items() if several}, from_s, to_s)

    def compact(self, *, now_s: float) -> None:
        for part in self._parts:
            part.compact(now_s=now_s)

    def changes(self, *, after: str, from_s: float) -> Changes:
        def is_wanted(bucket: Bucket) -> bool:
            return bucket[0] + bucket[1] > from_s

        servers = [part.server for part in self._parts]
        for _ in range(_MAX_PASSES):
            moments = _moments(servers, is_wanted, after)
            if moments[0].since < 0 or _is_completed(servers, moments):
                return _told(moments, is_wanted)
        raise StoreUnreachableError(f"{servers[0].address.shown} changes faster than it can be read; try again")


def _moments(servers: Sequence[Server], is_wanted: _IsWanted, after: str) -> list[Moment]:
    """What changed in each shard since the mark; in all of them everything, where one cannot say."""
    marks = after[1:].split("|") if after.startswith(_EVEN) else []
    if len(marks) == len(servers):
        moments = [snapshot(s, is_wanted, mark) for s, mark in zip(servers, marks, strict=True)]
        if _are_even(moments) and all(moment.since >= 0 for moment in moments):
            return moments
    return [snapshot(server, is_wanted) for server in servers]


def _are_even(moments: Sequence[Moment]) -> bool:
    return len({moment.head.horizon for moment in moments}) == 1


def _is_completed(servers: Sequence[Server], moments: Sequence[Moment]) -> bool:
    """Read what changed elsewhere in each shard, and all that waits there; False where one changed meanwhile."""
    touched = _touched(moments)
    names = {name for moment in moments for name in moment.newest}
    if not touched and not names:
        return True
    for server, moment in zip(servers, moments, strict=True):
        if moment.head.waiting_after >= 0:  # what waits may belong to a cell that is replaced
            head = head_of(server)
            if (head.epoch, head.generation) != (moment.head.epoch, moment.head.generation):
                return False
            moment.head = head
        own = {bucket: {field for field, _ in rows} for bucket, rows in moment.cells.items()}
        lacking = {bucket: fields - own.get(bucket, set()) for bucket, fields in touched.items()}
        cells = some_cells(server, moment.head, lacking)
        runs = newest_of(server, moment.head, sorted(names - moment.newest.keys()))
        if cells is None or runs is None:
            return False
        for (bucket, field), data in cells.items():
            moment.cells.setdefault(bucket, []).append((field, data))
        moment.newest.update(runs)
    return True


def _touched(moments: Sequence[Moment]) -> dict[Bucket, set[bytes]]:
    found: dict[Bucket, set[bytes]] = {}
    for moment in moments:
        for bucket, rows in moment.cells.items():
            if rows:
                found.setdefault(bucket, set()).update(field for field, _ in rows)
    return found


def _told(moments: Sequence[Moment], is_wanted: _IsWanted) -> Changes:
    """The changes of all shards together."""
    heads = [moment.head for moment in moments]
    touched = {(bucket, key_of(field)) for bucket, fields in _touched(moments).items() for field in fields}
    runs: dict[Name, list[Exemplar]] = {}
    for moment in moments:
        for field, data in moment.newest.items():
            runs.setdefault(name_of(field), []).extend(decode_packed("an exemplar", data, list[Exemplar]))
    added, newer = _waiting(moments, touched, runs, is_wanted)
    marks = "|".join(head.mark_at(head.number) for head in heads)
    return Changes(
        mark=(_EVEN if _are_even(moments) else _UNEVEN) + marks,
        is_whole=moments[0].since < 0,
        hours_before_s=min(head.horizon.hours_before for head in heads),
        days_before_s=min(head.horizon.days_before for head in heads),
        replaced=_summed(moments, with_empty=moments[0].since >= 0),
        added=added,
        newest={name: newest(several) for name, several in runs.items()},
        newer=newer,
    )


def _waiting(
    moments: Sequence[Moment], touched: set[Place], runs: Mapping[Name, object], is_wanted: _IsWanted
) -> tuple[list[Slice], dict[Name, list[Exemplar]]]:
    """Of what waits to be folded: what is new, and what belongs to something that is replaced."""
    added: list[Slice] = []
    newer: dict[Name, list[Exemplar]] = {}
    for moment in moments:
        for number, delta in moment.head.deltas():
            is_new = number > moment.since
            for place, cell in placed(moment.head, delta):
                if is_wanted(place[0]) and (is_new or place in touched):
                    added.append(Slice(*place[0], place[1], cell))
            for deployment, operation, more in delta.exemplars:
                if is_new or (deployment, operation) in runs:
                    newer.setdefault((deployment, operation), []).extend(more)
    return added, newer


def _summed(moments: Sequence[Moment], *, with_empty: bool) -> Iterator[Slice]:
    """Cells of all shards added up, a bucket at a time; empty ones only where they may replace others."""
    for bucket in sorted({bucket for moment in moments for bucket in moment.cells}):
        cells: dict[bytes, Cell] = {}
        for moment in moments:
            for field, data in moment.cells.get(bucket, ()):
                cell = decode_packed("a cell", data, Cell)
                known = cells.get(field)
                if known is not None:
                    known.merge(cell)
                else:
                    cells[field] = cell
        for field, cell in cells.items():
            rest = tidied(cell)
            if with_empty or rest != Cell():
                yield Slice(*bucket, key_of(field), rest)


def difference(cell: Cell, other: Cell) -> Cell:
    """What has to be added to the other cell for the sum to be this one; its counts may be negative."""
    rest = Cell()
    rest.merge(cell)
    rest.merge(other.negated())
    return tidied(rest)


def tidied(cell: Cell) -> Cell:
    """The cell without entries of which nothing is left.

    >>> tidied(Cell(outcomes={"ok": 0, "timeout": 1}, ns={"ttft_us": 0}, sums={"ttft_us": 0}))
    Cell(outcomes={'timeout': 1}, sums={}, ns={}, bins={}, judged={}, n_awaiting=0)
    """
    bins = {name: {k: n for k, n in counts.items() if n} for name, counts in cell.bins.items()}
    return Cell(
        {name: n for name, n in cell.outcomes.items() if n},
        {name: n for name, n in cell.sums.items() if n or cell.ns.get(name)},
        {name: n for name, n in cell.ns.items() if n},
        {name: counts for name, counts in bins.items() if counts},
        {name: judged for name, judged in cell.judged.items() if judged != Judged()},
        cell.n_awaiting,
    )

"""Reading the aggregates of a Redis store as of one moment.

They are too large to be read in one call, which would hold up everybody else, so they are read in
pieces: each piece says of which *generation* it is, and where another process has changed something
meanwhile, what it has changed is read once more, until nothing changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TypeVar

import msgspec
from msgspec import Struct

from hivefeedback.errors import StoreCorruptError, StoreUnreachableError
from hivefeedback.stats import Cell, CellKey, Exemplar
from hivefeedback_stores.buckets import Horizon
from hivefeedback_stores.codec import decode_packed, packed
from hivefeedback_stores.redis_client import Script, Server
from hivefeedback_stores.redis_keys import Bucket, bucket_named

__all__ = [
    "NUMBER",
    "Head",
    "Moment",
    "Name",
    "Waiting",
    "cell_field",
    "decoded_cells",
    "head_of",
    "key_of",
    "name_of",
    "snapshot",
    "some_cells",
    "some_newest",
    "whole_buckets",
]

Name = tuple[str, str]
"""(deployment, operation)."""
T = TypeVar("T")
_BUCKETS_AT_ONCE, _NAMES_AT_ONCE = 8, 200
"""What one call reads: some thousand cells, a few milliseconds of Redis's time."""
_MAX_PASSES = 100
NUMBER = 8
"""Bytes in front of a cell, a list of newest runs or a delta: the number of its last change."""

_HEAD = Script(
    """
local info = redis.pcall('INFO', 'server')
local meta = redis.call('HMGET', KEYS[1], 'epoch', 'number', 'folded', 'generation', 'layout',
  'hours_before', 'days_before', 'gone_before')
for i = 1, 8 do meta[i] = meta[i] or (i == 1 and '' or '0') end
local waiting, after = {}, tonumber(ARGV[2])
if after < 0 then
  waiting = redis.call('LRANGE', KEYS[2], 0, -1)
else
  for i = redis.call('LLEN', KEYS[2]) - 1, 0, -1 do
    local delta = redis.call('LINDEX', KEYS[2], i)
    if struct.unpack('>I8', delta) <= after then break end
    table.insert(waiting, 1, delta)
  end
end
return {meta, type(info) == 'string' and string.match(info, 'run_id:(%w+)') or '',
  redis.call('ZRANGE', KEYS[3], 0, -1, 'WITHSCORES'),
  redis.call('ZRANGEBYSCORE', KEYS[4], '(' .. ARGV[1], '+inf'), waiting}
""",
    needs_store=False,
)
_SAME = """
if ARGV[1] ~= '' and (redis.call('HGET', KEYS[1], 'generation') or '0') ~= ARGV[1] then return false end
"""
_CELLS = Script(
    _SAME
    + """
local answer, since = {}, tonumber(ARGV[2])
for i = 2, #KEYS do
  local flat, kept = redis.call('HGETALL', KEYS[i]), {}
  for j = 1, #flat, 2 do
    if struct.unpack('>I8', flat[j + 1]) > since then
      kept[#kept + 1] = flat[j]; kept[#kept + 1] = string.sub(flat[j + 1], 9)
    end
  end
  answer[i - 1] = kept
end
return answer
""",
    needs_store=False,
)
_SOME = Script(
    _SAME
    + """
local answer, counts = {}, cmsgpack.unpack(ARGV[2])
at = 2
for i, n in ipairs(counts) do
  local fields = {}
  for j = 1, n do fields[j] = take() end
  answer[i] = redis.call('HMGET', KEYS[i + 1], unpack(fields))
end
return answer
""",
    needs_store=False,
)


class Waiting(Struct, array_like=True):
    """A delta as it waits."""

    cells: list[tuple[CellKey, int, Cell]]
    exemplars: list[tuple[str, str, list[Exemplar]]]


class Head(Struct, frozen=True, kw_only=True):
    """What is small enough to be read at once.

    Args:
        epoch: Changes with each new store and each erasure; with the server's run, since one that was
            restarted, or took over, may have forgotten the last numbers and give them again.
        number: Of the newest delta or compaction.
        folded: Number of the newest delta that was folded.
        generation: Grows with each change of cells.
        layout: Grows with each compaction.
        buckets: Number of each bucket's last change.
        names: Names whose newest runs changed after the number that was asked for.
        waiting: Deltas that were not folded yet, with their numbers; those after ``waiting_after``.
    """

    epoch: str
    number: int
    folded: int
    generation: str
    layout: str
    horizon: Horizon
    buckets: dict[Bucket, int]
    names: list[bytes]
    waiting: list[bytes]
    waiting_after: int

    def mark_at(self, number: int) -> str:
        """The mark of a copy that has seen everything up to a number."""
        return f"{self.epoch}:{number}"

    @property
    def last_waiting(self) -> int:
        """Number of the newest delta that waits; 0 where none does."""
        return _number_of(self.waiting[-1]) if self.waiting else 0

    def deltas(self) -> Iterator[tuple[int, Waiting]]:
        """The deltas that wait, each with its number."""
        for data in self.waiting:
            yield _number_of(data), decode_packed("a waiting delta", data[NUMBER:], Waiting)


class Moment(Struct, kw_only=True):
    """Aggregates as they were at one moment; cells and runs are still bytes.

    Args:
        head: The head at that moment.
        since: What changed up to this number was left out; -1: nothing.
        cells: (field, cell) by bucket.
        newest: Newest runs by name.
    """

    head: Head
    since: int
    cells: dict[Bucket, list[tuple[bytes, bytes]]] = {}
    newest: dict[bytes, bytes] = {}

    @property
    def is_empty(self) -> bool:
        """True where no cell and no name changed, so that older deltas that wait are of no interest."""
        return not self.newest and not any(self.cells.values())


def cell_field(key: CellKey) -> bytes:
    """The name of a cell in its bucket."""
    return packed(tuple(key))


def head_of(server: Server, *, names_after: int = -1, waiting_after: int = -1) -> Head:
    """Read the head, with names that changed after a number, and deltas that came after one."""
    meta, run, buckets, names, deltas = server.read(
        _HEAD, server.keys.of("meta", "deltas", "buckets", "newestat"), (names_after, waiting_after)
    )
    epoch, number, folded, generation, layout, *horizon = (each.decode() for each in meta)
    try:
        return Head(
            epoch=f"{epoch}.{run.decode()}" if epoch else "",
            number=int(number),
            folded=int(folded),
            generation=generation,
            layout=layout,
            horizon=Horizon(*map(int, horizon)),
            buckets={bucket_named(b): int(float(n)) for b, n in _pairs(buckets)},
            names=names,
            waiting=deltas,
            waiting_after=waiting_after,
        )
    except ValueError as error:
        raise StoreCorruptError(
            f"{server.address.shown}: the head of the aggregates cannot be read: {error}"
        ) from error


def _number_of(data: bytes) -> int:
    return int.from_bytes(data[:NUMBER], "big")


def _pairs(flat: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
    return zip(flat[::2], flat[1::2], strict=True)


def snapshot(server: Server, is_wanted: Callable[[Bucket], bool], mark: str = "") -> Moment:
    """Cells and newest runs that changed after a mark, as of one moment.

    Args:
        server: Where.
        is_wanted: Which buckets.
        mark: What ``Head.mark`` said; of another store or time, or empty: everything.
    """
    moment = _begun(server, mark)
    todo, todo_names, known = set[Bucket](), set[bytes](), moment.since
    for _ in range(_MAX_PASSES):
        todo |= {b for b, at in moment.head.buckets.items() if at > known and is_wanted(b)}
        todo_names |= set(moment.head.names)
        is_read = _read_pieces(server, moment, todo, todo_names)
        lacks = moment.head.waiting_after if is_read and not moment.is_empty else -1
        if is_read and lacks < 0:
            return moment
        before, known = moment.head, max(known, moment.head.folded)
        after = -1 if lacks >= 0 else moment.head.waiting_after
        moment.head = head_of(server, names_after=known, waiting_after=after)
        if (moment.head.epoch, moment.head.layout) != (before.epoch, before.layout):  # buckets went
            moment = _begun(server, mark)
            todo, todo_names, known = set(), set(), moment.since
    raise StoreUnreachableError(f"{server.address.shown} changes faster than it can be read; try again")


def _number_in(mark: str) -> int:
    _, _, number = mark.partition(":")
    return int(number) if number.isascii() and number.isdigit() else -1


def _begun(server: Server, mark: str) -> Moment:
    """Nothing read yet: everything is to be, unless the mark is of this store and time."""
    number = _number_in(mark)
    if number >= 0:
        head = head_of(server, names_after=number, waiting_after=number)
        if head.epoch and mark == head.mark_at(number) and number <= head.number:
            return Moment(head=head, since=number)
    return Moment(head=head_of(server), since=-1)


def _read_pieces(server: Server, moment: Moment, todo: set[Bucket], todo_names: set[bytes]) -> bool:
    """Read what is to do, a piece at a time; False where something has changed since the head."""
    head = moment.head
    for buckets in _pieces(sorted(todo), _BUCKETS_AT_ONCE):
        keys = [*server.keys.of("meta"), *server.keys.cells(buckets)]
        found = server.read(_CELLS, keys, (head.generation, moment.since))
        if found is None:
            return False
        moment.cells.update((bucket, list(_pairs(flat))) for bucket, flat in zip(buckets, found, strict=True))
        todo.difference_update(buckets)
    for some in _pieces(sorted(todo_names), _NAMES_AT_ONCE):
        found = server.read(_SOME, server.keys.of("meta", "newest"), (head.generation, packed([len(some)]), *some))
        if found is None:
            return False
        moment.newest.update((n, data[NUMBER:]) for n, data in zip(some, found[0], strict=True) if data)
        todo_names.difference_update(some)
    return True


def _pieces(items: Sequence[T], n: int) -> Iterator[list[T]]:
    rest = iter(items)
    while piece := list(islice(rest, n)):
        yield piece


def whole_buckets(
    server: Server, buckets: Iterable[Bucket], generation: str = ""
) -> dict[Bucket, list[tuple[bytes, bytes]]] | None:
    """All cells of some buckets; with a generation None where something has changed since."""
    answer: dict[Bucket, list[tuple[bytes, bytes]]] = {}
    for some in _pieces(sorted(buckets), _BUCKETS_AT_ONCE):
        keys = [*server.keys.of("meta"), *server.keys.cells(some)]
        found = server.read(_CELLS, keys, (generation, -1))
        if found is None:
            return None
        answer.update((bucket, list(_pairs(flat))) for bucket, flat in zip(some, found, strict=True))
    return answer


def some_cells(
    server: Server, head: Head, places: Mapping[Bucket, Iterable[bytes]]
) -> dict[tuple[Bucket, bytes], bytes] | None:
    """Certain cells, as bytes; None where something has changed since the head."""
    answer: dict[tuple[Bucket, bytes], bytes] = {}
    asked = [(bucket, some) for bucket, fields in places.items() for some in _pieces(list(fields), 1000)]
    for piece in _pieces(asked, _BUCKETS_AT_ONCE):
        keys = [*server.keys.of("meta"), *server.keys.cells(bucket for bucket, _ in piece)]
        counts = packed([len(some) for _, some in piece])
        found = server.read(_SOME, keys, (head.generation, counts, *(f for _, some in piece for f in some)))
        if found is None:
            return None
        for (bucket, fields), rows in zip(piece, found, strict=True):
            answer.update(((bucket, f), data[NUMBER:]) for f, data in zip(fields, rows, strict=True) if data)
    return answer


def some_newest(server: Server, head: Head, names: Sequence[bytes]) -> dict[bytes, bytes] | None:
    """The newest runs of certain names, as bytes; None where something has changed since the head."""
    answer: dict[bytes, bytes] = {}
    for some in _pieces(names, _NAMES_AT_ONCE):
        found = server.read(_SOME, server.keys.of("meta", "newest"), (head.generation, packed([len(some)]), *some))
        if found is None:
            return None
        answer.update((n, data[NUMBER:]) for n, data in zip(some, found[0], strict=True) if data)
    return answer


def decoded_cells(rows: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[CellKey, Cell]]:
    """Keys and cells from bytes, one at a time."""
    for field, data in rows:
        yield key_of(field), decode_packed("a cell", data, Cell)


def key_of(field: bytes) -> CellKey:
    """The key of a cell from its name."""
    try:
        return CellKey(*msgspec.msgpack.decode(field, type=tuple[str, str, str, str, str]))
    except msgspec.MsgspecError as error:
        raise StoreCorruptError(f"the key of a cell cannot be read: {error}") from error


def name_of(field: bytes) -> Name:
    """The name of a list of newest runs."""
    try:
        return msgspec.msgpack.decode(field, type=tuple[str, str])
    except msgspec.MsgspecError as error:
        raise StoreCorruptError(f"the name of newest runs cannot be read: {error}") from error

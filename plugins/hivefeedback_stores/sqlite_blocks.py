"""Many events in one row: a busy process writes hundreds at a time, and few are ever looked for.

A block holds the events of one source, as a JSON array, at positions without gaps. They are found by
what their ids are made of, which is why only events with such ids lie in blocks: ``r<producer>-<epoch>-
<seq>`` is in the block of that source whose numbers surround ``seq``. Everything else that is looked
for (traces, sessions …) stands in the table ``joins``, by position.

A row of its own costs an event three times what all else costs that is done to write it: two indices
and a statement. What is erased from a block leaves the rest of it as rows of their own.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from math import isfinite
from operator import attrgetter

import msgspec
from msgspec import UNSET

from hivefeedback.errors import InvalidInputError, StoreCorruptError
from hivefeedback.model import Event, Run, decode_event
from hivefeedback_stores.codec import finite_event
from hivefeedback_stores.erasure import Placed
from hivefeedback_stores.sqlite_schema import has_blocks

__all__ = [
    "FEWEST",
    "are_for_block",
    "blocks_with",
    "count_blocks",
    "encode_block",
    "ends_of_blocks",
    "events_at",
    "events_behind",
    "events_with_id",
    "insert_block",
    "latest_at",
    "seqs_between",
    "take_blocks",
    "unreadable_blocks",
]

FEWEST = 16
"""Fewer events at once are rows of their own, which is quicker to find a run in."""
_LONGEST = 4096
"""No block holds more."""

_COLUMNS = "first, last, payload"
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_SEQ, _ID, _UNKNOWN = attrgetter("seq"), attrgetter("event_id"), attrgetter("unknown")
_AT, _INGESTED = attrgetter("event_time_s"), attrgetter("ingest_time_s")


class _Numbered(msgspec.Struct):
    seq: int


_numbers = msgspec.json.Decoder(list[_Numbered])


def are_for_block(events: Sequence[Event]) -> bool:
    """True where the events, of one source, can be found in a block by their ids, and nothing of them
    would get lost."""
    if list(map(_UNKNOWN, events)).count(UNSET) < len(events):
        return False
    made_of, ids, seqs = f"{events[0].producer}-{events[0].epoch}-", list(map(_ID, events)), list(map(_SEQ, events))
    if ids == [f"r{made_of}{seq}" for seq in seqs]:  # runs, of which there are most
        return True
    tails, ends = [event_id[1:] for event_id in ids], [f"{made_of}{seq}" for seq in seqs]
    return tails in (ends, [f"-{end}" for end in ends])


def encode_block(events: Sequence[Event]) -> bytes | None:
    """The events as they lie in a block; None where one cannot be written, which rows say better."""
    if not isfinite(sum(map(_AT, events)) + sum(map(_INGESTED, events))):
        return None
    try:
        return _encoder.encode([e if e.body.__class__ is Run else finite_event(e) for e in events])
    except (UnicodeEncodeError, OverflowError, TypeError, InvalidInputError):
        return None


def insert_block(connection: sqlite3.Connection, first: int, source: int, events: Sequence[Event], data: bytes) -> None:
    """Write events of one source at the positions from ``first`` on."""
    seqs, times = list(map(_SEQ, events)), list(map(_AT, events))
    row = (first, first + len(events) - 1, source, min(seqs), max(seqs), min(times), max(times), data)
    connection.execute("INSERT INTO blocks VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)


def _select(connection: sqlite3.Connection, condition: str, *values: object) -> Iterator[tuple[int, int, bytes]]:
    if has_blocks(connection):
        yield from connection.execute(f"SELECT {_COLUMNS} FROM blocks WHERE {condition}", values)


def _items(first: int, payload: bytes) -> list[msgspec.Raw]:
    try:
        return _decoder.decode(payload)
    except msgspec.MsgspecError as error:
        raise StoreCorruptError(f"the events from position {first} on: {error}") from error


def _event(position: int, item: msgspec.Raw) -> Placed:
    try:
        return position, decode_event(bytes(item))
    except StoreCorruptError as error:
        raise StoreCorruptError(f"event at position {position}: {error}") from error


def _events(first: int, payload: bytes) -> list[Placed]:
    return [_event(position, item) for position, item in enumerate(_items(first, payload), first)]


def events_behind(connection: sqlite3.Connection, after: int, limit: int) -> list[Placed]:
    """At most about ``limit`` events behind a position, in order."""
    found: list[Placed] = []
    for first, _, payload in _select(connection, "first > ? AND last > ? ORDER BY first", after - _LONGEST, after):
        found += [placed for placed in _events(first, payload) if placed[0] > after]
        if len(found) >= limit:
            break
    return found


def events_at(connection: sqlite3.Connection, positions: Iterable[int]) -> list[Placed]:
    """The events at positions, those that lie in blocks."""
    found: list[Placed] = []
    first, last, items = 1, 0, list[msgspec.Raw]()
    for position in sorted(positions):
        if not first <= position <= last:
            block = _block_at(connection, position)
            if block is None:
                continue
            first, last, items = block[0], block[1], _items(block[0], block[2])
        found.append(_event(position, items[position - first]))
    return found


def _block_at(connection: sqlite3.Connection, position: int) -> tuple[int, int, bytes] | None:
    found = next(_select(connection, "first <= ? ORDER BY first DESC LIMIT 1", position), None)
    return found if found is not None and found[1] >= position else None


def take_blocks(connection: sqlite3.Connection, positions: Iterable[int]) -> Iterator[list[Placed]]:
    """Remove the blocks that hold one of these positions; answers the events of each."""
    last = 0
    for position in sorted(positions):
        block = _block_at(connection, position) if position > last else None
        if block is not None:
            last = block[1]
            connection.execute("DELETE FROM blocks WHERE first = ?", (block[0],))
            yield _events(block[0], block[2])


def latest_at(connection: sqlite3.Connection, positions: Iterable[int]) -> Placed | None:
    """The event of the latest time among those at positions that lie in blocks; of two the later one."""
    found: Placed | None = None
    for placed in events_at(connection, positions):
        if found is None or (placed[1].event_time_s, placed[0]) > (found[1].event_time_s, found[0]):
            found = placed
    return found


def events_with_id(connection: sqlite3.Connection, event_id: str) -> list[Placed]:
    """Events of an id, those that lie in blocks."""
    name, _, seq = event_id[1:].rpartition("-")
    producer, _, epoch = name.rpartition("-")
    if not (seq.isdecimal() and epoch.isdecimal() and len(seq) < 19 and len(epoch) < 19):
        return []
    mark, found = b'"event_id":%b,' % _encoder.encode(event_id), list[Placed]()
    condition = "source = ? AND seq_high >= ? AND seq_low <= ? AND instr(payload, ?) ORDER BY seq_high LIMIT 1"
    query = "SELECT source FROM sources WHERE producer IN (?, ?) AND epoch = ?"
    for (source,) in connection.execute(query, (producer, producer.removeprefix("-"), int(epoch))).fetchall():
        for first, _, payload in _select(connection, condition, source, int(seq), int(seq), mark):
            items = enumerate(_items(first, payload), first)
            found += [_event(position, item) for position, item in items if mark in bytes(item)]
    return sorted(placed for placed in found if placed[1].event_id == event_id)


def seqs_between(connection: sqlite3.Connection, source: int, low: int, high: int) -> set[int]:
    """Numbers of a source's events that lie in blocks, of those blocks that reach into a range."""
    condition = "source = ? AND seq_high >= ? AND seq_low <= ?"
    blocks = _select(connection, condition, source, low, high)
    return {numbered.seq for _, _, payload in blocks for numbered in _numbers.decode(payload)}


def blocks_with(
    connection: sqlite3.Connection,
    among: range,
    before_s: float,
    names: Sequence[bytes],
    is_meant: Callable[[Event], bool],
) -> list[Placed]:
    """Events of the blocks that begin among some positions, for which a condition holds.

    Args:
        connection: Where they are.
        among: Positions at which a block may begin.
        before_s: Only blocks with an earlier event.
        names: Texts that a block must hold, as they are encoded.
        is_meant: The condition.
    """
    condition = "first >= ? AND first < ? AND at_low < ?" + " AND instr(payload, ?)" * len(names)
    blocks = _select(connection, f"{condition} ORDER BY first", among.start, among.stop, before_s, *names)
    return [placed for first, _, data in blocks for placed in _events(first, data) if is_meant(placed[1])]


def ends_of_blocks(connection: sqlite3.Connection) -> tuple[int | None, int | None]:
    """The first and the last position in blocks."""
    if not has_blocks(connection):
        return None, None
    (low,) = connection.execute("SELECT min(first) FROM blocks").fetchone()
    high = connection.execute("SELECT last FROM blocks ORDER BY first DESC LIMIT 1").fetchone()
    return low, high[0] if high else None


def count_blocks(connection: sqlite3.Connection) -> int:
    """Events in blocks."""
    if not has_blocks(connection):
        return 0
    (n,) = connection.execute("SELECT coalesce(sum(last - first + 1), 0) FROM blocks").fetchone()
    return int(n)


def unreadable_blocks(connection: sqlite3.Connection) -> Iterator[str]:
    """A sentence for each block that cannot be read."""
    for first, _, payload in _select(connection, "1 ORDER BY first"):
        try:
            _events(first, payload)
        except StoreCorruptError as error:
            yield str(error)

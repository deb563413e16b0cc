"""Events as Redis keeps them: a row per position, and what each is found by.

A row is the time of the event (eight bytes, so that Lua can tell what is old) and its JSON. What it is
found by are members of one sorted set, in order of bytes: one byte for the kind, a digest of the value,
for runs the time, and the position. Digests may meet, so that what is found is looked at again.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator

from hivefeedback.errors import StoreCorruptError
from hivefeedback.model import Event, Feedback, Run, Score, decode_event
from hivefeedback_stores.codec import event_bytes
from hivefeedback_stores.erasure import JOINS, Placed
from hivefeedback_stores.redis_errors import readable

__all__ = [
    "BLOCK",
    "ID",
    "ID_BYTES",
    "RUNS",
    "SAID",
    "SPLIT",
    "TIME",
    "carries",
    "decoded",
    "event_row",
    "head",
    "heads_of",
    "members_of",
]

BLOCK = 1000
"""Positions that are looked at together when old events are dropped or some are looked for."""
ID, ID_BYTES = 0, 9
"""Kind of what every event is found by, and how much of ``heads_of`` that is: the first bytes."""
RUNS: dict[str, int] = {name: number for number, name in enumerate(JOINS, 1)}
"""Kinds of what a run is found by."""
SAID: dict[str, int] = {name: number for number, name in enumerate((*JOINS, "run_id"), 5)}
"""The same for feedback and scores."""
SPLIT = f"""
local function split(text, more)
  local parts, from = {{}}, 1
  while from <= #text do
    local kind = string.byte(text, from)
    local n = more + ((kind >= {min(RUNS.values())} and kind <= {max(RUNS.values())}) and 17 or 9)
    parts[#parts + 1] = string.sub(text, from, from + n - 1)
    from = from + n
  end
  return parts
end
"""
"""Lua: members (``more`` = 8) or heads (0) of an event, one by one: those of runs hold a time."""
TIME, _POSITION = struct.Struct(">d"), struct.Struct(">Q")


def event_row(event: Event) -> bytes:
    """An event as it is stored; raises as ``event_bytes`` does."""
    return TIME.pack(event.event_time_s) + event_bytes(event)


def decoded(position: int, row: bytes) -> Placed:
    """An event and its position.

    Raises:
        StoreCorruptError: The row holds no event.
    """
    try:
        return position, decode_event(row[TIME.size :])
    except StoreCorruptError as error:
        raise StoreCorruptError(f"event at position {position}: {error}") from error


def head(kind: int, value: str) -> bytes:
    """What the members of a kind and value begin with."""
    with readable("what an event is found by"):
        return bytes((kind,)) + hashlib.blake2b(value.encode(), digest_size=8).digest()


def heads_of(event: Event) -> bytes:
    """What an event is found by, without the position, in one piece; ``SPLIT`` takes it apart."""
    return b"".join(_heads(event))


def _heads(event: Event) -> Iterator[bytes]:
    body = event.body
    yield head(ID, event.event_id)
    if isinstance(body, Run):
        for name, kind in RUNS.items():
            value: str = getattr(body, name)
            if value:
                yield head(kind, value) + _in_order(event.event_time_s)
    elif isinstance(body, Feedback):
        for name, kind in SAID.items():
            value = getattr(body, name)
            if value:
                yield head(kind, value)
    elif isinstance(body, Score):
        yield head(SAID["run_id"], body.run_id)


def members_of(position: int, event: Event) -> bytes:
    """The members of an event in the sorted set, in one piece."""
    end = _POSITION.pack(position)
    return b"".join(start + end for start in _heads(event))


def carries(event: Event, kind: int, value: str) -> bool:
    """True where an event is found by that rightly, not by a digest that two values have in common."""
    if kind == ID:
        return event.event_id == value
    is_run = isinstance(event.body, Run)
    names: Iterable[str] = [name for name, number in (RUNS if is_run else SAID).items() if number == kind]
    return any(getattr(event.body, name, None) == value for name in names)


def _in_order(at_s: float) -> bytes:
    """Eight bytes that are in the order of the times that they stand for, those before 1970 too."""
    data = TIME.pack(at_s)
    if at_s < 0:
        return bytes(255 - b for b in data)
    return bytes((data[0] | 0x80,)) + data[1:]

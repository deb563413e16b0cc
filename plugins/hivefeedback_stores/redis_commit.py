"""Commits in Redis: one Lua call, all or nothing, once.

What was applied is known by (producer, epoch): the numbers of its commits and of its events, each as a
high-water mark and gaps. The client works out the new ones and Redis takes them only if they were made
from what it holds; so no arithmetic on them is needed in Lua, and a repeated call changes nothing.

An event may come long after later ones of its source, when gaps as old as that were given up. So where the
numbers do not tell whether it was applied, the log is looked at. A commit's number that old was applied.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence, Set
from typing import NamedTuple

from msgspec import Struct

from hivefeedback.errors import ConflictError, StoreCorruptError, StoreUnreachableError
from hivefeedback.hooks import Breath, Commit
from hivefeedback.model import Event, decode_event
from hivefeedback_stores.codec import decode_packed, packed
from hivefeedback_stores.redis_aggregates import FOLD_AT, RedisAggregates, delta_bytes
from hivefeedback_stores.redis_client import Argument, Script, Server
from hivefeedback_stores.redis_errors import readable
from hivefeedback_stores.redis_events import BLOCK, ID_BYTES, SPLIT, TIME, event_row, heads_of
from hivefeedback_stores.redis_keys import LOG_KEYS
from hivefeedback_stores.redis_outbox import Outbox, letter_of
from hivefeedback_stores.redis_parts import PUT, RECORD_KEYS, Clock, given, record_row
from hivefeedback_stores.redis_places import Places
from hivefeedback_stores.seen import Seen

__all__ = ["Committer"]

log = logging.getLogger(__name__)

MAX_TRIES = 100
"""Each lost try means that another thread or process committed for the same producer and epoch."""
_CHUNK = 64
"""Events encoded between two pauses for the host's threads."""

_ASKED = 256
"""Events that the log is asked about at once."""

_SEEN = Script("return redis.call('HMGET', KEYS[2], unpack(ARGV))", needs_store=False)
_SAME_ID = Script(
    """
local answer = {}
for i, start in ipairs(ARGV) do
  answer[i] = {}
  for _, member in ipairs(redis.call('ZRANGEBYLEX', KEYS[4], '[' .. start, '(' .. start .. string.rep('\\255', 9))) do
    local position = string.format('%.0f', struct.unpack('>I8', member, #member - 7))
    answer[i][#answer[i] + 1] = redis.call('HGET', KEYS[3], position) or ''
  end
end
return answer
""",
    needs_store=False,
)
_COMMIT = Script(
    PUT
    + SPLIT
    + f"""
local given, delta, letter, floor = take(), take(), take(), tonumber(take())
local n_seen, n_events, n_records = tonumber(take()), tonumber(take()), tonumber(take())
local seen = {{}}
for i = 1, n_seen do
  seen[i] = {{take(), take(), take()}}
  if (redis.call('HGET', KEYS[2], seen[i][1]) or '') ~= seen[i][2] then return {{-1, 0}} end
end
for _, each in ipairs(seen) do redis.call('HSET', KEYS[2], each[1], each[3]) end
local last, rows, members, first = tonumber(redis.call('HGET', KEYS[1], 'last') or 0), {{}}, {{}}, {{}}
if n_events > 0 then last = math.max(last, floor) end
local function flush()
  if #rows > 0 then redis.call('HSET', KEYS[3], unpack(rows)); rows = {{}} end
  if #members > 0 then redis.call('ZADD', KEYS[4], unpack(members)); members = {{}} end
end
for i = 1, n_events do
  local position, row = last + i, take()
  rows[#rows + 1] = string.format('%.0f', position); rows[#rows + 1] = row
  for _, head in ipairs(split(take(), 0)) do
    members[#members + 1] = 0; members[#members + 1] = head .. struct.pack('>I8', position)
  end
  local block, at = math.floor(position / {BLOCK}), struct.unpack('>d', row)
  if not first[block] or at < first[block] then first[block] = at end
  if i % 200 == 0 then flush() end
end
flush()
for block, at in pairs(first) do
  local name = string.format('%.0f', block)
  local known = redis.call('HGET', KEYS[5], name)
  if not known or at < struct.unpack('>d', known) then redis.call('HSET', KEYS[5], name, struct.pack('>d', at)) end
end
last = last + n_events
if n_events > 0 then redis.call('HSET', KEYS[1], 'last', string.format('%.0f', last)) end
if n_records > 0 then
  local now = clock(given)
  sweep(now, KEYS[7], KEYS[8], KEYS[9])
  for _ = 1, n_records do put(take(), take(), now, KEYS[7], KEYS[8], KEYS[9]) end
end
if letter ~= '' then redis.call('RPUSH', KEYS[10], letter) end
if delta == '' then return {{0, last}} end
local number = redis.call('HINCRBY', KEYS[1], 'number', 1)
return {{redis.call('RPUSH', KEYS[6], struct.pack('>I8', number) .. delta), last}}
"""
)


class _Applied(Struct, array_like=True):
    """What was applied of one (producer, epoch)."""

    commits: Seen
    events: Seen


class Committer:
    """Applies the commits of one shard.

    Args:
        server: The shard.
        aggregates: Folds deltas when enough of them wait.
        places: A commit's events are counted from behind all that this process knows of.
        outbox: Where records go; None in shard 0, which keeps them itself.
        clock: Judges the expiry of records; None: Redis's own.
    """

    def __init__(
        self, server: Server, aggregates: RedisAggregates, places: Places, outbox: Outbox | None, clock: Clock
    ) -> None:
        self._server, self._aggregates, self._places = server, aggregates, places
        self._outbox, self._clock = outbox, clock
        self._known: dict[bytes, bytes] = {}
        self._keys = server.keys.of("meta", "seen", *LOG_KEYS, "deltas", *RECORD_KEYS, "outbox")

    def apply(self, commit: Commit) -> None:
        """Apply a commit, all or nothing, once."""
        with readable("a commit"):
            own = _source(commit.producer, commit.epoch)
            events = _encoded(commit.events)
            delta = delta_bytes(commit.delta)
            records = [record_row(record) for record in commit.records]
        sources = {own, *(event.source for event in events)}
        for attempt in range(MAX_TRIES):
            before = self._applied(sources, is_fresh=attempt > 0)
            taken = _taken_in(before, own, commit.number, events)
            is_known = taken is None and attempt > 0  # applied before, and Redis says so, not only we
            if is_known or (taken is not None and self._write(before, taken.after, self._new(taken), delta, records)):
                if self._outbox is not None and records:
                    self._outbox.deliver()
                return
        raise ConflictError(f"{commit.producer!r} commits from elsewhere all the time; each process needs its own name")

    def _applied(self, sources: Set[bytes], *, is_fresh: bool) -> dict[bytes, bytes]:
        """What was applied of some sources, as bytes; empty where nothing was."""
        asked = [source for source in sources if is_fresh or source not in self._known]
        if asked:
            keys = self._server.keys.of("meta", "seen")
            found = self._server.read(_SEEN, keys, asked)
            self._known.update((source, data or b"") for source, data in zip(asked, found, strict=True))
        return {source: self._known[source] for source in sources}

    def _new(self, taken: _Taken) -> list[_Encoded]:
        """The events that are to be written: of those that the numbers do not tell of, what the log lacks."""
        there: set[tuple[bytes, int]] = set()
        for start in range(0, len(taken.doubtful), _ASKED):
            asked = taken.doubtful[start : start + _ASKED]
            found = self._server.read(_SAME_ID, self._keys, [event.heads[:ID_BYTES] for event in asked])
            there.update(event.name for event, rows in zip(asked, found, strict=True) if _holds(rows, event))
        new = []
        for event in taken.events:
            if event.name not in there:
                there.add(event.name)
                new.append(event)
        return new

    def _write(
        self,
        before: Mapping[bytes, bytes],
        after: Mapping[bytes, bytes],
        events: Sequence[_Encoded],
        delta: bytes,
        records: Sequence[tuple[bytes, bytes]],
    ) -> bool:
        letter = letter_of(records) if self._outbox is not None else b""
        records = () if letter else records
        args: list[Argument] = [given(self._clock), delta, letter, self._places.highest]
        args += [len(after), len(events), len(records)]
        for source, data in after.items():
            args += (source, before[source], data)
        for event in events:
            args += (event.row, event.heads)
        for record in records:
            args += record
        n_waiting, last = self._server.write(_COMMIT, self._keys, args)
        if n_waiting < 0:
            return False
        self._places.see(last)
        self._known.update(after)
        if n_waiting and n_waiting % FOLD_AT == 0:  # one of all processes folds
            try:
                self._aggregates.fold()
            except StoreUnreachableError as error:  # the commit is applied; the next dozen is folded with these
                log.info("deltas wait to be folded: %s", error)
        return True


class _Encoded(NamedTuple):
    """An event, ready to be sent."""

    source: bytes
    seq: int
    row: bytes
    heads: bytes

    @property
    def name(self) -> tuple[bytes, int]:
        """What there is one event of."""
        return self.source, self.seq


class _Taken(NamedTuple):
    """What a commit changes.

    Args:
        after: What is applied of each source after it.
        events: Those that are new, and those of which the numbers do not tell whether they are.
        doubtful: The latter.
    """

    after: Mapping[bytes, bytes]
    events: Sequence[_Encoded]
    doubtful: Sequence[_Encoded]


def _source(producer: str, epoch: int) -> bytes:
    return packed((producer, epoch))


def _encoded(events: Sequence[Event]) -> list[_Encoded]:
    found: list[_Encoded] = []
    breath = Breath()
    for n, event in enumerate(events):
        if n % _CHUNK == 0:
            breath()
        packed(event.seq)  # raises where it does not fit into 64 bits
        found.append(_Encoded(_source(event.producer, event.epoch), event.seq, event_row(event), heads_of(event)))
    return found


def _taken_in(before: Mapping[bytes, bytes], own: bytes, number: int, events: Sequence[_Encoded]) -> _Taken | None:
    """What a commit changes; None where it was applied."""
    applied = {
        source: decode_packed("the numbers of applied commits", data, _Applied) if data else _Applied(Seen(), Seen())
        for source, data in before.items()
    }
    if not applied[own].commits.add(number):
        return None
    taken, doubtful = [], []
    for event in events:
        seen = applied[event.source].events
        if seen.add(event.seq):
            taken.append(event)
        elif seen.is_given_up(event.seq):
            taken.append(event)
            doubtful.append(event)
    return _Taken({source: packed(each) for source, each in applied.items()}, taken, doubtful)


def _holds(rows: Sequence[bytes], event: _Encoded) -> bool:
    return any(_name(row) == event.name for row in rows if row)


def _name(row: bytes) -> tuple[bytes, int] | None:
    try:
        event = decode_event(row[TIME.size :])
    except StoreCorruptError:  # ``check`` tells of it; a commit need not wait for that
        return None
    return _source(event.producer, event.epoch), event.seq

"""The part of the event log that lies in one shard; it knows its own counts, not the log's positions."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from operator import itemgetter

from hivefeedback_stores.erasure import Placed
from hivefeedback_stores.redis_client import Script, Server
from hivefeedback_stores.redis_events import BLOCK, SPLIT, TIME, decoded, members_of
from hivefeedback_stores.redis_keys import LOG_KEYS
from hivefeedback_stores.redis_places import Places
from hivefeedback_stores.redis_rows import MATCHING

__all__ = ["DROP", "ShardLog"]

DROP = (
    SPLIT
    + f"""
local function drop(n, events, joins, blocks)
  local count, touched = 0, {{}}
  for _ = 1, n do
    local position = take()
    count = count + redis.call('HDEL', events, position)
    redis.call('ZREM', joins, unpack(split(take(), 8)))
    touched[math.floor(tonumber(position) / {BLOCK})] = true
  end
  for block in pairs(touched) do
    local places = {{}}
    for i = 0, {BLOCK} - 1 do places[i + 1] = string.format('%.0f', block * {BLOCK} + i) end
    local first
    for _, row in ipairs(redis.call('HMGET', events, unpack(places))) do
      if row then
        local at = struct.unpack('>d', row)
        if not first or at < first then first = at end
      end
    end
    local name = string.format('%.0f', block)
    if first then redis.call('HSET', blocks, name, struct.pack('>d', first)) else redis.call('HDEL', blocks, name) end
  end
  return count
end
"""
)
"""Lua: ``drop`` takes positions and members, and removes those events; answers how many were there."""

_BOUNDS = Script("return redis.call('HMGET', KEYS[1], 'first', 'last')", needs_store=False)
_RAISE = Script(
    """
if schema and tonumber(redis.call('HGET', KEYS[1], 'last') or 0) < tonumber(ARGV[1]) then
  redis.call('HSET', KEYS[1], 'last', ARGV[1])
  local is_empty = redis.call('EXISTS', KEYS[2]) == 0
  if is_empty then redis.call('HSET', KEYS[1], 'first', string.format('%.0f', ARGV[1] + 1)) end
end
return redis.call('HGET', KEYS[1], 'first')
""",
    needs_store=False,
)
_COUNT = Script("return redis.call('HLEN', KEYS[2])", needs_store=False)
_ROWS = Script("return redis.call('HMGET', KEYS[2], unpack(ARGV))", needs_store=False)
_BLOCKS = Script("return redis.call('HGETALL', KEYS[4])", needs_store=False)
_DROP = Script(
    DROP
    + """
local fence = tonumber(take())
if fence > 0 and fence < tonumber(redis.call('HGET', KEYS[1], 'token') or 0) then
  return redis.error_reply('HIVE_FENCED')
end
return drop((#ARGV - 1) / 2, KEYS[2], KEYS[3], KEYS[4])
"""
)
_FIRST = Script(
    "if tonumber(redis.call('HGET', KEYS[1], 'first') or 0) < tonumber(ARGV[1]) then "
    "redis.call('HSET', KEYS[1], 'first', ARGV[1]) end"
)


class ShardLog:
    """Events of one shard. ``Placed`` carries the log's positions, everything else the shard's counts.

    Args:
        server: The shard.
        places: How positions are counted.
    """

    def __init__(self, server: Server, places: Places) -> None:
        self.server, self._places = server, places
        self._keys = server.keys.of("meta", *LOG_KEYS)

    def bounds(self) -> tuple[int, int]:
        """The first count that may still hold an event, and the last that was given."""
        first, last = self.server.read(_BOUNDS, self._keys)
        return int(first or 1), int(last or 0)

    def raise_to(self, count: int) -> int:
        """Have all later commits counted from there on; the first count that may still hold an event."""
        return int(self.server.read(_RAISE, self._keys, (count,)) or 1)

    def count(self) -> int:
        """How many events are stored."""
        return int(self.server.read(_COUNT, self._keys))

    def block(self, start: int, n: int) -> list[Placed]:
        """The events at ``n`` (at most 1000) counts."""
        counts = range(start, start + n)
        rows = self.server.read(_ROWS, self._keys, counts)
        return [self._placed(c, row) for c, row in zip(counts, rows, strict=True) if row is not None]

    def _placed(self, count: int, row: bytes) -> Placed:
        return decoded(self._places.position(self.server.shard, count), row)

    def older(self, before_s: float, after: int, limit: int) -> list[Placed]:
        """Events behind a position that are older than a time, in order."""
        found: list[Placed] = []
        begin = self._places.count(after)
        for block in self._blocks_before(before_s):
            start, last = max(block * BLOCK, begin), block * BLOCK + BLOCK - 1
            if start <= last and len(found) < limit:
                flat = self.server.read(MATCHING, self._keys, (repr(before_s), start, last))
                placed = (self._placed(int(c), row) for c, row in zip(flat[::2], flat[1::2], strict=True))
                found += [each for each in placed if each[0] > after]
        return found[: max(0, limit)]

    def _blocks_before(self, before_s: float) -> list[int]:
        """Blocks that hold something older, in order."""
        flat = self.server.read(_BLOCKS, self._keys)
        blocks = [(int(n), TIME.unpack(at)[0]) for n, at in zip(flat[::2], flat[1::2], strict=True)]
        return sorted(number for number, at_s in blocks if at_s < before_s)

    def drop(self, placed: Iterable[Placed], token: int) -> int:
        """Drop events; refused where a newer leader than ``token`` (0: nobody) has raised it."""
        gone = 0
        counted = sorted(((self._places.count(p), e) for p, e in placed), key=itemgetter(0))
        for _, block in groupby(counted, key=lambda each: each[0] // BLOCK):
            args = [argument for c, e in block for argument in (c, members_of(c, e))]
            gone += int(self.server.write(_DROP, self._keys, (token, *args)))
        if gone:
            self.begin_later()
        return gone

    def begin_later(self) -> None:
        """Remember where the first event lies now, so that nobody looks for those before it."""
        _, last = self.bounds()  # before the blocks: what is committed meanwhile lies behind
        kept = self._blocks_before(float("inf"))
        self.server.write(_FIRST, self._keys, (min(kept) * BLOCK if kept else last + 1,))

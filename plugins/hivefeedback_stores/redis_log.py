"""The event log in Redis."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Literal

from hivefeedback.hooks import Selector
from hivefeedback.model import Event
from hivefeedback_stores.codec import encode
from hivefeedback_stores.erasure import Join, Placed, choose_run, matches, said_of
from hivefeedback_stores.redis_client import Argument, Script, Server
from hivefeedback_stores.redis_events import BLOCK, ID, RUNS, SAID, SPLIT, TIME, carries, decoded, head, members_of
from hivefeedback_stores.rules import joins_of

__all__ = ["DROP", "LOG_KEYS", "RedisLog", "Rows"]

LOG_KEYS = ("events", "joins", "blocks")

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
_COUNT = Script("return redis.call('HLEN', KEYS[2])", needs_store=False)
_ROWS = Script("return redis.call('HMGET', KEYS[2], unpack(ARGV))", needs_store=False)
_FOUND = Script(
    """
local members, answer = redis.call('ZREVRANGEBYLEX', KEYS[3], ARGV[2], ARGV[1], 'LIMIT', ARGV[3], ARGV[4]), {}
for _, member in ipairs(members) do
  local position = string.format('%.0f', struct.unpack('>I8', member, #member - 7))
  local row = redis.call('HGET', KEYS[2], position)
  answer[#answer + 1] = position; answer[#answer + 1] = row or ''
end
return answer
""",
    needs_store=False,
)
_MATCHING = Script(
    """
local answer, places = {}, {}
for i = tonumber(ARGV[2]), tonumber(ARGV[3]) do places[#places + 1] = string.format('%.0f', i) end
for i, row in ipairs(redis.call('HMGET', KEYS[2], unpack(places))) do
  if row and (ARGV[1] == '' or struct.unpack('>d', row) < tonumber(ARGV[1])) then
    local has_all = true
    for j = 4, #ARGV do has_all = has_all and string.find(row, ARGV[j], 1, true) end
    if has_all then answer[#answer + 1] = places[i]; answer[#answer + 1] = row end
  end
end
return answer
""",
    needs_store=False,
)
_BLOCKS = Script("return redis.call('HGETALL', KEYS[4])", needs_store=False)
_DROP = Script(DROP + "return drop(#ARGV / 2, KEYS[2], KEYS[3], KEYS[4])")
_FIRST = Script(
    "if tonumber(redis.call('HGET', KEYS[1], 'first') or 0) < tonumber(ARGV[1]) then "
    "redis.call('HSET', KEYS[1], 'first', ARGV[1]) end"
)
_PAGE = 100
"""Events that one look-up reads at first; a session may have many."""


class RedisLog:
    """``TrimmedLog`` in Redis.

    Args:
        server: Where.
        erase: What ``erase`` does; it concerns the aggregates too.
    """

    def __init__(self, server: Server, erase: Callable[[Selector], int]) -> None:
        self._server, self._erase = server, erase
        self._keys = server.keys.of("meta", *LOG_KEYS)

    def read(self, *, after: int = 0, limit: int = 10_000) -> Sequence[tuple[int, Event]]:
        first, last = self.bounds()
        found: list[Placed] = []
        start = max(after + 1, first)
        while start <= last and len(found) < limit:
            n = min(BLOCK, limit - len(found), last - start + 1)
            found += self.block(start, n)
            start += n
        return found

    def bounds(self) -> tuple[int, int]:
        """The first position that may still hold an event, and the last that was given."""
        first, last = self._server.read(_BOUNDS, self._keys)
        return int(first or 1), int(last or 0)

    def block(self, start: int, n: int) -> list[Placed]:
        """The events at ``n`` (at most 1000) positions."""
        places = range(start, start + n)
        rows = self._server.read(_ROWS, self._keys, places)
        return [decoded(p, row) for p, row in zip(places, rows, strict=True) if row is not None]

    def find(self, event_id: str) -> Event | None:
        return next((event for _, event in Rows(self._server).newest(ID, event_id)), None)

    def find_run(
        self, *, trace_id: str = "", decision_id: str = "", response_id: str = "", session_id: str = ""
    ) -> Event | None:
        for join, value in joins_of(trace_id, decision_id, response_id, session_id):
            rows = Rows(self._server)
            if join == "trace_id":
                return choose_run(join, rows.runs_by(join, value))
            return next((event for _, event in rows.newest(RUNS[join], value)), None)
        return None

    def runs_by(self, *, trace_id: str = "", decision_id: str = "") -> Sequence[Event]:
        for join, value in joins_of(trace_id, decision_id, "", ""):
            return [event for _, event in sorted(Rows(self._server).runs_by(join, value))]
        return []

    def said_of(self, run: Event) -> Sequence[Event]:
        return [event for _, event in said_of(Rows(self._server), run)]

    def count(self) -> int:
        return int(self._server.read(_COUNT, self._keys))

    def erase(self, selector: Selector) -> int:
        return self._erase(selector)

    def retain(self, *, before_s: float) -> int:
        gone, last = 0, 0
        while some := self.older(before_s=before_s, after=last):
            gone += self.drop(some)
            last = some[-1][0]
        return gone

    def older(self, *, before_s: float, after: int = 0, limit: int = 10_000) -> Sequence[tuple[int, Event]]:
        found: list[Placed] = []
        for block in self._blocks_before(before_s):
            start, last = max(block * BLOCK, after + 1), block * BLOCK + BLOCK - 1
            if start <= last and len(found) < limit:
                flat = self._server.read(_MATCHING, self._keys, (repr(before_s), start, last))
                found += [decoded(int(p), row) for p, row in zip(flat[::2], flat[1::2], strict=True)]
        return found[: max(0, limit)]

    def _blocks_before(self, before_s: float) -> list[int]:
        """Blocks that hold something older, in order."""
        flat = self._server.read(_BLOCKS, self._keys)
        blocks = [(int(n), TIME.unpack(at)[0]) for n, at in zip(flat[::2], flat[1::2], strict=True)]
        return sorted(number for number, at_s in blocks if at_s < before_s)

    def drop(self, placed: Sequence[tuple[int, Event]]) -> int:
        gone = 0
        for _, block in groupby(sorted(placed, key=itemgetter(0)), key=lambda each: each[0] // BLOCK):
            args = [argument for p, e in block for argument in (p, members_of(p, e))]
            gone += int(self._server.write(_DROP, self._keys, args))
        if gone:
            self._begin_later()
        return gone

    def _begin_later(self) -> None:
        """Remember where the first event lies now, so that nobody looks for those before it."""
        _, last = self.bounds()  # before the blocks: what is committed meanwhile lies behind
        kept = self._blocks_before(float("inf"))
        self._server.write(_FIRST, self._keys, (min(kept) * BLOCK if kept else last + 1,))


class Rows:
    """The look-ups of an erasure; what was looked up once is remembered.

    Args:
        server: Where.
        among: Positions that ``matching`` looks at.
    """

    def __init__(self, server: Server, among: range = range(0)) -> None:
        self._server, self._among = server, among
        self._keys = server.keys.of("meta", *LOG_KEYS)
        self._known: dict[tuple[int, str], list[Placed]] = {}

    def newest(self, kind: int, value: str) -> Iterator[Placed]:
        """Events that are found by a value, the newest first: runs by time, all by position."""
        start = head(kind, value)
        low, high, offset, n = b"[" + start, b"(" + start + b"\xff" * 17, 0, 1
        while True:
            args: tuple[Argument, ...] = (low, high, offset, n)
            flat = self._server.read(_FOUND, self._keys, args)
            for position, row in zip(flat[::2], flat[1::2], strict=True):
                placed = decoded(int(position), row) if row else None
                if placed is not None and carries(placed[1], kind, value):
                    yield placed
            if len(flat) < 2 * n:
                return
            offset, n = offset + n, _PAGE

    def _all(self, kind: int, value: str) -> list[Placed]:
        known = self._known.get((kind, value))
        if known is None:
            known = self._known[kind, value] = sorted(self.newest(kind, value), key=lambda placed: placed[0])
        return known

    def matching(self, selector: Selector) -> list[Placed]:
        """Redis hands out only rows whose JSON holds the encoded names: a text is encoded in one way."""
        names = [n for n in (selector.deployment, selector.agent, selector.session, selector.user) if n]
        wanted = [encode("a name to erase", name) for name in names]
        before = "" if selector.before_s is None else repr(selector.before_s)
        found: list[Placed] = []
        for start in range(self._among.start, self._among.stop, BLOCK):
            last = min(start + BLOCK, self._among.stop) - 1
            flat = self._server.read(_MATCHING, self._keys, (before, start, last, *wanted))
            found += [decoded(int(p), row) for p, row in zip(flat[::2], flat[1::2], strict=True)]
        return [(p, e) for p, e in found if matches(e, selector)]

    def with_id(self, event_id: str) -> Sequence[Placed]:
        return self._all(ID, event_id)

    def runs_by(self, join: Join, value: str) -> Sequence[Placed]:
        return self._all(RUNS[join], value)

    def said_by(self, join: Join | Literal["run_id"], value: str) -> Sequence[Placed]:
        return self._all(SAID[join], value)

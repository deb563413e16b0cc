"""Looking events up in Redis by what they are found by: in one shard, and in all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import merge
from typing import Literal

from hivefeedback.hooks import Selector
from hivefeedback_stores.codec import encode
from hivefeedback_stores.erasure import Join, Placed, matches
from hivefeedback_stores.redis_client import Argument, Script, Server
from hivefeedback_stores.redis_events import BLOCK, ID, RUNS, SAID, carries, decoded, head
from hivefeedback_stores.redis_keys import LOG_KEYS
from hivefeedback_stores.redis_places import Places

__all__ = ["MATCHING", "Rows"]

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
MATCHING = Script(
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
"""Rows at positions from ARGV[2] to ARGV[3] of a time before ARGV[1], in which all other texts occur."""

_PAGE = 100
"""Events that one look-up reads at first; a session may have many."""


class Rows:
    """The look-ups of an erasure, in all shards; what was looked up once is remembered.

    Args:
        shards: The store's.
        places: How their positions are counted.
        among: What ``matching`` looks at: a shard, and counts in it.
    """

    def __init__(self, shards: Sequence[Server], places: Places, among: tuple[Server, range] | None = None) -> None:
        self._shards, self._places, self._among = shards, places, among
        self._known: dict[tuple[int, str], list[Placed]] = {}

    def newest(self, kind: int, value: str) -> Iterator[Placed]:
        """Events that are found by a value, the newest first: runs by time, all by position."""
        is_run = kind in RUNS.values()

        def order(placed: Placed) -> tuple[float, int]:
            return placed[1].event_time_s if is_run else 0.0, placed[0]

        if len(self._shards) == 1:
            return self._newest_in(self._shards[0], kind, value)
        return merge(*(self._newest_in(shard, kind, value) for shard in self._shards), key=order, reverse=True)

    def _newest_in(self, shard: Server, kind: int, value: str) -> Iterator[Placed]:
        start = head(kind, value)
        low, high, offset, n = b"[" + start, b"(" + start + b"\xff" * 17, 0, 1
        keys = shard.keys.of("meta", *LOG_KEYS)
        while True:
            args: tuple[Argument, ...] = (low, high, offset, n)
            flat = shard.read(_FOUND, keys, args)
            for placed in self._placed(shard, flat):
                if carries(placed[1], kind, value):
                    yield placed
            if len(flat) < 2 * n:
                return
            offset, n = offset + n, _PAGE

    def _placed(self, shard: Server, flat: Sequence[bytes]) -> Iterator[Placed]:
        for count, row in zip(flat[::2], flat[1::2], strict=True):
            if row:
                yield decoded(self._places.position(shard.shard, int(count)), row)

    def _all(self, kind: int, value: str) -> list[Placed]:
        known = self._known.get((kind, value))
        if known is None:
            known = self._known[kind, value] = sorted(self.newest(kind, value), key=lambda placed: placed[0])
        return known

    def matching(self, selector: Selector) -> list[Placed]:
        """Redis hands out only rows whose JSON holds the encoded names: a text is encoded in one way."""
        if self._among is None:
            return []
        names = [n for n in (selector.deployment, selector.agent, selector.session, selector.user) if n]
        wanted = [encode("a name to erase", name) for name in names]
        before = "" if selector.before_s is None else repr(selector.before_s)
        shard, counts = self._among
        keys = shard.keys.of("meta", *LOG_KEYS)
        found: list[Placed] = []
        for start in range(counts.start, counts.stop, BLOCK):
            last = min(start + BLOCK, counts.stop) - 1
            found += self._placed(shard, shard.read(MATCHING, keys, (before, start, last, *wanted)))
        return [(p, e) for p, e in found if matches(e, selector)]

    def with_id(self, event_id: str) -> Sequence[Placed]:
        return self._all(ID, event_id)

    def runs_by(self, join: Join, value: str) -> Sequence[Placed]:
        return self._all(RUNS[join], value)

    def said_by(self, join: Join | Literal["run_id"], value: str) -> Sequence[Placed]:
        return self._all(SAID[join], value)

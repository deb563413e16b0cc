"""The event log in Redis, over all shards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import merge
from operator import itemgetter

from hivefeedback.hooks import Selector
from hivefeedback.model import Event
from hivefeedback_stores.erasure import Placed, choose_run, said_of
from hivefeedback_stores.redis_client import Server
from hivefeedback_stores.redis_events import BLOCK, ID, RUNS
from hivefeedback_stores.redis_fence import Fence
from hivefeedback_stores.redis_places import Places
from hivefeedback_stores.redis_rows import Rows
from hivefeedback_stores.redis_shard_log import ShardLog
from hivefeedback_stores.rules import joins_of

__all__ = ["RedisLog"]

_POSITION = itemgetter(0)


class RedisLog:
    """``TrimmedLog`` in Redis; ``redis_places`` says in which order.

    Args:
        shards: The store's.
        places: How their positions are counted.
        fence: What the leader's upkeep is let in by.
        erase: What ``erase`` does; it concerns the aggregates too.
    """

    def __init__(
        self, shards: Sequence[Server], places: Places, fence: Fence, erase: Callable[[Selector], int]
    ) -> None:
        self._shards, self._places, self._fence, self._erase = shards, places, fence, erase
        self.parts = [ShardLog(shard, places) for shard in shards]

    def read(self, *, after: int = 0, limit: int = 10_000) -> Sequence[tuple[int, Event]]:
        first, last = self._settled()
        found: list[Placed] = []
        start, band = max(self._places.count(after + 1), first), max(1, BLOCK // len(self.parts))
        n = max(1, limit // len(self.parts))
        while start <= last and len(found) < limit:
            n = min(band, n, last - start + 1)
            placed = merge(*(part.block(start, n) for part in self.parts), key=_POSITION)
            found += [each for each in placed if each[0] > after]
            start, n = start + n, 2 * n  # where much was erased, few calls find what is behind it
        return found[: max(0, limit)]

    def _settled(self) -> tuple[int, int]:
        """The first and last counts of all shards; no commit will be counted up to the last any more."""
        bounds = [part.bounds() for part in self.parts]
        last = max(count for _, count in bounds)
        firsts: list[int] = []
        for part, (first, count) in zip(self.parts, bounds, strict=True):
            is_behind = count < last and not part.server.read_only
            firsts.append(part.raise_to(last) if is_behind else first)
        self._places.see(last)
        return min(firsts), last

    def _rows(self) -> Rows:
        return Rows(self._shards, self._places)

    def find(self, event_id: str) -> Event | None:
        return next((event for _, event in self._rows().newest(ID, event_id)), None)

    def find_run(
        self, *, trace_id: str = "", decision_id: str = "", response_id: str = "", session_id: str = ""
    ) -> Event | None:
        for join, value in joins_of(trace_id, decision_id, response_id, session_id):
            rows = self._rows()
            if join in ("trace_id", "decision_id"):
                return choose_run(join, rows.runs_by(join, value))
            return next((event for _, event in rows.newest(RUNS[join], value)), None)
        return None

    def runs_by(self, *, trace_id: str = "", decision_id: str = "") -> Sequence[Event]:
        for join, value in joins_of(trace_id, decision_id, "", ""):
            return [event for _, event in sorted(self._rows().runs_by(join, value), key=_POSITION)]
        return []

    def said_of(self, run: Event) -> Sequence[Event]:
        return [event for _, event in said_of(self._rows(), run)]

    def count(self) -> int:
        return sum(part.count() for part in self.parts)

    def erase(self, selector: Selector) -> int:
        return self._erase(selector)

    def retain(self, *, before_s: float) -> int:
        gone, last = 0, 0
        while some := self.older(before_s=before_s, after=last):
            gone += self.drop(some)
            last = some[-1][0]
        return gone

    def older(self, *, before_s: float, after: int = 0, limit: int = 10_000) -> Sequence[tuple[int, Event]]:
        found = merge(*(part.older(before_s, after, limit) for part in self.parts), key=_POSITION)
        return list(found)[: max(0, limit)]

    def drop(self, placed: Sequence[tuple[int, Event]]) -> int:
        gone = 0
        for part in self.parts:
            mine = [each for each in placed if self._places.shard(each[0]) == part.server.shard]
            if mine:
                gone += part.drop(mine, self._fence.token)
        return gone

"""Events in memory, with the look-ups that late feedback and erasures need."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby, islice
from operator import attrgetter
from typing import Literal, TypeVar

from hivefeedback.hooks import Selector
from hivefeedback.model import Event, Feedback, Run, Score
from hivefeedback_stores.erasure import JOINS, Join, Placed, matches

__all__ = ["Events"]

_Said = Join | Literal["run_id"]
_FORGOTTEN = 10_000
"""Positions of forgotten events that are kept in the order before it is cut."""
K = TypeVar("K")
_SOURCE, _SEQ = attrgetter("producer", "epoch"), attrgetter("seq")


class Events:
    """Events by position, in the order in which they were committed; a ``Source`` of erasures.

    ``lines`` is a memo of whoever writes the events down: they never change, so each is encoded once.

    Args:
        most: So many are kept, the newest; None: all.
    """

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self.by_position: dict[int, Event] = {}
        self.lines: dict[int, bytes] = {}
        self.next = 1
        self._order: list[int] = []
        self._n_forgotten = 0
        self._clear()

    def _clear(self) -> None:
        self._known: defaultdict[tuple[str, int], set[int]] = defaultdict(set)
        self._n_indexed = 0
        self._ids: defaultdict[str, list[int]] = defaultdict(list)
        self._runs: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        self._said: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        self._order, self._n_forgotten = [], 0

    def __len__(self) -> int:
        return len(self.by_position)

    def extend(self, events: Iterable[Event]) -> None:
        """Append events, but for those whose (producer, epoch, seq) is there."""
        several = events if isinstance(events, list) else list(events)
        if not self._extend_at_once(several):
            self._extend_one_by_one(several)
        if self._most is not None and len(self.by_position) > self._most:
            self._forget_oldest(len(self.by_position) - self._most)

    def _extend_at_once(self, events: list[Event]) -> bool:
        """Append events of one source that are all new; False where they are not."""
        sources = set(map(_SOURCE, events))
        if len(sources) != 1:
            return False
        seqs, known = list(map(_SEQ, events)), self._known[sources.pop()]
        if not known.isdisjoint(seqs) or len(set(seqs)) < len(seqs):
            return False
        known.update(seqs)
        positions = range(self.next, self.next + len(events))
        self.by_position.update(zip(positions, events, strict=True))
        self._order += positions
        self.next = positions.stop
        return True

    def _extend_one_by_one(self, events: list[Event]) -> None:
        by_position, order = self.by_position, self._order
        source, known = None, set[int]()
        for event in events:
            if (event.producer, event.epoch) != source:
                source = (event.producer, event.epoch)
                known = self._known[source]
            if event.seq in known:
                continue
            by_position[self.next] = event
            order.append(self.next)
            known.add(event.seq)
            self.next += 1

    def _forget_oldest(self, n: int) -> None:
        first = self._n_forgotten
        positions = self._order[first : first + n]
        events = list(map(self.by_position.pop, positions))
        for position in positions if self.lines else ():
            self.lines.pop(position, None)
        for event in events[: max(0, self._n_indexed - first)]:
            self._forget_index(event)
        for (producer, epoch), some in groupby(events, _SOURCE):
            self._known[(producer, epoch)].difference_update(map(_SEQ, some))
        self._n_forgotten += n
        self._n_indexed = max(self._n_indexed, self._n_forgotten)
        if self._n_forgotten > _FORGOTTEN:
            del self._order[: self._n_forgotten]
            self._n_indexed -= self._n_forgotten
            self._n_forgotten = 0

    def _forget_index(self, event: Event) -> None:
        _forget(self._ids, event.event_id)
        body = event.body
        if isinstance(body, Run | Feedback):
            for join in JOINS:
                _forget(self._runs if isinstance(body, Run) else self._said, (join, getattr(body, join)))
        if isinstance(body, Feedback | Score):
            _forget(self._said, ("run_id", body.run_id))

    def place(self, position: int, event: Event) -> None:
        """Put an event at a position behind all others."""
        self.by_position[position] = event
        self.next = position + 1
        self._order.append(position)
        self._known[(event.producer, event.epoch)].add(event.seq)

    def _up_to_date(self) -> None:
        """Index what came since the last look-up: most events are never looked up."""
        for position in self._order[self._n_indexed :]:
            self._index(position, self.by_position[position])
        self._n_indexed = len(self._order)

    def _index(self, position: int, event: Event) -> None:
        self._ids[event.event_id].append(position)
        body = event.body
        if isinstance(body, Run):
            self._join(self._runs, body, position)
        elif isinstance(body, Feedback):
            self._join(self._said, body, position)
        if isinstance(body, Feedback | Score) and body.run_id:
            self._said[("run_id", body.run_id)].append(position)

    @staticmethod
    def _join(into: defaultdict[tuple[str, str], list[int]], body: Run | Feedback, position: int) -> None:
        for join in JOINS:
            value: str = getattr(body, join)
            if value:
                into[(join, value)].append(position)

    def remove(self, is_gone: Callable[[int, Event], bool]) -> int:
        """Drop events; answers how many went."""
        kept = {p: e for p, e in self.by_position.items() if not is_gone(p, e)}
        gone = len(self.by_position) - len(kept)
        if gone:
            self.by_position = kept
            self.lines = {p: line for p, line in self.lines.items() if p in kept}
            self._clear()
            for position, event in kept.items():
                self._order.append(position)
                self._known[(event.producer, event.epoch)].add(event.seq)
        return gone

    def after(self, position: int, limit: int) -> list[Placed]:
        """At most ``limit`` events behind a position."""
        low = bisect_right(self._order, position, lo=self._n_forgotten)
        return [(p, self.by_position[p]) for p in islice(self._order, low, low + max(0, limit))]

    def matching(self, selector: Selector) -> Iterable[Placed]:
        return [(p, e) for p, e in self.by_position.items() if matches(e, selector)]

    def with_id(self, event_id: str) -> Sequence[Placed]:
        self._up_to_date()
        return self._at(self._ids.get(event_id, ()))

    def runs_by(self, join: Join, value: str) -> Sequence[Placed]:
        self._up_to_date()
        return self._at(self._runs.get((join, value), ()))

    def said_by(self, join: _Said, value: str) -> Sequence[Placed]:
        self._up_to_date()
        return self._at(self._said.get((join, value), ()))

    def _at(self, positions: Iterable[int]) -> list[Placed]:
        return [(p, self.by_position[p]) for p in positions]


def _forget(places: dict[K, list[int]], name: K) -> None:
    """Drop the oldest position under a name; it is that of the oldest event."""
    found = places.get(name)
    if found:
        del found[0]
        if not found:
            del places[name]

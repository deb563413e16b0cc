"""Requests in the air: what was decided for each, and which deployments have failed it."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from msgspec import Struct

from hivefeedback.model import Decision

__all__ = ["Flight", "Flights", "Recent"]

V = TypeVar("V")

_SWEEP_EVERY = 64
"""Puts between two looks for what is too old."""


class Flight(Struct):
    """One request of the application, over all its attempts.

    Args:
        decision: What the loop answered; it stays the same over retries and fallbacks.
        group: The model group that it was asked for.
        acts: True where the decision is to be served; else LiteLLM's own selection serves.
        attempt_started_s: When the attempt in the air began, on the monotonic clock.
        in_air: The deployment that is serving it; empty between attempts and at the end.
        failed: Deployments that have failed this request.
        last_run: run_id of the newest failed attempt.
    """

    decision: Decision
    group: str
    acts: bool
    attempt_started_s: float = 0.0
    failed: frozenset[str] = frozenset()
    last_run: str = ""
    in_air: str = ""

    def served_by(self, deployment: str) -> Decision | None:
        """The decision as it is for the deployment that serves, whoever selected it.

        None where the decision knows nothing of it: one of another model group.
        """
        decision = self.decision
        if decision.deployment == deployment:
            return decision
        known = decision.offer is not None and deployment in decision.offer.lineup.candidates
        return decision.falling_back(deployment) if known else None


class Flights:
    """The newest ``size`` flights, in slots that are used again and again.

    This is on the path of each request, so it is no map with locks: a put is one store into a
    list, and a flight that lost its slot is told by its decision's id.
    """

    def __init__(self, size: int = 8192) -> None:
        self._slots: list[Flight | None] = [None] * size
        self._numbers = itertools.count()

    def put(self, flight: Flight) -> int:
        """Remember a flight; answers its number."""
        number = next(self._numbers)
        self._slots[number % len(self._slots)] = flight
        return number

    def get(self, number: int, decision_id: str) -> Flight | None:
        """The flight of that number and decision, or None where its slot was used again."""
        flight = self._slots[number % len(self._slots)]
        return flight if flight is not None and flight.decision.decision_id == decision_id else None

    def in_air(self, now_s: float, *, ttl_s: float = 900.0) -> dict[str, int]:
        """Attempts in the air per deployment; those older than ``ttl_s`` seconds were lost.

        Args:
            now_s: On the monotonic clock.
            ttl_s: LiteLLM's longest timeout is 600 s by default.
        """
        flying = [f for f in self._slots if f is not None and f.in_air and now_s - f.attempt_started_s <= ttl_s]
        return dict(Counter(f.in_air for f in flying))


class Recent(Generic[V]):
    """A map that forgets: at most ``size`` entries, none older than ``ttl_s`` seconds.

    LiteLLM's events come from several threads, so each access takes a short lock.

    >>> recent: Recent[int] = Recent(size=2)
    >>> for key in "abc": recent.put(key, 1)
    >>> recent.get("a"), recent.get("c")
    (None, 1)
    """

    def __init__(self, size: int = 10_000, ttl_s: float = 900.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._size, self._ttl_s, self._clock = size, ttl_s, clock
        # an OrderedDict finds its oldest entry at once; a dict walks over all that were deleted
        self._items: OrderedDict[Hashable, tuple[float, V]] = OrderedDict()
        self._puts = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._items)

    def put(self, key: Hashable, value: V) -> None:
        """Remember a value; what is too old or too much goes."""
        with self._lock:
            self._put(key, value)

    def get(self, key: Hashable) -> V | None:
        """The value, or None where it is unknown or too old."""
        with self._lock:
            found = self._items.get(key)
        return found[1] if found and self._clock() - found[0] <= self._ttl_s else None

    def first(self, key: Hashable, value: V) -> bool:
        """Remember a key; True where it was not there yet."""
        with self._lock:
            found = self._items.get(key)
            if found and self._clock() - found[0] <= self._ttl_s:
                return False
            self._put(key, value)
            return True

    def _put(self, key: Hashable, value: V) -> None:
        now = self._clock()
        items = self._items
        items.pop(key, None)
        items[key] = (now, value)
        self._puts += 1
        if len(items) > self._size or not self._puts % _SWEEP_EVERY:
            self._sweep(now)

    def _sweep(self, now: float) -> None:
        while self._items:
            oldest, (put_at, _) = next(iter(self._items.items()))
            if len(self._items) <= self._size and now - put_at <= self._ttl_s:
                break
            del self._items[oldest]

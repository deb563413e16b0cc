"""Requests in the air: what was decided for each, and which deployments have failed it."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from hivefeedback.model import Decision

__all__ = ["Flight", "Recent"]

V = TypeVar("V")


@dataclass(slots=True)
class Flight:
    """One request of the application, over all its attempts.

    Args:
        decision: What the loop answered; it stays the same over retries and fallbacks.
        group: The model group that it was asked for.
        failed: Deployments that have failed this request.
        attempt_started_s: When the attempt in the air began, on the monotonic clock.
        last_run: run_id of the newest failed attempt.
        hands_off: True where the caller brought weights of its own.
    """

    decision: Decision
    group: str
    failed: set[str] = field(default_factory=set)
    attempt_started_s: float = 0.0
    last_run: str = ""
    hands_off: bool = False


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
        self._items: OrderedDict[Hashable, tuple[float, V]] = OrderedDict()
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
        self._items.pop(key, None)
        self._items[key] = (now, value)
        while self._items:
            oldest, (put_at, _) = next(iter(self._items.items()))
            if len(self._items) <= self._size and now - put_at <= self._ttl_s:
                break
            del self._items[oldest]

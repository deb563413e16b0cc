"""The first draw of each (session, operation), so that it can be repeated."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress

__all__ = ["Sessions"]


class Sessions:
    """A bounded map, least recently used out; safe from any thread.

    >>> s = Sessions(1)
    >>> s.remember("a", "op", "x", 0.5); s.remember("b", "op", "y", 0.25)
    >>> s.recall("a", "op"), s.recall("b", "op")
    (None, ('y', 0.25))
    """

    __slots__ = ("_first", "_size")

    def __init__(self, size: int) -> None:
        self._first: OrderedDict[tuple[str, str], tuple[str, float | None]] = OrderedDict()
        self._size = size

    def recall(self, session_id: str, operation: str) -> tuple[str, float | None] | None:
        """Deployment and propensity of the session's first draw for this operation."""
        key = (session_id, operation)
        first = self._first.get(key)
        if first is not None:
            with suppress(KeyError):  # another thread just dropped it; what was read still holds
                self._first.move_to_end(key)
        return first

    def remember(self, session_id: str, operation: str, deployment: str, propensity: float | None) -> None:
        """Keep a first draw."""
        self._first[(session_id, operation)] = (deployment, propensity)
        while len(self._first) > self._size:
            try:
                self._first.popitem(last=False)
            except KeyError:
                return

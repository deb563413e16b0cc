"""How many runs are under way, per deployment, in this process."""

from __future__ import annotations

from collections import deque

__all__ = ["Flights"]

_MAX_NAMES = 10_000
_MAX_EACH = 100_000


class Flights:
    """Counts runs from their begin to their end, on the application's threads and without a lock.

    A run under way is an item of its deployment's deque: to put and to take one is atomic, where
    ``n += 1`` is not. Names and runs are bounded; what lies beyond is not counted.

    >>> flights = Flights()
    >>> flights.began("a"), flights.began("a"), flights.ended("a")
    (None, None, None)
    >>> flights.counts()
    {'a': 1}
    """

    def __init__(self) -> None:
        self._open: dict[str, deque[None]] = {}

    def began(self, deployment: object) -> None:
        """A run began; whoever says so must say that it ended. What is no name is not counted."""
        if not isinstance(deployment, str):
            return
        runs = self._open.get(deployment)
        if runs is None:
            if not deployment or len(self._open) >= _MAX_NAMES:
                return
            runs = self._open.setdefault(deployment, deque(maxlen=_MAX_EACH))
        runs.append(None)

    def ended(self, deployment: object) -> None:
        """One that began has ended; nothing happens where none is under way."""
        if not isinstance(deployment, str):
            return
        runs = self._open.get(deployment)
        if runs:
            try:
                runs.pop()
            except IndexError:  # another thread ended the last one in between
                return

    def counts(self) -> dict[str, int]:
        """Runs under way of each deployment that has any."""
        return {name: len(runs) for name, runs in tuple(self._open.items()) if runs}

    def clear(self) -> None:
        """None is under way: in a forked child they are the parent's."""
        self._open = {}

"""How many runs are under way, per deployment, in this process."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from weakref import WeakMethod

__all__ = ["Flights"]

log = logging.getLogger(__name__)
_Source = Callable[[], Mapping[str, int]]

_MAX_NAMES = 10_000
_MAX_EACH = 100_000


class Flights:
    """Counts runs from their begin to their end, on the application's threads and without a lock.

    A run under way is an item of its deployment's deque: to put and to take one is atomic, where
    ``n += 1`` is not. Names and runs are bounded; what lies beyond is not counted. Who keeps a map of
    its calls anyway need not say it of each: it is asked when somebody wants to know (``watch``).

    >>> flights = Flights()
    >>> flights.began("a"), flights.began("a"), flights.ended("a")
    (None, None, None)
    >>> flights.counts()
    {'a': 1}
    """

    def __init__(self) -> None:
        self._open: dict[str, deque[None]] = {}
        self._sources: list[Callable[[], _Source | None]] = []

    def watch(self, source: _Source) -> None:
        """Ask ``source`` whenever runs are counted; a method is asked while its object lives.

        Args:
            source: Answers its own runs under way per deployment; from any thread.
        """
        is_method = hasattr(source, "__self__") and hasattr(source, "__func__")
        self._sources.append(WeakMethod(source) if is_method else lambda: source)

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
        found = {name: len(runs) for name, runs in tuple(self._open.items()) if runs}
        for ask in tuple(self._sources):
            source = ask()
            if source is None:
                with suppress(ValueError):  # another thread was here first
                    self._sources.remove(ask)
                continue
            for name, n in self._asked(source).items():
                found[name] = found.get(name, 0) + n
        return found

    @staticmethod
    def _asked(source: _Source) -> Mapping[str, int]:
        try:
            return source()
        except Exception as error:  # noqa: BLE001  # the plugin guard: an integration costs its own answer alone
            log.warning("runs under way are counted without those of %r: %s", source, error)
            return {}

    def clear(self) -> None:
        """None is under way: in a forked child they are the parent's."""
        self._open = {}

"""Runs that have no other name than their ids are kept as their events, and indexed when somebody asks."""

from __future__ import annotations

from collections.abc import Sequence

from hivefeedback.model import Event

__all__ = ["KeptEvents"]


class _Generation:
    __slots__ = ("_index", "_slices", "n")

    def __init__(self) -> None:
        self.n = 0
        self._slices: list[Sequence[Event]] = []
        self._index: dict[str, Event] = {}

    def add(self, events: Sequence[Event]) -> None:
        self._slices.append(events)
        self.n += len(events)

    @property
    def index(self) -> dict[str, Event]:
        for events in self._slices:
            self._index.update((event.event_id, event) for event in events)
        self._slices.clear()
        return self._index


class KeptEvents:
    """The last ``size`` events, and up to as many older ones: they are forgotten all at once.

    >>> kept = KeptEvents(2)
    >>> "r1" in kept
    False
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._young, self._old = _Generation(), _Generation()

    def __contains__(self, event_id: str) -> bool:
        return event_id in self._young.index or event_id in self._old.index

    def add(self, events: Sequence[Event]) -> None:
        """Keep events."""
        if self._young.n >= self._size:
            self._young, self._old = _Generation(), self._young
        self._young.add(events)

    def pop(self, event_id: str) -> Event | None:
        """Take an event out."""
        return self._young.index.pop(event_id, None) or self._old.index.pop(event_id, None)

    def clear(self) -> None:
        """Forget all."""
        self._young, self._old = _Generation(), _Generation()

"""Runs that were learnt in groups are kept as their events, and indexed when somebody asks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from hivefeedback.model import Decision, Event, Run

__all__ = ["Kept", "KeptEvents"]


class Kept(NamedTuple):
    """A run that nobody asked for so far.

    Args:
        event: The run.
        decision: The decision behind it, where there was one; it may be forgotten elsewhere by now.
        newest_of: (kind, name) of its names that no newer run has that is kept.
    """

    event: Event
    decision: Decision | None = None
    newest_of: tuple[tuple[str, str], ...] = ()


class _Generation:
    __slots__ = ("_decisions", "_events", "_named", "_names", "_of_named", "_slices", "n", "traces")

    def __init__(self) -> None:
        self.n = 0
        self.traces: dict[str, str] = {}
        """Trace → id of its one run."""
        self._slices: list[Sequence[Event]] = []
        self._named: list[Event] = []
        self._of_named: list[Decision | None] = []
        self._events: dict[str, Event] = {}
        self._decisions: dict[str, Decision] = {}
        self._names: dict[str, str] = {}

    def add_all(self, events: Sequence[Event]) -> None:
        self._slices.append(events)
        self.n += len(events)

    def add(self, event: Event, decision: Decision | None, trace_id: str) -> None:
        self._named.append(event)
        self._of_named.append(decision)
        if trace_id:
            self.traces[trace_id] = event.event_id
        self.n += 1

    @property
    def events(self) -> dict[str, Event]:
        """By id."""
        for events in self._slices:
            self._events.update((event.event_id, event) for event in events)
        self._slices.clear()
        if self._named:
            self._index_named()
        return self._events

    @property
    def names(self) -> dict[str, str]:
        """Name of another kind → id of its newest run."""
        if self._named:
            self._index_named()
        return self._names

    def _index_named(self) -> None:
        names = self._names
        for event, decision in zip(self._named, self._of_named, strict=True):
            self._events[event.event_id] = event
            if decision is not None:
                self._decisions[event.event_id] = decision
            names.update((_key(*name), event.event_id) for name in _names_of(event) if name[0] != "trace")
        self._named.clear()
        self._of_named.clear()

    def pop(self, event_id: str) -> Kept | None:
        event = self.events.pop(event_id, None)
        return Kept(event, self._decisions.pop(event_id, None)) if event is not None else None


class KeptEvents:
    """The last ``size`` runs, and up to as many older ones: they are forgotten all at once.

    >>> kept = KeptEvents(2)
    >>> "r1" in kept
    False
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._young, self._old = _Generation(), _Generation()

    def __contains__(self, event_id: str) -> bool:
        return event_id in self._young.events or event_id in self._old.events

    def add_all(self, events: Sequence[Event]) -> None:
        """Keep runs that have no other name than their ids."""
        self._make_room()
        self._young.add_all(events)

    def add(self, event: Event, run: Run, decision: Decision | None) -> None:
        """Keep a run that has other names: a trace that it is alone in, a decision, a response, a session."""
        self._make_room()
        self._young.add(event, decision, run.trace_id)

    def _make_room(self) -> None:
        if self._young.n >= self._size:
            self._young, self._old = _Generation(), self._young

    def has_trace(self, trace_id: str) -> bool:
        """True where a run of that trace is kept."""
        return trace_id in self._young.traces or trace_id in self._old.traces

    def newest(self, kind: str, name: str) -> str | None:
        """Id of the newest run of a trace, decision, response or session."""
        for generation in (self._young, self._old):
            found = (generation.traces if kind == "trace" else generation.names).get(_key(kind, name))
            if found is not None:
                return found
        return None

    def pop(self, event_id: str) -> Kept | None:
        """Take a run out by its id; its names lead here no longer where it was the newest that has them."""
        kept = self._young.pop(event_id) or self._old.pop(event_id)
        if kept is None:
            return None
        return kept._replace(newest_of=tuple(n for n in _names_of(kept.event) if self._let_go(*n, event_id)))

    def _let_go(self, kind: str, name: str, event_id: str) -> bool:
        if self.newest(kind, name) != event_id:
            return False
        for generation in (self._young, self._old):
            (generation.traces if kind == "trace" else generation.names).pop(_key(kind, name), None)
        return True

    def clear(self) -> None:
        """Forget all."""
        self._young, self._old = _Generation(), _Generation()


def _names_of(event: Event) -> list[tuple[str, str]]:
    """(kind, name) of all names that a run has beside its id."""
    run = event.body
    assert isinstance(run, Run)
    trace, decision = ("trace", run.trace_id), ("decision", run.decision_id)
    return [(k, n) for k, n in (trace, decision, ("response", run.response_id), ("session", run.session_id)) if n]


def _key(kind: str, name: str) -> str:
    return name if kind == "trace" else f"{kind}/{name}"

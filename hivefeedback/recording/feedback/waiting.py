"""Feedback that waits for its run, by what it names the run by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from hivefeedback.model import Event, Feedback, Run
from hivefeedback.recording.feedback.join import Recent

__all__ = ["MOST", "Waiting", "name_of"]

MOST: Final = 100_000
"""For all runs together: without words, some 100 MB."""
_MOST_EACH: Final = 1000
"""For one run; a flood about one that never comes must not fill the memory."""


class Waiting:
    """Keeps it in the order in which it came.

    Args:
        dropped: Told of feedback that had to make room for newer one.

    >>> waiting = Waiting(print)
    >>> early = Event("p", 1, 1, "f1", 0.0, 0.0, Feedback("helpful", 1.0, trace_id="t"))
    >>> waiting.add(early), early in waiting, waiting.awaits("r1", Run("a", "x", trace_id="t"))
    (True, True, True)
    >>> [event.event_id for event in waiting.take_all("r1", Run("a", "x", trace_id="t"))], early in waiting
    (['f1'], False)
    """

    def __init__(self, dropped: Callable[[Event], object]) -> None:
        self._dropped = dropped
        self._by_name: Recent[list[Event]] = Recent(MOST)
        self._n = 0

    def add(self, event: Event) -> bool:
        """Keep it until its run comes; False where too much waits for that run."""
        name = name_of(event.body)
        waiting = self._by_name.get(name)
        if waiting is not None and len(waiting) >= _MOST_EACH:
            return False
        if self._n >= MOST:
            self._drop_oldest()
        if waiting is None:
            self._by_name.add(name, [event])
        else:
            waiting.append(event)
        self._n += 1
        return True

    def _drop_oldest(self) -> None:
        gone = self._by_name.pop_oldest() or []
        self._n -= len(gone)
        for event in gone:
            self._dropped(event)

    def __contains__(self, event: Event) -> bool:
        waiting = self._by_name.get(name_of(event.body))
        return waiting is not None and any(e.event_id == event.event_id for e in waiting)

    def all(self) -> list[Event]:
        """Everything that waits."""
        return [event for events in self._by_name.values() for event in events]

    def of(self, name: str) -> list[Event]:
        """What waits under a name."""
        return list(self._by_name.get(name) or ())

    def remove(self, event: Event) -> None:
        """It waits no more."""
        name = name_of(event.body)
        waiting = self._by_name.get(name) or []
        kept = [e for e in waiting if e.event_id != event.event_id]
        self._n -= len(waiting) - len(kept)
        waiting[:] = kept
        if not kept:
            self._by_name.pop(name)

    def awaits(self, run_id: str, run: Run) -> bool:
        """True where something waits for a run, by its id or another name."""
        by_name = self._by_name
        return len(by_name) > 0 and any(name in by_name for name in _names_of(run_id, run))

    def take_all(self, run_id: str, run: Run) -> list[Event]:
        """What waited for a run that came in, by whatever name."""
        if not len(self._by_name):
            return []
        found = [event for name in _names_of(run_id, run) for event in self._by_name.pop(name) or ()]
        self._n -= len(found)
        return found


def _names_of(run_id: str, run: Run) -> list[str]:
    """What feedback may name a run by."""
    kinds = (("run", run_id), ("trace", run.trace_id), ("decision", run.decision_id), ("response", run.response_id))
    return [f"{kind}/{name}" for kind, name in kinds if name]


def name_of(body: object) -> str:
    """What feedback names its run by, the most exact first; only that one counts. Empty where it names none."""
    if not isinstance(body, Feedback):
        return ""
    for kind, name in (
        ("run", body.run_id),
        ("trace", body.trace_id),
        ("decision", body.decision_id),
        ("response", body.response_id),
        ("session", body.session_id),
    ):
        if name:
            return f"{kind}/{name}"
    return ""

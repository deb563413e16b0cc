"""What an erasure removes: matching runs, their decisions, and what was said about them.

The stores differ in how they look events up; what belongs to an erasure is the same for all, so it
is worked out here, against the few look-ups of ``Source``.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Literal, Protocol

from hivefeedback.errors import InvalidInputError
from hivefeedback.hooks import Selector
from hivefeedback.model import DecisionRecord, Event, Feedback, Run, Score

__all__ = [
    "JOINS",
    "Join",
    "Placed",
    "Remembered",
    "Source",
    "check_selector",
    "choose_run",
    "matches",
    "said_of",
    "to_erase",
]

Placed = tuple[int, Event]
"""An event and its position in the log."""
Join = Literal["trace_id", "decision_id", "response_id", "session_id"]
JOINS: tuple[Join, ...] = ("trace_id", "decision_id", "response_id", "session_id")


class Source(Protocol):
    """The look-ups in a log that an erasure needs."""

    def matching(self, selector: Selector) -> Iterable[Placed]:
        """Events for which ``matches`` holds."""

    def with_id(self, event_id: str) -> Sequence[Placed]:
        """Events of that id."""

    def runs_by(self, join: Join, value: str) -> Sequence[Placed]:
        """Runs that carry the value."""

    def said_by(self, join: Join | Literal["run_id"], value: str) -> Sequence[Placed]:
        """Feedback and scores that carry the value."""


def check_selector(selector: Selector) -> None:
    """Refuse a selector that names nothing: it would erase everything.

    Raises:
        InvalidInputError: No part is given.
    """
    if selector == Selector():
        raise InvalidInputError("nothing to erase was named; give a deployment, agent, session, user or a time before")


def matches(event: Event, selector: Selector) -> bool:
    """True where the event itself is what the selector names.

    Decisions know no agent and no user, feedback knows no user: those go with their runs. Scores
    match by time alone. Control events hold nothing of a person and stay.
    """
    body = event.body
    if selector.before_s is not None and not event.event_time_s < selector.before_s:
        return False
    if isinstance(body, Run):
        has = (body.deployment, body.agent_id, body.session_id, body.user_id)
    elif isinstance(body, Feedback):
        has = (body.deployment, body.agent_id, body.session_id, "")
    elif isinstance(body, DecisionRecord):
        has = (body.deployment or "", "", body.session_id, "")
    elif isinstance(body, Score):
        has = ("", "", "", "")
    else:
        return False
    asked = (selector.deployment, selector.agent, selector.session, selector.user)
    return all(a is None or a == h for a, h in zip(asked, has, strict=True))


def choose_run(join: Join, runs: Sequence[Placed]) -> Event | None:
    """The run that a join means: of a trace its root (without parent; else the first), of a decision the newest
    of a model (else the newest), else the newest."""
    return _Runs(join, runs).until(None)


class _Runs:
    """The runs that carry one value."""

    def __init__(self, join: Join, runs: Iterable[Placed]) -> None:
        ordered = [e for _, e in sorted(runs, key=lambda placed: (placed[1].event_time_s, placed[0]))]
        if join == "trace_id":
            roots = [e for e in ordered if isinstance(e.body, Run) and not e.body.parent_id]
            ordered = (roots or ordered)[:1]
        elif join == "decision_id":
            ordered = [e for e in ordered if isinstance(e.body, Run) and e.body.kind == "llm"] or ordered
        self._events, self._times = ordered, [e.event_time_s for e in ordered]

    def until(self, time_s: float | None) -> Event | None:
        """The one that is meant; runs of a later time are left out, for feedback that joined when it came."""
        n = len(self._events) if time_s is None else bisect_right(self._times, time_s)
        return self._events[n - 1] if n else None


class Remembered:
    """A source that is asked each thing once: a session may have thousands of runs, and as much may be said
    of it, where each look at one of them needs all the others."""

    def __init__(self, source: Source) -> None:
        self.matching, self._source = source.matching, source
        self.with_id = cache(source.with_id)
        self.runs_by, self.said_by = cache(source.runs_by), cache(source.said_by)
        self._runs = cache(lambda join, value: _Runs(join, self.runs_by(join, value)))

    @staticmethod
    def of(source: Source) -> Remembered:
        """The source itself, where it remembers already."""
        return source if isinstance(source, Remembered) else Remembered(source)

    def run_of(self, event: Event) -> Event | None:
        """The run that a score or feedback is about, by the first join that it carries."""
        body = event.body
        if isinstance(body, Score | Feedback) and body.run_id:
            return next((e for _, e in reversed(self.with_id(body.run_id)) if isinstance(e.body, Run)), None)
        join = _first_join(body)
        if join is None:
            return None
        until_s = event.event_time_s if join == "session_id" else None
        return self._runs(join, getattr(body, join)).until(until_s)

    def said_of(self, run: Event) -> list[Placed]:
        """Feedback and scores about one run, in the order of the log."""
        found = dict(self.said_by("run_id", run.event_id))
        for join in JOINS:
            value: str = getattr(run.body, join)
            for position, event in self.said_by(join, value) if value else ():
                if _first_join(event.body) == join and self.run_of(event) == run:
                    found[position] = event
        return sorted(found.items())


def _first_join(body: object) -> Join | None:
    """What feedback names its run by; None where it names the run itself, or none."""
    if not isinstance(body, Feedback) or body.run_id:
        return None
    return next((join for join in JOINS if getattr(body, join)), None)


def said_of(source: Source, run: Event) -> list[Placed]:
    """Feedback and scores about one run, in the order of the log."""
    return Remembered.of(source).said_of(run)


def to_erase(source: Source, selector: Selector) -> dict[int, Event]:
    """All events that go, by position."""
    known = Remembered.of(source)
    gone = dict(known.matching(selector))
    for run in [e for e in gone.values() if isinstance(e.body, Run)]:
        gone.update(known.said_of(run))
        assert isinstance(run.body, Run)
        if run.body.decision_id:
            made = known.with_id(run.body.decision_id)
            gone.update((p, e) for p, e in made if isinstance(e.body, DecisionRecord))
    return gone

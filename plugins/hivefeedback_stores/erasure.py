"""What an erasure removes: matching runs, their decisions, and what was said about them.

The stores differ in how they look events up; what belongs to an erasure is the same for all, so it
is worked out here, against the few look-ups of ``Source``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, Protocol

from hivefeedback.errors import InvalidInputError
from hivefeedback.hooks import Selector
from hivefeedback.model import DecisionRecord, Event, Feedback, Run, Score

__all__ = [
    "JOINS",
    "Join",
    "Placed",
    "Source",
    "check_selector",
    "choose_run",
    "matches",
    "run_of",
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


def choose_run(join: Join, runs: Sequence[Placed], *, until_s: float | None = None) -> Event | None:
    """The run that a join means: of a trace its root (without parent; else the first), else the newest.

    ``until_s`` leaves out runs of a later time, for feedback that joined when it came.
    """
    ordered = sorted(runs, key=lambda placed: (placed[1].event_time_s, placed[0]))
    if join == "trace_id":
        roots = [e for _, e in ordered if isinstance(e.body, Run) and not e.body.parent_id]
        return next(iter(roots or [e for _, e in ordered]), None)
    known = [e for _, e in ordered if until_s is None or e.event_time_s <= until_s]
    return known[-1] if known else None


def run_of(source: Source, event: Event) -> Event | None:
    """The run that a score or feedback is about, by the first join that it carries."""
    body = event.body
    if isinstance(body, Score | Feedback) and body.run_id:
        return next((e for _, e in reversed(source.with_id(body.run_id)) if isinstance(e.body, Run)), None)
    if not isinstance(body, Feedback):
        return None
    for join in JOINS:
        value: str = getattr(body, join)
        if value:
            until_s = event.event_time_s if join == "session_id" else None
            return choose_run(join, source.runs_by(join, value), until_s=until_s)
    return None


def said_of(source: Source, run: Event) -> list[Placed]:
    """Feedback and scores about one run, in the order of the log."""
    found = dict(source.said_by("run_id", run.event_id))
    for join in JOINS:
        value: str = getattr(run.body, join)
        for position, event in source.said_by(join, value) if value else ():
            if position not in found and run_of(source, event) == run:
                found[position] = event
    return sorted(found.items())


def to_erase(source: Source, selector: Selector) -> dict[int, Event]:
    """All events that go, by position."""
    gone = dict(source.matching(selector))
    for run in [e for e in gone.values() if isinstance(e.body, Run)]:
        gone.update(said_of(source, run))
        assert isinstance(run.body, Run)
        if run.body.decision_id:
            made = source.with_id(run.body.decision_id)
            gone.update((p, e) for p, e in made if isinstance(e.body, DecisionRecord))
    return gone

"""What the store knows of a run that is no longer in memory, for feedback that comes late."""

from __future__ import annotations

from msgspec import Struct

from hivefeedback.hooks import Store
from hivefeedback.model import DecisionRecord, Event, Feedback, Run

__all__ = ["Found", "find_run", "look_up"]


class Found(Struct, frozen=True):
    """The answer to a lookup.

    Args:
        run: The run's event, or None.
        decision: The decision behind it, where it is logged.
        said: Feedback and scores that the log holds of the run, in its order.
    """

    run: Event | None = None
    decision: DecisionRecord | None = None
    said: tuple[Event, ...] = ()


def find_run(store: Store, feedback: Feedback) -> Event | None:
    """The run that feedback names, from the log; by the first thing that it names."""
    if feedback.run_id:
        return store.log.find(feedback.run_id)
    if feedback.trace_id:
        return store.log.find_run(trace_id=feedback.trace_id)
    if feedback.decision_id:
        return store.log.find_run(decision_id=feedback.decision_id)
    if feedback.response_id:
        return store.log.find_run(response_id=feedback.response_id)
    return store.log.find_run(session_id=feedback.session_id) if feedback.session_id else None


def look_up(store: Store, feedback: Feedback) -> Found:
    """Everything that the store knows of the run that feedback is about."""
    run = find_run(store, feedback)
    if run is None or not isinstance(run.body, Run):
        return Found()
    decision = store.log.find(run.body.decision_id) if run.body.decision_id else None
    return Found(
        run,
        decision.body if decision is not None and isinstance(decision.body, DecisionRecord) else None,
        tuple(store.log.said_of(run)),
    )

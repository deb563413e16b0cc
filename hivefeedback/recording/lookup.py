"""What the store knows of a run that is no longer in memory, for feedback that comes late."""

from __future__ import annotations

import hashlib

import msgspec
from msgspec import Struct

from hivefeedback.hooks import Record, Store
from hivefeedback.model import DecisionRecord, Event, Feedback, Run

__all__ = ["Found", "find_run", "key_record", "look_up"]

_NAMESPACE = "feedback_key"
_decoder = msgspec.json.Decoder(tuple[str, float])


class Found(Struct, frozen=True):
    """The answer to a lookup.

    Args:
        run: The run's event, or None.
        decision: The decision behind it, where it is logged.
        before: Name and value of the judgement that the same idempotency key brought before.
    """

    run: Event | None = None
    decision: DecisionRecord | None = None
    before: tuple[str, float] | None = None


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
    record = None
    if feedback.idempotency_key:
        record = store.state.get(_NAMESPACE, _digest(run.event_id, feedback.idempotency_key))
    return Found(
        run,
        decision.body if decision is not None and isinstance(decision.body, DecisionRecord) else None,
        _decoder.decode(record.value) if record is not None else None,
    )


def key_record(run_id: str, key: str, name: str, value: float, expires_at_s: float | None) -> Record:
    """Remembers what an idempotency key said of a run, so that a repeat after a restart replaces it."""
    return Record(_NAMESPACE, _digest(run_id, key), msgspec.json.encode((name, value)), expires_at_s=expires_at_s)


def _digest(run_id: str, key: str) -> str:
    return hashlib.blake2b(f"{len(run_id)}:{run_id}{key}".encode(), digest_size=16).hexdigest()

"""Events, deltas and commits for the store contract; small, and the same at every call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from hivefeedback.hooks import Commit, Record
from hivefeedback.model import Assignment, DecisionRecord, Event, Feedback, Run, Score
from hivefeedback.stats import CellKey, Delta, Exemplar, bucket_of

__all__ = ["T0", "commit_of", "decision_event", "delta_of", "feedback_event", "run_event", "score_event"]

T0 = 1_700_000_400.0
"""Begin of a minute; the hour it lies in began 1200 s before, the day 80 400 s before."""


def run_event(
    seq: int, *, at_s: float = T0, producer: str = "p", epoch: int = 1, run_id: str = "", **fields: Any
) -> Event:
    """A run; ``fields`` are those of ``Run``."""
    run_id = run_id or f"r-{producer}-{epoch}-{seq}"
    given = {"deployment": "a", "operation": "op", "duration_s": 0.5, **fields}
    return Event(producer, epoch, seq, run_id, at_s, at_s, Run(run_id=run_id, started_at_s=at_s, **given))


def feedback_event(seq: int, *, at_s: float = T0, producer: str = "p", epoch: int = 1, **fields: Any) -> Event:
    """Feedback; ``fields`` are those of ``Feedback``."""
    return Event(producer, epoch, seq, f"f-{producer}-{epoch}-{seq}", at_s, at_s, Feedback(**fields))


def score_event(seq: int, run_id: str, value: float = 0.5, *, at_s: float = T0, producer: str = "p") -> Event:
    """A score named ``exact_match``."""
    return Event(producer, 1, seq, f"s-{producer}-1-{seq}", at_s, at_s, Score(run_id, "exact_match", value))


def decision_event(
    seq: int, decision_id: str, *, at_s: float = T0, arms: Sequence[tuple[str, str]] = (), **fields: Any
) -> Event:
    """A decision; ``arms`` are (rollout, variant), ``fields`` those of ``DecisionRecord``."""
    assignments = tuple(Assignment(rollout, variant, 0.5) for rollout, variant in arms)
    given = {"operation": "op", "deployment": "a", **fields}
    return Event("p", 1, seq, decision_id, at_s, at_s, DecisionRecord(assignments=assignments, **given))


def delta_of(events: Iterable[Event], *, fingerprint: str = "fp", arms: Sequence[str] = ()) -> Delta:
    """What a recorder adds for runs: each once under arm ``""`` and once under each of ``arms``."""
    delta = Delta()
    for event in events:
        run = event.body
        if not isinstance(run, Run):
            continue
        for arm in ("", *arms):
            key = CellKey(run.deployment, run.operation, run.agent_id, arm, fingerprint)
            delta.cell(key, bucket_of(event.event_time_s)).add_run(run)
        exemplar = Exemplar(event.event_time_s, event.event_id, run.duration_s, run.outcome, run.trace_id)
        delta.add_exemplar(run.deployment, run.operation, exemplar)
    return delta


def commit_of(
    number: int,
    events: Sequence[Event] = (),
    *,
    delta: Delta | None = None,
    producer: str = "p",
    epoch: int = 1,
    records: Sequence[Record] = (),
) -> Commit:
    """A commit of events with what a recorder adds for them."""
    return Commit(producer, epoch, number, events, delta_of(events) if delta is None else delta, records)

"""How an erasure changes the success of queries, by run.

A query may lose its root, a run below it, or something that was said of it. What it counted before
and what it counts without the erased events is worked out from the log, by the default rules.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from msgspec import Struct

from hivefeedback.model import Event, Feedback, Run, Score, has_value
from hivefeedback.stats import JUDGED_UNIT, Judged, Query, QueryTrace, query_success
from hivefeedback_stores.erasure import Join, Remembered, Source

__all__ = ["QueryChange", "is_remark", "query_changes", "values_of"]


class QueryChange(Struct, frozen=True):
    """What the cell of a run loses; negative counts are given back.

    Args:
        run: The run's event.
        lost: n and Σ of its queries.
    """

    run: Event
    lost: Judged


class _Seen(Struct):
    """A run as queries see it."""

    run_id: str
    deployment: str
    outcome: str
    kind: str
    judged: dict[str, tuple[str, float]] | None


def query_changes(source: Source, gone: Collection[Event]) -> list[QueryChange]:
    """What changes where these events go.

    Args:
        source: The log, with them.
        gone: Runs, feedback and scores; other events change nothing.
    """
    ids, known = {event.event_id for event in gone}, Remembered.of(source)
    changes: list[QueryChange] = []
    for runs in _groups(known, gone):
        before = _successes(known, runs, ())
        after = _successes(known, [run for run in runs if run.event_id not in ids], ids)
        for run in runs:
            old, new = before.get(run.event_id), after.get(run.event_id)
            if old != new:
                changes.append(QueryChange(run, _lost(old, new)))
    return changes


def _groups(known: Remembered, gone: Iterable[Event]) -> Iterator[list[Event]]:
    """The runs of each query that may change, in the order of the log."""
    done: set[tuple[str, int, str, str]] = set()
    for event in gone:
        run = event if isinstance(event.body, Run) else known.run_of(event)
        if run is None or not isinstance(run.body, Run):
            continue
        join: Join = "trace_id" if run.body.trace_id else "decision_id"
        value = run.body.trace_id or run.body.decision_id
        name = (run.producer, run.epoch, join if value else "run_id", value or run.event_id)
        if name in done:
            continue
        done.add(name)
        placed = sorted(known.runs_by(join, value)) if value else [(0, run)]
        yield [e for _, e in placed if (e.producer, e.epoch) == name[:2]]


def _successes(known: Remembered, runs: Sequence[Event], gone: Collection[str]) -> dict[str, float]:
    """Success of the queries that are counted at each run."""
    trace: QueryTrace[_Seen] = QueryTrace()
    for event in runs:
        run = event.body
        assert isinstance(run, Run)
        said = [e for _, e in known.said_of(event) if e.event_id not in gone] if not run.parent_id else ()
        seen = _Seen(event.event_id, run.deployment, run.outcome, run.kind, values_of(said))
        trace.add(seen, _nothing, is_root=not run.parent_id, attempt=run.attempt)
    found: dict[str, float] = {}
    for query in trace.queries:
        success = query_success(query.head.outcome, query.judged.values())
        if success is not None:
            found.update(dict.fromkeys((used.run_id for used in query.used.values()), success))
    return found


def is_remark(event: Event) -> bool:
    """A comment alone: it is kept and was never counted."""
    return isinstance(event.body, Feedback) and not has_value(event.body)


def values_of(said: Iterable[Event]) -> dict[str, tuple[str, float]]:
    """(name, value) of what was said by key; the same idempotency key or scorer replaces."""
    latest: dict[str, tuple[str, float]] = {}
    for event in said:
        body = event.body
        if isinstance(body, Score):
            latest[f"{body.source}:{body.name}"] = (body.name, body.value)
        elif isinstance(body, Feedback) and has_value(body):
            latest[body.idempotency_key or event.event_id] = (body.name, _value(body))
    return latest


def _value(feedback: Feedback) -> float:
    """What it was counted as: ``value`` wins where both are given; the rating is kept as it was said."""
    if feedback.value is not None:
        return float(feedback.value)
    return 1.0 if feedback.rating is None else (feedback.rating - 1) / 4


def _lost(old: float | None, new: float | None) -> Judged:
    n = (old is not None) - (new is not None)
    total = round(((old or 0.0) - (new or 0.0)) * JUDGED_UNIT)
    return Judged(n, total, total * JUDGED_UNIT)


def _nothing(query: Query[_Seen], sign: int) -> None:
    """Only the end counts."""

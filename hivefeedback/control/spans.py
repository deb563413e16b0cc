"""Spans of stages and of a mutation's steps, linked to the traces that justified it."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager

from opentelemetry import trace

from hivefeedback import telemetry
from hivefeedback.model import JournalEntry, Mutation

__all__ = ["evidence_links", "mutation_moved", "stage"]


_LOW_HALF = (1 << 64) - 1


def stage(name: str, turn_id: str) -> AbstractContextManager[trace.Span]:
    """A span around one stage of a turn."""
    attributes = {telemetry.STAGE_NAME: name, telemetry.TURN_ID: turn_id}
    tracer = trace.get_tracer(telemetry.SCOPE)
    return tracer.start_as_current_span(f"{telemetry.SPAN_STAGE} {name}", attributes=attributes)


def mutation_moved(mutation: Mutation, entry: JournalEntry) -> None:
    """A span that says which state a mutation has reached."""
    attributes: dict[str, str | int] = {
        telemetry.MUTATION_ID: entry.mutation_id,
        telemetry.MUTATION_KIND: mutation.kind.value,
        telemetry.MUTATION_TARGET: mutation.target,
        telemetry.MUTATION_STATE: entry.state,
        telemetry.CONFIG_VERSION: entry.seq,
    }
    tracer = trace.get_tracer(telemetry.SCOPE)
    name = f"{telemetry.SPAN_MUTATION} {mutation.kind.value}"
    tracer.start_span(name, links=evidence_links(mutation.evidence), attributes=attributes).end()


def evidence_links(evidence: Iterable[str]) -> list[trace.Link]:
    """Links to those pieces of evidence that are trace ids (32 hex digits).

    Only the trace is known, while a link needs a span too: the low half of the trace id, which is the
    span id of a root run whose trace was named after it.
    """
    links = []
    for name in evidence:
        trace_id = _trace_id(name)
        if trace_id:
            span_id = trace_id & _LOW_HALF or 1
            where = trace.SpanContext(trace_id, span_id, is_remote=True)
            links.append(trace.Link(where, {telemetry.LINK_KIND: "evidence"}))
    return links


def _trace_id(name: str) -> int:
    """The number of a trace id; 0 where it is none."""
    if len(name) != 32 or any(c not in "0123456789abcdefABCDEF" for c in name):
        return 0
    return int(name, 16)

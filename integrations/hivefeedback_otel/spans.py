"""Turns the events of a batch into spans; pure, without the SDK.

A trace reads like this, as far as its parts were recorded:

    the application's own span
    ├── route text-to-text/medical          the decision
    └── invoke_agent triage                 a root run
        ├── chat gpt-x                      a model call, with what was decided for it
        │   └── evaluation rating           feedback and scores, whenever they arrive
        └── execute_tool search

A run without any span above it hangs below the decision that it was served by.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

from msgspec import Struct

from hivefeedback import telemetry
from hivefeedback.model import BLAMED, DecisionRecord, Event, Feedback, Run, Score
from hivefeedback_otel.ids import LOW_HALF, derived_span_id, derived_trace_id, span_number, trace_number

__all__ = ["Place", "SpanData", "SpanMaker", "Value"]

Value = str | int | float | bool | Sequence[str]
V = TypeVar("V")

REMEMBERED: Final = 20_000
"""Runs and decisions whose place is remembered for what comes later; some MB."""
ROUTE_WAITS_S: Final = 60.0
"""How long a decision waits for its run, whose trace it belongs to; then it gets a trace of its own."""

_OPERATIONS: Final = {
    "llm": "chat",
    "agent": "invoke_agent",
    "tool": "execute_tool",
    "retriever": "retrieval",
    "chain": "invoke_workflow",
    "evaluation": "evaluation",
}


class Place(Struct, frozen=True):
    """Where a span is."""

    trace_id: int
    span_id: int


class SpanData(Struct, frozen=True):
    """One span, ready to be sent; times in ns since 1970 UTC, ``parent_id`` 0 for none."""

    name: str
    place: Place
    parent_id: int
    start_ns: int
    end_ns: int
    attributes: Mapping[str, Value]
    is_client: bool = False
    is_error: bool = False
    links: tuple[Place, ...] = ()
    events: tuple[tuple[str, Mapping[str, Value]], ...] = ()


class _Known(Struct):
    """A decision, and where its span went once it was made."""

    event: Event
    record: DecisionRecord
    place: Place | None = None


class SpanMaker:
    """Remembers places and decisions from batch to batch, within bounds."""

    def __init__(self) -> None:
        self._places: OrderedDict[str, Place] = OrderedDict()
        self._decisions: OrderedDict[str, _Known] = OrderedDict()
        self._waiting: OrderedDict[str, _Known] = OrderedDict()

    def spans(self, events: Sequence[Event]) -> list[SpanData]:
        """The spans of a batch: decisions, runs, then what judges them."""
        made: list[SpanData] = []
        for event in events:
            if isinstance(event.body, DecisionRecord):
                known = _Known(event, event.body)
                _put(self._decisions, event.event_id, known)
                self._waiting[event.event_id] = known
        for event in events:
            if isinstance(event.body, Run):
                made += self._of_run(event, event.body)
        for event in events:
            if isinstance(event.body, Feedback | Score):
                made.append(self._of_judgement(event, event.body))
        if events:
            made += self._overdue(events[-1].ingest_time_s)
        return made

    # --- decisions ----------------------------------------------------------------------------

    def _overdue(self, now_s: float) -> list[SpanData]:
        made = []
        while self._waiting:
            decision_id, known = next(iter(self._waiting.items()))
            if known.event.ingest_time_s > now_s - ROUTE_WAITS_S and len(self._waiting) <= REMEMBERED:
                break
            made.append(self._route(known, derived_trace_id(decision_id), 0))
        return made

    def _route(self, known: _Known, trace_id: int, parent_id: int) -> SpanData:
        """The span of a decision; made once."""
        event, record = known.event, known.record
        self._waiting.pop(event.event_id, None)
        known.place = Place(trace_id, derived_span_id(event.event_id))
        at_ns = _ns(event.event_time_s)
        attributes = _given(
            {
                telemetry.DECISION_ID: event.event_id,
                telemetry.OPERATION: record.operation,
                telemetry.DEPLOYMENT: record.deployment,
                telemetry.REASON: record.reason,
                telemetry.ROUTE_CANDIDATES: record.candidate_set,
                telemetry.CONVERSATION_ID: record.session_id,
                **_decided(record),
            }
        )
        flags = tuple(
            (
                telemetry.FLAG_EVENT,
                {
                    telemetry.FLAG_KEY: a.rollout_id,
                    telemetry.FLAG_VARIANT: a.variant,
                    telemetry.FLAG_VERSION: str(record.config_version),
                    telemetry.FLAG_REASON: "split",
                },
            )
            for a in record.assignments
        )
        name = f"{telemetry.SPAN_ROUTE} {record.operation}"
        return SpanData(name, known.place, parent_id, at_ns, at_ns, attributes, events=flags)

    # --- runs ---------------------------------------------------------------------------------

    def _of_run(self, event: Event, run: Run) -> list[SpanData]:
        run_id, made = event.event_id, []
        known = self._decisions.get(run.decision_id) if run.decision_id else None
        trace_id = trace_number(run.trace_id) or self._trace_of(run, run_id)
        parent_id = self._parent_of(run, trace_id)
        if known is not None and known.place is None:
            made.append(self._route(known, trace_id, parent_id))
        links: tuple[Place, ...] = ()
        if known is not None and known.place is not None and not parent_id:
            if known.place.trace_id == trace_id:
                parent_id = known.place.span_id
            else:
                links = (known.place,)
        place = Place(trace_id, span_number(run.span_id) or self._own_span_id(run, run_id, trace_id))
        self._remember(run, run_id, place)
        start_ns = _ns(event.event_time_s)
        made.append(
            SpanData(
                _run_name(run),
                place,
                parent_id,
                start_ns,
                start_ns + _ns(run.duration_s or 0.0),
                _run_attributes(run, run_id, known.record if known is not None else None),
                is_client=run.kind == "llm",
                is_error=run.outcome in BLAMED or bool(run.error and run.outcome == "internal"),
                links=links,
            )
        )
        return made

    def _own_span_id(self, run: Run, run_id: str, trace_id: int) -> int:
        """The first root of a trace gets the id that links to a trace alone are made with."""
        is_first_root = bool(run.trace_id) and not run.parent_id and f"trace:{run.trace_id}" not in self._places
        return (trace_id & LOW_HALF if is_first_root else 0) or derived_span_id(run_id)

    def _trace_of(self, run: Run, run_id: str) -> int:
        """A trace for a run that names none: its parent's, else one that all attempts of a decision share."""
        above = self._places.get(f"run:{run.parent_id}") if run.parent_id else None
        return above.trace_id if above is not None else derived_trace_id(run.decision_id or run_id)

    def _parent_of(self, run: Run, trace_id: int) -> int:
        """Span id of the parent, which a run names by its span id or by its run id; 0 for none."""
        if not run.parent_id:
            return span_number(str(run.attributes.get(telemetry.PARENT_SPAN, "")))
        above = self._places.get(f"run:{run.parent_id}")
        if above is not None:
            return above.span_id if above.trace_id == trace_id else 0
        return span_number(run.parent_id)

    def _remember(self, run: Run, run_id: str, place: Place) -> None:
        """What later feedback may name; a trace is its root run."""
        _put(self._places, f"run:{run_id}", place)
        if run.trace_id and (not run.parent_id or f"trace:{run.trace_id}" not in self._places):
            _put(self._places, f"trace:{run.trace_id}", place)
        for kind, name in (
            ("decision", run.decision_id),
            ("response", run.response_id),
            ("session", run.session_id),
        ):
            if name:
                _put(self._places, f"{kind}:{name}", place)

    # --- judgements -----------------------------------------------------------------------------

    def _of_judgement(self, event: Event, body: Feedback | Score) -> SpanData:
        """A span without length below what is judged: comments and corrections stay at home."""
        value = float(body.value) if body.value is not None else None
        attributes = _given(
            {
                telemetry.OPERATION_NAME: "evaluation",
                telemetry.EVALUATION_NAME: body.name,
                telemetry.EVALUATION_VALUE: value,
                telemetry.EVALUATION_EXPLANATION: body.explanation if isinstance(body, Score) else "",
                telemetry.FEEDBACK_SOURCE: body.source,
                telemetry.RUN_ID: body.run_id,
                telemetry.RESPONSE_ID: body.response_id if isinstance(body, Feedback) else "",
            }
        )
        judged = self._judged(body)
        at_ns = _ns(event.event_time_s)
        trace_id = judged.trace_id if judged is not None else derived_trace_id(event.event_id)
        if judged is None and isinstance(body, Feedback):
            trace_id = trace_number(body.trace_id) or trace_id
        return SpanData(
            f"evaluation {body.name}",
            Place(trace_id, derived_span_id(event.event_id)),
            judged.span_id if judged is not None else 0,
            at_ns,
            at_ns,
            attributes,
            events=((telemetry.EVALUATION_EVENT, attributes),),
        )

    def _judged(self, body: Feedback | Score) -> Place | None:
        keys = [("run", body.run_id)]
        if isinstance(body, Feedback):
            keys += [
                ("trace", body.trace_id),
                ("decision", body.decision_id),
                ("response", body.response_id),
                ("session", body.session_id),
            ]
        named = next((f"{kind}:{name}" for kind, name in keys if name), "")
        return self._places.get(named)


def _run_name(run: Run) -> str:
    subject = run.deployment
    if run.kind == "llm":
        subject = str(run.attributes.get(telemetry.REQUEST_MODEL) or run.deployment)
    elif run.kind == "agent":
        subject = run.agent_id or run.deployment
    return f"{_OPERATIONS.get(run.kind, run.kind)} {subject}"


def _run_attributes(run: Run, run_id: str, record: DecisionRecord | None) -> dict[str, Value]:
    is_model = run.kind == "llm"
    return _given(
        {
            telemetry.OPERATION_NAME: _OPERATIONS.get(run.kind, run.kind),
            telemetry.PROVIDER_NAME: run.attributes.get(telemetry.PROVIDER_NAME),
            telemetry.REQUEST_MODEL: (run.attributes.get(telemetry.REQUEST_MODEL) or run.deployment)
            if is_model
            else "",
            telemetry.TOOL_NAME: run.deployment if run.kind == "tool" else "",
            telemetry.RESPONSE_ID: run.response_id,
            telemetry.AGENT_NAME: run.agent_id,
            telemetry.CONVERSATION_ID: run.session_id,
            telemetry.TOKENS_IN: run.tokens_in,
            telemetry.TOKENS_OUT: run.tokens_out,
            telemetry.TIME_TO_FIRST_CHUNK: run.ttft_s,
            telemetry.ERROR_TYPE: run.error or (run.outcome if run.outcome in BLAMED else ""),
            telemetry.RUN_ID: run_id,
            telemetry.DECISION_ID: run.decision_id,
            telemetry.DEPLOYMENT: run.deployment if is_model else "",
            telemetry.OPERATION: run.operation,
            telemetry.OUTCOME: run.outcome,
            telemetry.COST_USD: run.cost_usd,
            **(_decided(record) if record is not None else {}),
        }
    )


def _decided(record: DecisionRecord) -> dict[str, Value | None]:
    return {
        telemetry.CONFIG_VERSION: record.config_version,
        telemetry.PROPENSITY: record.propensity,
        telemetry.ASSIGNMENTS: tuple(f"{a.rollout_id}:{a.variant}" for a in record.assignments),
    }


def _given(attributes: Mapping[str, Value | None]) -> dict[str, Value]:
    """Without what is not known: an empty attribute says less than none."""
    return {k: v for k, v in attributes.items() if v is not None and v != "" and v != ()}


def _ns(seconds: float) -> int:
    return max(0, int(seconds * 1e9))


def _put(memory: OrderedDict[str, V], key: str, value: V) -> None:
    memory[key] = value
    if len(memory) > REMEMBERED:
        memory.popitem(last=False)

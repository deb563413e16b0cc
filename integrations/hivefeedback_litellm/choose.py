"""Which deployment of a model group should serve an attempt."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.context import get_current

from hivefeedback_litellm.flights import Flight, Flights
from hivefeedback_litellm.request import STAMP, Json, ids_of, metadata_of, session_of, stamp_of

if TYPE_CHECKING:
    from hivefeedback import FeedbackLoop

__all__ = ["Chooser", "OperationOf"]

OperationOf = Callable[[str, Json], str]
"""From (model group, metadata of the request) to an operation path."""

_LOOKING = frozenset({"observe", "advise", "off"})
"""Reasons of decisions that only look: LiteLLM's own selection serves."""
_MOVED_LATER = ("_excluded_deployment_ids", "_target_order", "tags")
"""Keys of requests that LiteLLM filters after our hook; narrowing to one could leave nothing."""


class Chooser:
    """Asks the loop once per request, and steers each of its attempts.

    The decision of the first attempt stays the request's: a retry takes the next of its
    fallbacks, a fallback to another model group is left to LiteLLM, and both are recorded under
    that decision, so that arms are compared as they were assigned.
    """

    def __init__(self, loop: FeedbackLoop, router: Any, operation: str | OperationOf | None) -> None:
        self._loop, self._router, self._operation = loop, router, operation
        self._flights = Flights()
        flights = getattr(loop, "flights", None)  # what stands for a loop need not count
        if flights is not None:
            flights.watch(self.in_flight)

    def operation_of(self, group: str, metadata: Json) -> str:
        """The request's own operation, else what ``attach`` was told, else the model group."""
        named = metadata.get("operation") or metadata.get("hivefeedback.operation")
        if named:
            return str(named)
        if callable(self._operation):
            return self._operation(group, metadata)
        return self._operation or group

    def flight_of(self, metadata: Json) -> Flight | None:
        """What is known of the request that an event or attempt belongs to."""
        stamp = stamp_of(metadata)
        return self._flights.get(stamp.flight, stamp.decision_id) if stamp.decision_id else None

    def in_flight(self) -> dict[str, int]:
        """Attempts in the air per deployment; the loop asks this when it ranks by load."""
        return self._flights.in_air(time.monotonic())

    def narrow(self, group: str, healthy: list[Any], ids: list[str], request: dict[str, Any]) -> list[Any]:
        """The deployments that may serve this attempt; the pick is written into the request."""
        metadata = metadata_of(request)
        is_first = not metadata.get("attempted_retries") and not metadata.get("attempted_fallbacks")
        flight = self.decide(group, ids, request, metadata) if is_first else self.flight_of(metadata)
        if flight is None:
            return healthy
        flight.attempt_started_s = time.monotonic()
        return self._steer(flight, group, healthy, ids, request) if flight.acts else healthy

    def decide(self, group: str, ids: Sequence[str], request: Json, metadata: dict[str, Any]) -> Flight | None:
        """Ask the loop, and write its decision into the metadata, from where the events read it."""
        operation = self.operation_of(group, metadata)
        decision = self._loop.decide(operation, candidates=ids, session_id=session_of(request, metadata))
        name = decision.deployment
        if name is None or not decision.decision_id:
            return None
        acts = decision.reason not in _LOOKING and "_router_weights" not in request
        flight = Flight(decision, group, acts)
        number = self._flights.put(flight)
        # a Stamp, field by field: a plain tuple is made in a third of the time
        metadata[STAMP] = (decision.decision_id, operation, name if acts else "", _trace_id(), number, 1)
        return flight

    def _steer(
        self, flight: Flight, group: str, healthy: list[Any], ids: list[str], request: dict[str, Any]
    ) -> list[Any]:
        decision = flight.decision
        pick: str | None = decision.deployment
        if flight.failed or decision.excluded:
            shut = flight.failed | {e.deployment for e in decision.excluded if e.reason == "breaker_open"}
            healthy = [d for d, name in zip(healthy, ids, strict=True) if name not in shut] or healthy
            ids = ids_of(healthy)
        if pick not in ids:
            pick = next((n for n in decision.fallbacks if n in ids), None)
        if pick is None or group != flight.group:
            return healthy
        if self._router.routing_strategy == "simple-shuffle":
            # soft: applied after all of LiteLLM's own filters, and ignored where the pick is gone
            request["_router_weights"] = {group: {pick: 1.0}}
            return healthy
        return healthy if self._filters_later(request) else [healthy[ids.index(pick)]]

    def _filters_later(self, request: Json) -> bool:
        metadata = metadata_of(request)
        named = any(request.get(k) or metadata.get(k) for k in _MOVED_LATER)
        return named or bool(getattr(self._router, "enable_pre_call_checks", False))


def _trace_id() -> str:
    context = get_current()
    if not context:
        return ""  # an empty context has no span; this look is all that most calls pay
    span = trace.get_current_span(context).get_span_context()
    return format(span.trace_id, "032x") if span.is_valid else ""

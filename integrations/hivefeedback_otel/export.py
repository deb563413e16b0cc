"""A tracer provider of our own that sends spans by OTLP.

Spans of runs and decisions carry ids that were fixed when they happened, so that feedback and
links made earlier hit them; an id generator hands these to the SDK.
"""

from __future__ import annotations

import atexit
import logging
import os
import queue
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Literal

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator

from hivefeedback import telemetry
from hivefeedback.errors import ConfigurationError, MissingExtraError

if TYPE_CHECKING:
    from hivefeedback_otel.spans import Place, SpanData

__all__ = ["Export", "Protocol", "configure_export", "exporter_to"]

log = logging.getLogger(__name__)

Protocol = Literal["http", "grpc"]
_TRACES_PATH: Final = "/v1/traces"
_SAMPLED: Final = trace.TraceFlags(trace.TraceFlags.SAMPLED)


def configure_export(
    endpoint: str | None = None, protocol: Protocol = "http", service_name: str = "hivefeedback"
) -> Export:
    """Send spans to an OTLP endpoint.

    Stage, hook and mutation spans come from OpenTelemetry's global tracer provider: this one
    becomes it where none is set yet. One that the application has set is never replaced; then those
    spans go where the application's go. Spans of runs come from the ``otel`` plugin, which uses this
    export by itself where it is the global provider; else pass
    ``plugins=[ExportPlugin(export)]``.

    Args:
        endpoint: Base URL, such as ``http://localhost:4318`` (``grpc``: ``http://localhost:4317``);
            None: what the ``OTEL_EXPORTER_OTLP_*`` variables say.
        protocol: ``http`` (protobuf over HTTP) or ``grpc``.
        service_name: Name of the service in the backend.

    Raises:
        ConfigurationError: The protocol is not known.
        MissingExtraError: The exporter is not installed.
    """
    export = Export.to(exporter_to(endpoint, protocol), service_name)
    if not export.become_global():
        log.info("the application has a tracer provider; stage and mutation spans go where its spans go")
    return export


def exporter_to(endpoint: str | None, protocol: str) -> SpanExporter:
    """The SDK's exporter for a protocol; see ``configure_export``."""
    try:
        if protocol == "grpc":
            from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter

            return GrpcExporter(endpoint=endpoint)
        if protocol == "http":
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter

            return HttpExporter(endpoint=_traces_url(endpoint) if endpoint else None)
    except ModuleNotFoundError as error:
        raise MissingExtraError("the OpenTelemetry export", "otel") from error
    raise ConfigurationError(f"protocol {protocol!r} is not known; expected 'http' or 'grpc'")


def _traces_url(endpoint: str) -> str:
    return endpoint if endpoint.endswith(_TRACES_PATH) else endpoint.rstrip("/") + _TRACES_PATH


class _Ids(IdGenerator):
    """Random ids, but for the span that this thread is about to start: that one's are given."""

    def __init__(self) -> None:
        self._random = RandomIdGenerator()
        self._given = threading.local()

    def give(self, place: Place | None) -> None:
        self._given.place = place

    def generate_span_id(self) -> int:
        place: Place | None = getattr(self._given, "place", None)
        return place.span_id if place is not None else self._random.generate_span_id()

    def generate_trace_id(self) -> int:
        place: Place | None = getattr(self._given, "place", None)
        return place.trace_id if place is not None else self._random.generate_trace_id()


class _Provider(TracerProvider):
    """A provider that knows its export, so that the plugin finds it as the global one."""

    hivefeedback_export: Export


class Export:
    """Where spans are sent.

    ``provider`` is a common OpenTelemetry SDK provider; ``is_passed`` says that a plugin was made for
    this export, so that no other one sends the same spans.

    Spans wait in a batch processor (bounds and pace by the ``OTEL_BSP_*`` variables); a full queue or
    a dead endpoint drops spans and never waits. The SDK's own flush and shutdown have no working time
    limit, so a thread of ours waits for them; it exists from the start, since none can be started
    at interpreter exit.
    """

    def __init__(self, exporter: SpanExporter, service_name: str) -> None:
        self._ids = _Ids()
        self._exporter = exporter
        self._jobs: queue.SimpleQueue[tuple[Callable[[], object], threading.Event] | None] = queue.SimpleQueue()
        self._pid = os.getpid()
        self.is_passed = self._is_closed = False
        provider = _Provider(
            resource=Resource.create({SERVICE_NAME: service_name}), id_generator=self._ids, shutdown_on_exit=False
        )
        provider.add_span_processor(BatchSpanProcessor(exporter))
        provider.hivefeedback_export = self
        self.provider: TracerProvider = provider
        self._tracer = provider.get_tracer(telemetry.SCOPE)
        threading.Thread(target=self._serve, name="hivefeedback-otel", daemon=True).start()
        atexit.register(self.close)

    @classmethod
    def to(cls, exporter: SpanExporter, service_name: str = "hivefeedback") -> Export:
        """An export to any SDK exporter, in a provider of its own."""
        return cls(exporter, service_name)

    def become_global(self) -> bool:
        """Be the global tracer provider where none is set; answers whether it is."""
        if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
            trace.set_tracer_provider(self.provider)
        return trace.get_tracer_provider() is self.provider

    def emit(self, span: SpanData) -> None:
        """Queue one span under the ids that it brings."""
        place = span.place
        self._ids.give(place)
        try:
            made = self._tracer.start_span(
                span.name,
                context=_below(place.trace_id, span.parent_id),
                kind=trace.SpanKind.CLIENT if span.is_client else trace.SpanKind.INTERNAL,
                attributes=span.attributes,
                links=[trace.Link(_context(p.trace_id, p.span_id)) for p in span.links],
                start_time=span.start_ns,
                record_exception=False,
            )
        finally:
            self._ids.give(None)
        for name, attributes in span.events:
            made.add_event(name, attributes, timestamp=span.start_ns)
        if span.is_error:
            made.set_status(trace.StatusCode.ERROR)
        made.end(span.end_ns)

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Send what waits; False where it took longer, or where this is closed."""
        return not self._is_closed and self._wait_for(self.provider.force_flush, timeout_s)

    def close(self, timeout_s: float = 2.0) -> None:
        """Send what waits and end the threads; what takes longer is given up. Again: nothing."""
        atexit.unregister(self.close)
        if self._is_closed or os.getpid() != self._pid:
            return
        self._is_closed = True
        if not self._wait_for(self.provider.shutdown, timeout_s):
            self._exporter.shutdown()
        self._jobs.put(None)

    def _wait_for(self, work: Callable[[], object], timeout_s: float) -> bool:
        done = threading.Event()
        self._jobs.put((work, done))
        return done.wait(timeout_s)

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            work, done = job
            work()
            done.set()


def _below(trace_id: int, parent_id: int) -> Context:
    """An explicit parent, or none at all: never what happens to be current in the recorder's thread."""
    if not parent_id:
        return Context()
    return trace.set_span_in_context(trace.NonRecordingSpan(_context(trace_id, parent_id)), Context())


def _context(trace_id: int, span_id: int) -> trace.SpanContext:
    return trace.SpanContext(trace_id, span_id, is_remote=True, trace_flags=_SAMPLED)
